"""What the MSL paper measures inside a training: the two parts of the LML, their gradients, weights and valid logits.

Source: Wang et al., MSL, SIGIR 2025 (https://doi.org/10.1145/3726302.3730041), section 3 and 4.2.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from recbench.interfaces import Loss, Options
from recbench.language.collaborative import find
from recbench.language.textmodel import TextModel
from recbench.training.answers import AnswerBatch, AnswerModel
from recbench.training.segments import segment_logsumexp
from recbench.training.text import Examples, collate
from recbench.types import Sequences

Inputs = Mapping[str, Any]


@dataclass(frozen=True)
class Positions:
    """The quantities of N answer positions.

    Attributes:
        validity: [N] L1 of Eq. (3), which lifts valid tokens over invalid ones.
        ranking: [N] L2 of Eq. (4), which lifts the right token over the other valid ones; the MSL at temperature 1.
        branching: [N] whether there is more than one valid token.
        depth: [N] the token's place in its title, from 0.
        logits: [edges] of the valid tokens of branching positions.
        centred: [edges] the same minus their mean at each position.
    """

    validity: Tensor
    ranking: Tensor
    branching: Tensor
    depth: Tensor
    logits: Tensor
    centred: Tensor

    @property
    def weight_over_vocabulary(self) -> Tensor:
        """[N] w = 1 - P(right token), softmax over the vocabulary: the size of LML's gradient."""
        return -torch.expm1(-(self.validity + self.ranking))

    @property
    def weight_over_valid(self) -> Tensor:
        """[N] w of Eq. (7): the same over the valid tokens, the size of MSL's gradient; 0 where there is no choice."""
        return -torch.expm1(-self.ranking)


def positions(batch: AnswerBatch) -> Positions:
    """Measure a batch that knows its valid tokens (``positions = "valid"``); everything carries gradients."""
    assert batch.allowed is not None
    n = len(batch)
    position = torch.arange(n, device=batch.labels.device).repeat_interleave(batch.fanout)
    values = batch.logits[position, batch.allowed]
    valid = segment_logsumexp(values, position, n)
    branching = batch.fanout > 1
    mean = values.new_zeros(n).index_add(0, position, values) / batch.fanout
    edge = branching[position]
    return Positions(
        validity=batch.logits.logsumexp(1) - valid,
        ranking=valid - batch.logits.gather(1, batch.labels[:, None]).squeeze(1),
        branching=branching,
        depth=batch.depth,
        logits=values[edge],
        centred=(values - mean[position])[edge],
    )


@dataclass(frozen=True)
class Measure:
    """Means over titles of both parts, summed over a title's tokens as in Eq. (3) and (4), and their gradients."""

    validity: float
    ranking: float
    validity_gradient: list[Tensor]
    ranking_gradient: list[Tensor]

    def row(self) -> dict[str, float]:
        """The values and the norms of the gradients (Figures 3 and 4)."""
        return {
            "validity": self.validity,
            "ranking": self.ranking,
            "validity_gradient": norm(self.validity_gradient),
            "ranking_gradient": norm(self.ranking_gradient),
        }


def norm(gradient: Sequence[Tensor]) -> float:
    """L2 norm over all tensors, added up in double precision."""
    return float(torch.stack([g.double().square().sum() for g in gradient]).sum().sqrt())


def measure(module: AnswerModel, batches: Sequence[Inputs]) -> Measure:
    """Both parts and their gradients with respect to the trainable parameters, over several batches of titles.

    Two backward passes a batch; ``.grad`` is not touched.
    """
    parameters = [p for p in module.parameters() if p.requires_grad]
    sums: list[list[Tensor]] = [[torch.zeros_like(p) for p in parameters] for _ in range(2)]
    totals, titles = [0.0, 0.0], 0
    for inputs in batches:
        found = positions(module.answers(**inputs))
        titles += len(inputs["lengths"])
        for part, losses in enumerate((found.validity, found.ranking)):
            total = losses.sum()
            totals[part] += float(total.detach())
            gradient = torch.autograd.grad(total, parameters, retain_graph=part == 0, allow_unused=True)
            for into, piece in zip(sums[part], gradient, strict=True):
                if piece is not None:
                    into.add_(piece)
    first, second = ([g / titles for g in part] for part in sums)
    return Measure(totals[0] / titles, totals[1] / titles, first, second)


