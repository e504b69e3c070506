"""Sums over runs of unequal length, and the distinct ones of many tokens: what softmaxes over few valid tokens need."""

from __future__ import annotations

import torch
from torch import Tensor


def segment_logsumexp(values: Tensor, segment: Tensor, count: int) -> Tensor:
    """[count] log of the sum of exp over each segment, with its maximum subtracted."""
    top = values.new_full((count,), -torch.inf).scatter_reduce(0, segment, values.detach(), "amax")
    total = values.new_zeros(count).index_add(0, segment, (values - top[segment]).exp())
    return total.log() + top


def union_of(tokens: Tensor, vocabulary: int) -> tuple[Tensor, Tensor]:
    """The distinct tokens, ascending, and the index of each of ``tokens`` among them; without sorting."""
    there = torch.zeros(vocabulary, dtype=torch.bool, device=tokens.device)
    there[tokens] = True
    return there.nonzero().squeeze(1), (there.cumsum(0) - 1)[tokens]
