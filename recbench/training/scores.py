"""What a loss for scoring models sees: N predictions of one item each."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor


@dataclass
class ScoreBatch:
    """N predictions of a target item.

    Attributes:
        states: [N, d] what the model made of each history.
        items: [V, d] one row an item of the catalogue (no padding row).
        target: [N] item index.
        bias: [V] or None.
    """

    states: Tensor
    items: Tensor
    target: Tensor
    bias: Tensor | None = None

    def __len__(self) -> int:
        return len(self.target)

    @cached_property
    def logits(self) -> Tensor:
        """[N, V] scores of all items, computed on first use."""
        return torch.nn.functional.linear(self.states, self.items, self.bias)

    def of(self, items: Tensor) -> Tensor:
        """[N, n] scores of the given items [N, n], without scoring the others."""
        scores = (self.states[:, None] * self.items[items]).sum(-1)
        return scores if self.bias is None else scores + self.bias[items]

    def negatives(self, n: int) -> Tensor:
        """[N, n] items drawn uniformly from the catalogue without the target, from the seeded global generator."""
        draws = torch.randint(len(self.items) - 1, (len(self), n), device=self.target.device)
        return draws + (draws >= self.target[:, None])