class Recorder:
    """Watches a training on a fixed batch of windows, from outside; the ``probe`` of ``training.text.tune``.

    Args:
        model: the language model that is trained.
        windows: what the probe batch is taken from, evenly spaced.
        points: about how many steps are recorded, evenly spaced.
        titles: how many windows.
        batch: how many of them go through the model at a time.

    Attributes:
        rows: what was recorded: step, both parts of the loss and the norms of their gradients.

    A recorded training ends at the same parameters as another one: nothing is drawn from the global generators, no
    gradient stays behind, and modes are put back.
    """

    def __init__(self, model: TextModel, windows: Sequences, points: int = 40, titles: int = 64, batch: int = 16):
        chosen = np.unique(np.linspace(0, len(windows) - 1, min(titles, len(windows))).round().astype(np.int64))
        examples = Examples(model, windows.take(chosen))
        order = sorted(range(len(examples)), key=examples.lengths.__getitem__)
        self._batches: list[Inputs] = [
            collate([examples[n] for n in order[start : start + batch]]) for start in range(0, len(order), batch)
        ]
        # the trained module's own loss may not ask for valid tokens (LML); this one shares the language model with it
        self._module = AnswerModel(model, _AllTokens(Options()))
        self.points = points
        self.rows: list[dict[str, float]] = []

    def __call__(self, step: int, steps: int, module: nn.Module | None = None) -> None:
        """Record ``step`` of ``steps`` if it is one of the chosen ones; so is ``step == steps``."""
        if step * self.points % steps < self.points:
            with self._untouched() as batches:
                self.rows.append({"step": step, **measure(self._module, batches).row()})

    def columns(self) -> dict[str, list[float]]:
        """``rows`` by name, as the figures take them."""
        return {name: [row[name] for row in self.rows] for name in self.rows[0]} if self.rows else {}

    def snapshot(self) -> dict[str, list[float]]:
        """The current model: both weights of each answer position and the valid logits (Figures 5 and 8).

        Returns:
            ``over_vocabulary`` and ``over_valid``, [N] weights, ``branching``, [N] 1 where there is a choice,
            ``depth``, [N] the token's place in its title, from 0; ``logits`` and ``centred``, [edges], see
            :class:`Positions`.
        """
        with self._untouched() as batches, torch.no_grad():
            found = [positions(self._module.answers(**inputs)) for inputs in batches]
        columns = {
            "over_vocabulary": [p.weight_over_vocabulary for p in found],
            "over_valid": [p.weight_over_valid for p in found],
            "branching": [p.branching.double() for p in found],
            "depth": [p.depth for p in found],
            "logits": [p.logits for p in found],
            "centred": [p.centred for p in found],
        }
        return {name: torch.cat(parts).double().tolist() for name, parts in columns.items()}

    @contextmanager
    def _untouched(self) -> Iterator[list[Inputs]]:
        """Evaluation mode and collaborative tokens as at inference; everything is put back, the generators too."""
        modes = {m: m.training for m in self._module.modules()}
        embedding = find(self._module)
        hybrid = embedding is not None and embedding.hybrid
        where = next(self._module.parameters()).device  # the trainer may have moved the language model
        self._module.to(where)
        devices = [where] if where.type == "cuda" else []
        try:
            self._module.eval()
            if embedding is not None:
                embedding.hybrid = True
            with torch.random.fork_rng(devices):
                yield [
                    {name: value.to(where) if isinstance(value, Tensor) else value for name, value in inputs.items()}
                    for inputs in self._batches
                ]
        finally:
            for module, mode in modes.items():
                module.training = mode
            if embedding is not None:
                embedding.hybrid = hybrid


class _AllTokens(Loss[Options]):
    """Stands where a loss stands, to be given the valid tokens."""

    positions = "valid"

    def __call__(self, batch: AnswerBatch) -> tuple[Tensor, Tensor | float]:
        raise NotImplementedError("the probe measures answer positions itself")
