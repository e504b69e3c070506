"""Gains of a single relevant item from its rank, and means over recommended items; numpy only."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from recbench.types import PAD, Floats, Ints


def within(ranks: Ints, depth: int, gain: Callable[[Floats], Floats]) -> Floats:
    """``gain`` of each rank from 1 to ``depth``, 0 for all others, in an array of the same shape."""
    ranks = np.asarray(ranks)
    inside = (ranks >= 1) & (ranks <= depth)
    # rank 0 (beyond the decoder's depth) is set to 1 first, so that no gain divides by zero
    return np.where(inside, gain(np.where(inside, ranks, 1).astype(np.float64)), 0.0)


def ndcg(ranks: Ints, depth: int = 10) -> Floats:
    """NDCG@depth of each rank; see the metric of that name. Validation chooses the epoch by it."""
    return within(ranks, depth, lambda r: 1.0 / np.log2(r + 1.0))


def standard_error(values: Floats, users: Ints) -> float:
    """Of the mean of ``values`` [N], whose users [N] were drawn, not their cases; NaN for fewer than two users."""
    _, user = np.unique(users, return_inverse=True)
    sums = np.bincount(user, weights=values - values.mean())
    n = len(sums)
    return float(np.sqrt((sums**2).sum() * n / (n - 1)) / len(values)) if n > 1 else float("nan")


def mean_of_items(items: Ints, values: npt.NDArray[np.number]) -> Floats:
    """[N] the mean of ``values`` [items] over each row's items [N, K], ``PAD`` left out; 0 for an empty row."""
    there = items != PAD
    total = np.where(there, values[np.where(there, items, 0)], 0).sum(axis=1, dtype=np.float64)
    return total / np.maximum(there.sum(axis=1), 1)
