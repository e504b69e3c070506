"""What enters the first trained layer, computed once a row and kept on disk: the layers below it never change.

States are kept in the type that the model computes them in, so a training gets what it would compute again, and
nothing is rounded. Half precision would take half the disk, but the residual stream of some models leaves fp16's range.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from recbench.files import explained, scratch
from recbench.language import packed
from recbench.language.collaborative import find
from recbench.language.textmodel import TextModel

HEADS = ("classifier", "summary")  # begin the options of heads that a causal LM does not have
SPARE = 1.1  # of the disk that the states take must be free


@contextmanager
def split(layers: Any, at: int) -> Iterator[None]:
    """While the block runs, a plan may stop at ``layers[at]``, or continue there from ``AttentionPlan.below``.

    The layers below stay where they are and give back what they get, since transformers chooses masks and rotary
    frequencies by the number of a layer.
    """

    def enter(layer: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        plan = kwargs.get("packed")
        if plan is None or not (plan.stops or plan.below is not None):
            return None
        if plan.stops:
            plan.below = (args[0] if args else kwargs["hidden_states"])[0]
            raise packed.Enough
        states = plan.below[None]
        return ((states, *args[1:]), kwargs) if args else (args, {**kwargs, "hidden_states": states})

    def idle(forward: Callable[..., Any]) -> Callable[..., Any]:
        def forward_or_nothing(*args: Any, **kwargs: Any) -> Any:
            plan = kwargs.get("packed")
            if plan is None or plan.below is None:
                return forward(*args, **kwargs)
            return args[0] if args else kwargs["hidden_states"]

        return forward_or_nothing

    handle = layers[at].register_forward_pre_hook(enter, with_kwargs=True, prepend=True)  # before the last layer's own
    own = [layer.__dict__.get("forward") for layer in layers[:at]]  # accelerate may have put one there
    try:
        for layer in layers[:at]:
            layer.forward = idle(layer.forward)
        yield
    finally:
        handle.remove()
        for layer, before in zip(layers[:at], own, strict=True):
            del layer.forward
            if before is not None:
                layer.forward = before


def frozen_layers(model: TextModel) -> int:
    """How many layers from the first on have nothing that is trained, and get nothing from below that is."""
    layers = packed.layers_of(model.decoder)
    embedding = model.causal.get_input_embeddings()
    if layers is None or find(model.lm) is not None or any(p.requires_grad for p in embedding.parameters()):
        return 0
    trained = [number for number, layer in enumerate(layers) if any(p.requires_grad for p in layer.parameters())]
    return trained[0] if trained else 0


class Below:
    """The kept states of numbered rows; make one by :func:`kept_below`.

    Attributes:
        computed: rows whose lower layers were computed so far.
    """

    def __init__(self, model: TextModel, lengths: Sequence[int], folder: Path) -> None:
        self._model, self._file = model, folder / "states"
        self._starts = np.concatenate([[0], np.cumsum(lengths)])
        self._known = np.zeros(len(lengths), np.bool_)
        self._table: Tensor | None = None
        self.computed = 0

    def __call__(self, numbers: Tensor, ids: Tensor, lengths: Tensor, shared: int) -> Tensor | None:
        """[T, width] what enters the first trained layer; None for rows too long to be packed.

        Args:
            numbers: [B] which rows these are.
            ids, lengths, shared: see :meth:`recbench.language.hidden_states.HiddenStates.rows`.
        """
        states = self._model.hidden_states
        if not states.packs_up_to(shared + int(lengths.max())):
            return None
        rows = numbers.tolist()
        if not self._known[rows].all():
            with torch.no_grad():
                found = states.rows_below(ids, lengths, shared)
            self._keep(rows, found, lengths.tolist(), shared)
            return found
        assert self._table is not None
        parts = [self._table[self._starts[rows[0]] : self._starts[rows[0]] + shared]]
        parts += [self._table[self._starts[row] + shared : self._starts[row + 1]] for row in rows]
        return torch.cat(parts).to(ids.device)

    def _keep(self, rows: list[int], found: Tensor, lengths: list[int], shared: int) -> None:
        if self._table is None:
            self._table = self._made(int(self._starts[-1]), found)
        begin, end = found[:shared].cpu(), shared
        for row, length in zip(rows, lengths, strict=True):
            start = self._starts[row]
            self._table[start : start + shared] = begin
            self._table[start + shared : self._starts[row + 1]] = found[end : end + length].cpu()
            end += length
        self._known[rows] = True
        self.computed += len(rows)

    def _made(self, tokens: int, like: Tensor) -> Tensor:
        """[tokens, width] states in a file that has its size at once, since a full disk would kill a later write."""
        size = tokens * like.shape[1]
        with explained(f"keeping the states of frozen layers in {self._file.parent}"), self._file.open("wb") as file:
            if hasattr(os, "posix_fallocate"):
                os.posix_fallocate(file.fileno(), 0, size * like.itemsize)
        return torch.from_file(str(self._file), shared=True, size=size, dtype=like.dtype).view(tokens, like.shape[1])


@contextmanager
def kept_below(model: TextModel, lengths: Sequence[int], epochs: int, reporter: Any) -> Iterator[Below | None]:
    """Keeps, while a training runs, what enters the first trained layer; None where nothing is, or can be, kept.

    Args:
        model: as it is trained.
        lengths: tokens of each row that training reads.
        epochs: a single one would only write.
        reporter: is told where frozen layers have to be computed in every epoch, and why.
    """
    frozen = frozen_layers(model)
    if not frozen or epochs == 1:
        yield None
        return
    with scratch() as folder, split(packed.layers_of(model.decoder), frozen):
        if why := _obstacle(model, sum(lengths), folder):
            reporter.message(f"the {frozen} layers below the adapters are computed in every epoch: {why}")
            yield None
        else:
            yield Below(model, lengths, folder)


def _obstacle(model: TextModel, tokens: int, folder: Path) -> str:
    """Why nothing can be kept; empty where it can."""
    config = model.causal.config.get_text_config()
    drops = {name: value for name, value in config.to_dict().items() if "drop" in name and not name.startswith(HEADS)}
    if any(isinstance(value, float) and value > 0 for value in drops.values()):
        return "the model has its own dropout"
    if not model.hidden_states.packs or not _agrees(model):
        return f"{model.hidden_states.architecture} cannot continue from a layer"
    needed = tokens * config.hidden_size * model.head.weight.dtype.itemsize
    free = shutil.disk_usage(folder).free
    if needed * SPARE > free:
        return (
            f"that takes {needed / 1e9:.1f} GB of {folder.parent}, which has {free / 1e9:.1f} GB (TMPDIR names another)"
        )
    return ""


def _agrees(model: TextModel) -> bool:
    """Whether two rows that continue from a layer get the same hidden states as when computed whole."""
    states, device = model.hidden_states, model.head.weight.device
    ids = torch.arange(3, 12, device=device) % model.head.weight.shape[0]
    lengths, wanted = torch.tensor([3, 4], device=device), torch.tensor([4, 8], device=device)
    modes = {module: module.training for module in model.lm.modules()}
    model.lm.eval()
    try:
        with torch.no_grad():
            below = states.rows_below(ids, lengths, 2)
            nothing = states.rows(ids, lengths, 2, wanted, torch.zeros_like(below))
            found, whole = states.rows(ids, lengths, 2, wanted, below), states.rows(ids, lengths, 2, wanted)
        return bool((found - whole).norm() < 1e-3 * (nothing - whole).norm())
    except Exception:  # whatever an architecture makes of layers that do nothing: it cannot
        return False
    finally:
        for module, mode in modes.items():
            module.training = mode
