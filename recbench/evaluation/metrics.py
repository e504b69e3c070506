"""NDCG, hit rate and reciprocal rank of a single relevant item, from its rank.

With one relevant item a case's ideal DCG is 1, so NDCG@k is 1 / log2(rank + 1) within the depth (Järvelin and
Kekäläinen, TOIS 2002, with the log2(rank + 1) discount), HR@k is whether rank <= k, and MRR@k is 1 / rank.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np

from recbench.types import CaseResults, Floats, Ints

Metric = Callable[[Ints], Floats]


def _at(depth: int, gain: Callable[[Floats], Floats]) -> Metric:
    def metric(ranks: Ints) -> Floats:
        ranks = np.asarray(ranks)
        within = (ranks >= 1) & (ranks <= depth)
        # rank 0 (beyond the decoder's depth) is set to 1 first, so that no gain divides by zero
        return np.where(within, gain(np.where(within, ranks, 1).astype(np.float64)), 0.0)

    return metric


def _ndcg(ranks: Floats) -> Floats:
    return 1.0 / np.log2(ranks + 1.0)


def _hit(ranks: Floats) -> Floats:
    return np.ones_like(ranks)


def _reciprocal(ranks: Floats) -> Floats:
    return 1.0 / ranks


METRICS: Mapping[str, Metric] = MappingProxyType(
    {
        "NDCG@10": _at(10, _ndcg),
        "HR@10": _at(10, _hit),
        "NDCG@5": _at(5, _ndcg),
        "HR@5": _at(5, _hit),
        "MRR@10": _at(10, _reciprocal),
    }
)
"""Metric name -> function from ranks of any shape (1 best, 0 beyond depth) to values in [0, 1] of the same shape."""


def evaluate(ranks: Ints, users: Ints | None = None) -> dict[str, float]:
    """The headline metrics: the mean over test cases (and over seeds where there are several).

    Args:
        ranks: [N] or [S, N] rank of each case's target, 1 is best, 0 beyond the decoder's depth.
        users: [N] user of each case; given, every metric is also reported as ``"<metric> by user"``, the mean over
            users of each user's own mean (a different number: active users have more cases).

    Returns:
        Metric name -> mean, NaN where there are no cases.
    """
    ranks = np.atleast_2d(ranks)
    result = {}
    for name, metric in METRICS.items():
        values = metric(ranks).mean(axis=0)
        result[name] = float(values.mean()) if len(values) else float("nan")
    if users is not None:
        _, index = np.unique(users, return_inverse=True)
        counts = np.bincount(index)
        for name, metric in METRICS.items():
            means = np.bincount(index, weights=metric(ranks).mean(axis=0)) / counts
            result[f"{name} by user"] = float(means.mean()) if len(means) else float("nan")
    return result


def seed_means(results: CaseResults) -> dict[str, Floats]:
    """Metric name -> [S] mean over cases for each seed: what the spread over seeds is computed from."""
    return {name: metric(results.ranks).mean(axis=1) for name, metric in METRICS.items()}
