"""Time and memory of a loss's training step, compared with the standard loss."""

from __future__ import annotations

import statistics
import time
import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from recbench import registry
from recbench.checks import Check
from recbench.interfaces import Loss, Options, Plugin, ScoringLoss
from recbench.prompts.trie import Trie

if TYPE_CHECKING:
    import torch

    from recbench.training.answers import AnswerBatch
    from recbench.training.scores import ScoreBatch

TITLES, CATALOGUE, VOCABULARY, WIDTH = 64, 2_000, 8_192, 256
REPEATS = 3


def measured(plugin: Plugin, options: Options) -> Check | None:
    """Forward and backward of a loss against ``lml`` (of one that scores items: ``ce``); None for anything else."""
    if issubclass(plugin.implementation, Loss):
        known, size = "lml", f"{TITLES} titles, vocabulary {VOCABULARY:,}, width {WIDTH}, catalogue {CATALOGUE:,}"
        make: Callable[[Any], Any] = lambda loss: answers(loss.positions)  # noqa: E731
    elif issubclass(plugin.implementation, ScoringLoss):
        known, size = "ce", f"{TITLES} predictions, width {WIDTH}, catalogue {VOCABULARY:,}"
        make = lambda loss: scores()  # noqa: E731
    else:
        return None
    other = registry.get("loss", known)
    try:
        own, theirs = (_cost(one, make(one)) for one in _made(plugin, options, other))
    except Exception as error:
        return Check(f"speed against {known}", "FAILED", f"{type(error).__name__}: {error}")
    times, bytes_ = own[0] / theirs[0], own[1] / theirs[1]
    text = f"{times:.2g} x the time of {known} ({own[0] * 1e3:.0f} ms a step), {bytes_:.2g} x its memory"
    return Check(f"speed against {known}", "ok", f"{text} ({own[1] / 1e6:.0f} MB): {size}")


def _made(plugin: Plugin, options: Options, other: Plugin) -> tuple[Any, Any]:
    return plugin.implementation(options), other.implementation(other.options())


def _cost(loss: Any, batch: Callable[[], Any]) -> tuple[float, int]:
    """Seconds of a step, the median of some; and the most bytes of tensors that it holds at a time."""
    import torch

    def step() -> None:
        total, _ = loss(batch())
        total.backward()

    step()
    seconds = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        step()
        seconds.append(time.perf_counter() - start)
    with torch.random.fork_rng(), _allocated() as allocated:
        step()
    return statistics.median(seconds), allocated.most


def answers(positions: str) -> Callable[[], AnswerBatch]:
    """Batches of random answer positions, small enough for a CPU; the same ones at every call."""
    import torch

    from recbench.training.answers import AnswerBatch

    random = np.random.default_rng(0)
    titles = {tuple(random.integers(3, VOCABULARY, size=random.integers(3, 9)).tolist()) for _ in range(CATALOGUE)}
    sequences = [(*title, 2) for title in sorted(titles)]
    trie = Trie.build(sequences)
    shown = random.choice(len(sequences), TITLES, replace=False)
    paths = [trie.path(sequences[item]) for item in shown]
    if positions == "choices":
        paths = [path[: 1 + max(np.flatnonzero(trie.fanout(path) > 1), default=0)] for path in paths]
    nodes, kept = np.concatenate(paths), [len(path) for path in paths]
    labels = np.concatenate([sequences[item][:n] for item, n in zip(shown, kept, strict=True)])
    indptr, allowed = (None, None) if positions == "all" else map(torch.from_numpy, trie.allowed(nodes))
    states = torch.from_numpy(random.normal(size=(len(nodes), WIDTH)).astype(np.float32))
    torch.manual_seed(0)
    head = torch.nn.Linear(WIDTH, VOCABULARY, bias=False)
    depth = np.concatenate([np.arange(n) for n in kept])
    row = np.repeat(np.arange(TITLES), kept)
    dropped = sum(len(sequences[item]) for item in shown) - len(nodes)

    def batch() -> AnswerBatch:
        return AnswerBatch(
            torch.from_numpy(labels),
            states.clone().requires_grad_(),
            head,
            torch.from_numpy(row),
            torch.from_numpy(depth),
            indptr,
            None if allowed is None else allowed.long(),
            dropped=dropped,
        )

    return batch


def scores() -> Callable[[], ScoreBatch]:
    """Batches of random predictions; the same ones at every call."""
    import torch

    from recbench.training.scores import ScoreBatch

    random = torch.Generator().manual_seed(0)
    states = torch.randn(TITLES, WIDTH, generator=random)
    items = torch.randn(VOCABULARY, WIDTH, generator=random)
    target = torch.randint(VOCABULARY, (TITLES,), generator=random)
    return lambda: ScoreBatch(states.clone().requires_grad_(), items.clone().requires_grad_(), target)


def _allocated() -> Any:
    """While it is entered: ``most``, the largest sum of bytes of the tensors that operations made and that live."""
    import torch
    from torch.utils._python_dispatch import TorchDispatchMode
    from torch.utils._pytree import tree_leaves

    class Allocated(TorchDispatchMode):
        now = most = 0

        def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            kwargs = kwargs or {}
            found = func(*args, **kwargs)
            given = {self._place(x) for x in tree_leaves((args, kwargs)) if isinstance(x, torch.Tensor)}
            for made in tree_leaves(found):
                if isinstance(made, torch.Tensor) and self._place(made) not in given:
                    self._add(made.untyped_storage())
            return found

        @staticmethod
        def _place(tensor: torch.Tensor) -> int:
            return tensor.untyped_storage().data_ptr()

        def _add(self, storage: Any) -> None:
            size = storage.nbytes()
            self.now += size
            self.most = max(self.most, self.now)
            weakref.finalize(storage, self._remove, size)

        def _remove(self, size: int) -> None:
            self.now -= size

    return Allocated()
