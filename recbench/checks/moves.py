"""Whether a plugin computes where it is told to: on a GPU the same as on the CPU."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from recbench.checks import Check
from recbench.device import automatic
from recbench.interfaces import Loss, Options, Plugin, PreferenceLoss, ScoringLoss, SilentReporter, TextDecoder

if TYPE_CHECKING:
    import torch

WHAT = "same on a GPU"
CLOSE = 1e-3  # of the largest value: what two devices may differ by
KERNELS = ("attention", "sdp", "rnn")
"""Operators of these names are tagged as random for their dropout; a GPU's have no counterpart on the CPU."""


def moved(plugin: Plugin, options: Options, device: str = "") -> Check | None:
    """Compare ``device`` with the CPU; None for a kind whose device recbench chooses.

    Args:
        plugin, options: what is checked.
        device: by default the GPU of this machine; the check is skipped where there is none.
    """
    kinds = {Loss: _answers, ScoringLoss: _scores, PreferenceLoss: _preferences, TextDecoder: _ranking}
    compute = next((run for base, run in kinds.items() if issubclass(plugin.implementation, base)), None)
    if compute is None:
        return None
    if not device and (device := automatic()) == "cpu":
        return Check(WHAT, "skipped", "there is no GPU here: everything was checked on the CPU only")
    try:
        here, there = (_computed(compute, plugin.implementation(options), place) for place in ("cpu", device))
    except Exception as error:
        return Check(WHAT, "FAILED", " ".join(f"{type(error).__name__}: {error}".split()))
    far = float(np.abs(here - there).max() / max(np.abs(here).max(), 1e-12))
    return Check(WHAT, "ok" if far <= CLOSE else "FAILED", f"differs from the CPU by {far:.1g} of the largest value")


def _computed(compute: Callable[[Any, str], np.ndarray], made: Any, device: str) -> np.ndarray:
    """What is compared, with the same random numbers on every device: they are drawn on the CPU."""
    from recbench.seeds.everything import generators, restore_generators, seed_everything

    before = generators()
    try:
        seed_everything(0, "plugin check")
        with _drawn_on_the_cpu():
            return compute(made, device)
    finally:
        restore_generators(before)


def _drawn_on_the_cpu() -> Any:
    """While it is entered, whatever draws random numbers does so on the CPU, by the global generator."""
    import torch
    from torch.utils._python_dispatch import TorchDispatchMode
    from torch.utils._pytree import tree_leaves, tree_map_only

    class Drawn(TorchDispatchMode):
        def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            kwargs = kwargs or {}
            draws = torch.Tag.nondeterministic_seeded in func.tags
            if not draws or any(word in func.name() for word in KERNELS):
                return func(*args, **kwargs)
            given = [x for x in tree_leaves((args, kwargs)) if isinstance(x, torch.Tensor)]
            asked = kwargs.get("device") or (given[0].device if given else torch.device("cpu"))
            other = {"device": torch.device("cpu"), "generator": None}
            here = {name: other.get(name, value) for name, value in kwargs.items()}
            moved_args, moved_kwargs = tree_map_only(torch.Tensor, lambda x: x.cpu(), (args, here))
            found = func(*moved_args, **moved_kwargs)
            if func._schema.is_mutable:  # in place: the tensor itself gets the numbers
                return kwargs.get("out", *args[:1]).copy_(found)
            return tree_map_only(torch.Tensor, lambda x: x.to(asked), found)

    return Drawn()


def _answers(loss: Any, device: str) -> np.ndarray:
    from recbench.checks.speed import answers

    batch = answers(loss.positions)()
    batch.head.to(device)
    for name in ("labels", "hidden", "row", "depth", "indptr", "allowed"):
        if (value := getattr(batch, name)) is not None:
            setattr(batch, name, value.detach().to(device))
    return _gradient(lambda: loss(batch)[0], batch.hidden.requires_grad_())


def _scores(loss: Any, device: str) -> np.ndarray:
    from recbench.checks.speed import scores

    batch = scores()()
    batch.items, batch.target = batch.items.detach().to(device), batch.target.to(device)
    batch.states = batch.states.detach().to(device).requires_grad_()
    return _gradient(lambda: loss(batch)[0], batch.states)


def _preferences(loss: Any, device: str) -> np.ndarray:
    import torch

    random = torch.Generator().manual_seed(5)
    chosen, rejected = torch.randn(8, generator=random), torch.randn(8, loss.negatives, generator=random)
    chosen = chosen.to(device).requires_grad_()
    return _gradient(lambda: loss(chosen, rejected.to(device)).sum(), chosen)


def _gradient(compute: Callable[[], torch.Tensor], of: torch.Tensor) -> np.ndarray:
    import torch

    (found,) = torch.autograd.grad(compute(), of)
    gradient: np.ndarray = found.double().cpu().numpy()
    return gradient


def _ranking(decoder: Any, device: str) -> np.ndarray:
    """Scores only, since items with equal scores may swap."""
    from recbench.testing import RandomScores, tiny_split, tiny_text_model

    split, model = tiny_split(), tiny_text_model()
    model.lm.to(device)
    model.device, model.counts, model.recommender = device, split.train_counts(), RandomScores(len(split.catalog))
    scores: np.ndarray = decoder.rank(model, split.test.histories(), 5, False, SilentReporter()).scores
    return np.where(np.isfinite(scores), scores, 0.0)
