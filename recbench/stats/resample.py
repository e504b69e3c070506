"""Resampling users: the permutation test and the two bootstraps behind ``compare``."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import stats

from recbench.types import Floats

LEVEL = 0.95
_CELLS = 2_000_000  # resampled values held at a time: 16 MB a float64 array


def _batch(users: int) -> int:
    return max(1, _CELLS // max(1, users))


def sign_flip_p(sums: Floats, resamples: int, rng: np.random.Generator) -> float:
    """Two-sided p of the hypothesis that A and B are exchangeable within each user.

    Args:
        sums: [U] each user's summed difference; its sign is flipped as a whole.
        resamples: sign patterns drawn; all 2^U are enumerated instead where they are no more than this.
        rng: draws the patterns.

    Returns:
        p in (0, 1]; 1 where fewer than two users differ.
    """
    # a zero stays zero under every flip: leaving it out changes no p and makes more cases exact
    sums = sums[sums != 0]
    if len(sums) < 2:  # one user's two patterns are equally extreme
        return 1.0

    def total(x: Floats, axis: int) -> Any:
        return x.sum(axis=axis)

    result = stats.permutation_test(
        (sums,),
        total,
        permutation_type="samples",
        vectorized=True,
        n_resamples=resamples,
        batch=_batch(len(sums)),
        rng=rng,
    )
    return float(result.pvalue)


def bootstrap_ratio(
    sums: Floats, counts: Floats, resamples: int, rng: np.random.Generator
) -> tuple[tuple[float, float], float]:
    """95 % percentile interval and standard error of sum(sums) / sum(counts), users resampled.

    Args:
        sums: [U] a user's summed difference.
        counts: [U] a user's number of cases: a resample with more active users has more cases.
        resamples: number of resamples.
        rng: draws the users.

    Returns:
        (low, high), standard error. With one user there is nothing to resample: NaN for all three.
    """
    if len(sums) < 2:
        return (np.nan, np.nan), np.nan

    def ratio(s: Floats, c: Floats, axis: int) -> Any:
        return s.sum(axis=axis) / c.sum(axis=axis)

    result = stats.bootstrap(
        (sums, counts),
        ratio,
        paired=True,
        vectorized=True,
        n_resamples=resamples,
        batch=_batch(len(sums)),
        confidence_level=LEVEL,
        method="percentile",
        rng=rng,
    )
    interval = result.confidence_interval
    return (float(interval.low), float(interval.high)), float(result.standard_error)


def two_level_interval(
    sums_a: Floats, sums_b: Floats, counts: Floats, resamples: int, rng: np.random.Generator
) -> tuple[float, float]:
    """95 % percentile interval of the difference with users and seeds resampled.

    Users are drawn once for both sides (they pair A and B); seeds are drawn for each side on its own (they do not).

    Args:
        sums_a: [Sa, U], ``sums_b``: [Sb, U]: a user's summed metric under each seed.
        counts: [U] a user's number of cases.
        resamples: number of resamples.
        rng: draws users and seeds.

    Returns:
        (low, high); NaN with one user.
    """
    users = len(counts)
    if users < 2:
        return np.nan, np.nan
    differences = []
    for start in range(0, resamples, _batch(users)):
        rows = min(_batch(users), resamples - start)
        drawn = _draw_counts(rows, users, rng)
        mean_a, mean_b = (_seed_average(drawn @ sums.T, rng) for sums in (sums_a, sums_b))
        differences.append((mean_a - mean_b) / (drawn @ counts))
    low, high = np.quantile(np.concatenate(differences), [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)


def _seed_average(by_seed: Floats, rng: np.random.Generator) -> Floats:
    """[R] mean over seeds drawn with replacement from the [R, S] values by seed."""
    rows, seeds = by_seed.shape
    return (by_seed * _draw_counts(rows, seeds, rng)).sum(axis=1) / seeds


def _draw_counts(rows: int, n: int, rng: np.random.Generator) -> Floats:
    """[rows, n] how often each of n is drawn in n draws with replacement."""
    drawn = rng.integers(n, size=(rows, n)) + np.arange(rows)[:, None] * n
    return np.bincount(drawn.ravel(), minlength=rows * n).reshape(rows, n).astype(np.float64)
