"""Two recommenders on the same test cases: one paired comparison, with the user as its unit.

A user's cases are dependent (ml-100k: 8,986 windows from 166 users), so cases are never resampled. The metric is
averaged over seeds first; seeds are not further users, and the same seed number does not pair two models. Why
permutation and bootstrap and not Wilcoxon: Ihemelandu and Ekstrand, SIGIR 2023; Smucker et al., CIKM 2007.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from recbench.errors import UsageError
from recbench.stats.resample import bootstrap_ratio, sign_flip_p, two_level_interval
from recbench.types import CaseResults, Floats

ALPHA, POWER_FACTOR = 0.05, 1.959964 + 0.841621  # normal quantiles of two-sided alpha .05 and of 80 % power
RESAMPLES = 9_999
SEED = 20_261_122  # any fixed number: the same two runs always give the same p


@dataclass(frozen=True)
class Comparison:
    """A minus B on one metric.

    Attributes:
        metric: its name.
        mean_a, mean_b: mean over test cases and seeds.
        difference: ``mean_a - mean_b``.
        relative: ``difference / mean_b``; NaN where ``mean_b`` is 0.
        interval: 95 % percentile bootstrap interval of the difference, users resampled.
        interval_two_level: the same with users and, independently for A and B, seeds resampled; with a single seed on a
            side it cannot contain that side's spread over seeds.
        p: two-sided permutation p, flipping the sign of a user's whole summed difference.
        effect: Cohen's d_z of the users' summed differences, the quantities that ``p`` flips and the interval
            resamples: their mean over their standard deviation; NaN with one user.
        wins, ties, losses: users whose own mean is higher, equal, lower under A.
        n_users, n_cases: size of the test set.
        seeds_a, seeds_b: the seeds of each.
        sd_a, sd_b: sample standard deviation over seeds of the mean over cases; None with one seed.
        detectable: smallest true difference that this test set finds with 80 % power at two-sided alpha .05, from the
            bootstrap's standard error over users.
    """

    metric: str
    mean_a: float
    mean_b: float
    difference: float
    relative: float
    interval: tuple[float, float]
    interval_two_level: tuple[float, float]
    p: float
    effect: float
    wins: int
    ties: int
    losses: int
    n_users: int
    n_cases: int
    seeds_a: tuple[int, ...]
    seeds_b: tuple[int, ...]
    sd_a: float | None
    sd_b: float | None
    detectable: float


def compare(
    a: CaseResults,
    b: CaseResults,
    values: Callable[[CaseResults], Floats],
    metric: str = "NDCG@10",
    *,
    resamples: int = RESAMPLES,
    seed: int = SEED,
) -> Comparison:
    """Compare A with B.

    Args:
        a, b: results over the same cases in the same order; the seeds may differ in number.
        values: the metric itself, e.g. ``metric("NDCG@10").values``: results -> [S, N] a value for each seed and case.
        metric: its name, for the report.
        resamples: draws of each permutation test and bootstrap; the permutation test enumerates all sign patterns
            where there are no more than this (13 users with a difference, at the default).
        seed: of the resampling; permutation and interval have streams of their own.

    Raises:
        UsageError: the two were not evaluated on the same cases, or on none.
    """
    _check_same_cases(a, b)
    values_a, values_b = values(a), values(b)
    _, index = np.unique(a.users, return_inverse=True)
    counts = np.bincount(index).astype(np.float64)
    sums_a, sums_b = _user_sums(values_a, index), _user_sums(values_b, index)
    # summing case differences (not subtracting user sums) keeps a tie exactly 0 whenever each case ties
    sums = _user_sums((values_a.mean(axis=0) - values_b.mean(axis=0))[None], index)[0]
    sums[np.abs(sums) < 1e-12 * counts] = 0.0

    streams = [np.random.default_rng([seed, i]) for i in range(3)]
    interval, error = bootstrap_ratio(sums, counts, resamples, streams[1])
    seeds_a, seeds_b = values_a.mean(axis=1), values_b.mean(axis=1)
    mean_a, mean_b = float(seeds_a.mean()), float(seeds_b.mean())
    difference = float(sums.sum() / counts.sum())
    return Comparison(
        metric=metric,
        mean_a=mean_a,
        mean_b=mean_b,
        difference=difference,
        relative=difference / mean_b if mean_b else math.nan,
        interval=interval,
        interval_two_level=two_level_interval(sums_a, sums_b, counts, resamples, streams[2]),
        p=sign_flip_p(sums, resamples, streams[0]),
        effect=_effect(sums),
        wins=int((sums > 0).sum()),
        ties=int((sums == 0).sum()),
        losses=int((sums < 0).sum()),
        n_users=len(counts),
        n_cases=len(index),
        seeds_a=tuple(a.seeds),
        seeds_b=tuple(b.seeds),
        sd_a=_spread(seeds_a),
        sd_b=_spread(seeds_b),
        detectable=POWER_FACTOR * error,
    )


def _check_same_cases(a: CaseResults, b: CaseResults) -> None:
    columns = ((getattr(a, name), getattr(b, name)) for name in ("users", "cold", "history_length", "popularity"))
    if len(a.users) != len(b.users):
        sizes = f"{len(a.users):,} and {len(b.users):,} cases"
        raise UsageError(f"the two runs were evaluated on different test cases ({sizes}); compare runs of one test set")
    if not all(np.array_equal(x, y) for x, y in columns):
        raise UsageError("the two runs were evaluated on different test cases; compare runs of one test set")
    if not len(a.users):
        raise UsageError("the two runs have no test cases; there is nothing to compare")


def _user_sums(values: Floats, index: npt.NDArray[np.intp]) -> Floats:
    """[S, U] a user's summed metric under each seed."""
    return np.stack([np.bincount(index, weights=row) for row in values]).astype(np.float64)


def _effect(sums: Floats) -> float:
    if len(sums) < 2:
        return math.nan
    mean, sd = float(sums.mean()), float(sums.std(ddof=1))
    if sd < 1e-12:  # every user differs by the same amount
        return 0.0 if abs(mean) < 1e-12 else math.copysign(math.inf, mean)
    return mean / sd


def _spread(seed_means: Floats) -> float | None:
    return float(seed_means.std(ddof=1)) if len(seed_means) > 1 else None
