"""Recommenders on the same test cases: paired comparisons, with the user as their unit.

A user's cases are dependent (ml-100k: 8,986 windows from 166 users), so cases are never resampled. The metric is
averaged over seeds first; seeds are not further users, and the same seed number does not pair two models. Why
permutation and bootstrap and not Wilcoxon: Ihemelandu and Ekstrand, SIGIR 2023; Smucker et al., CIKM 2007.

One quantity is tested, bounded and sized: the difference of the means over cases, in which a user weighs as many cases
as they have. The difference of the means over users is a second quantity, with its own p and no mark.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from recbench.stats.resample import Bootstrap, Pair, sign_flip_p
from recbench.stats.sums import Levels, UserSums, user_sums
from recbench.types import CaseResults, Floats

ALPHA, POWER = 0.05, 0.80
RESAMPLES = 9_999
PER_PAIR = 200  # sign patterns a pair at least: the smallest p times the number of pairs stays far below alpha
SEED = 20_261_122  # any fixed number: the same two runs always give the same p


@dataclass(frozen=True)
class Comparison:
    """A minus B on one metric.

    Attributes:
        metric: its name.
        mean_a, mean_b: mean over test cases and seeds.
        difference: ``mean_a - mean_b``.
        relative: ``difference / mean_b``; NaN where ``mean_b`` is 0.
        interval: 95 % interval of the difference over users, given these seeds.
        interval_two_level: the same over users and seeds; with a single seed on a side it cannot contain that side's
            spread over seeds. See :class:`recbench.stats.resample.Bootstrap` for both.
        p: two-sided permutation p, flipping the sign of a user's whole summed difference. It applies to these seeds
            only: others would give other means.
        p_two_level: two-sided p over users and seeds: the difference over its standard error over both, by Student's t
            with Satterthwaite's degrees of freedom, as in ``interval_two_level``. A side with one seed is taken as
            fixed. 1 with one user and without a difference, 0 where every user differs by the same amount.
        effect: Cohen's d_z of the users' summed differences, the quantities that ``p`` flips and the interval
            resamples: their mean over their standard deviation; NaN with one user.
        by_user, p_by_user: the difference of the means over users (every user weighs the same), and its permutation p.
        wins, ties, losses: users whose own mean is higher, equal, lower under A.
        n_users, n_cases: size of the test set.
        seeds_a, seeds_b: the seeds of each.
        sd_a, sd_b: sample standard deviation over seeds of the mean over cases; None with one seed.
        detectable: smallest true difference that these users and this number of seeds show with 80 % power at two-sided
            alpha .05, from the standard error over users and seeds.
    """

    metric: str
    mean_a: float
    mean_b: float
    difference: float
    relative: float
    interval: tuple[float, float]
    interval_two_level: tuple[float, float]
    p: float
    p_two_level: float
    effect: float
    by_user: float
    p_by_user: float
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

    @property
    def p_claim(self) -> float:
        """The larger p: what is corrected over a family, so that a claim about methods is corrected too.

        A claim needs both tests (an intersection-union test: Berger and Hsu, Statistical Science 11, 1996). Correcting
        ``p`` alone would leave the seeds uncorrected: that marked a difference on 24 % of the simulated pages with five
        equal rows whose seeds scatter. ``p_two_level`` alone is too small where a few users have most of the cases.
        """
        return max(self.p, self.p_two_level)

    def differs(self, p: float) -> bool:
        """Whether a difference is shown: what every mark, verdict and place asks.

        The corrected p is below .05, and the interval over users and seeds does not contain 0. Never with one user,
        where there is no interval.

        Args:
            p: :attr:`p_claim` after correction over its family.
        """
        low, high = self.interval_two_level
        return p < ALPHA and (low > 0 or high < 0)


def compare(
    a: CaseResults,
    b: CaseResults,
    values: Callable[[CaseResults], Floats],
    metric: str = "NDCG@10",
    *,
    resamples: int = RESAMPLES,
    seed: int = SEED,
) -> Comparison:
    """A minus B: :func:`compare_all` of one pair."""
    return compare_all([a, b], values, metric, resamples=resamples, seed=seed)[0]


def compare_all(
    results: Sequence[CaseResults],
    values: Callable[[CaseResults], Floats],
    metric: str = "NDCG@10",
    pairs: Sequence[Pair] | None = None,
    *,
    resamples: int = RESAMPLES,
    seed: int = SEED,
) -> list[Comparison]:
    """Compare runs pair by pair, with the same draws for all.

    Args:
        results: over the same cases in the same order; the seeds may differ in number.
        values: the metric itself, e.g. ``metric("NDCG@10").values``: results -> [S, N] a value for each seed and case.
        metric: its name, for the report.
        pairs: (A, B) as positions in ``results``; None: each with every later one.
        resamples: draws of each bootstrap and of the permutation test, which draws more where there are more than
            ``resamples / PER_PAIR`` pairs, and enumerates all sign patterns where there are no more than its draws
            (13 users with a difference, at the default).
        seed: of the resampling; permutation and intervals have separate streams. A pair's intervals do not depend
            on which other runs are there.

    Raises:
        UsageError: the runs were not evaluated on the same cases, or on none.
    """
    sums = user_sums(results, values)
    if pairs is None:
        pairs = list(itertools.combinations(range(len(results)), 2))
    if not pairs:
        return []
    flips = max(resamples, PER_PAIR * len(pairs) - 1)
    p = sign_flip_p(sums.averaged, pairs, flips, np.random.default_rng([seed, 0]))
    # uncorrected, so it needs no more patterns where there are more pairs
    by_user = sums.averaged / sums.counts[:, None]
    p_by_user = sign_flip_p(by_user, pairs, resamples, np.random.default_rng([seed, 0]))
    bootstrap = Bootstrap(sums, resamples, seed)
    return [
        _comparison(metric, results, sums, pair, bootstrap, *found)
        for pair, *found in zip(pairs, p, p_by_user, strict=True)
    ]


def _comparison(
    metric: str,
    results: Sequence[CaseResults],
    sums: UserSums,
    pair: Pair,
    bootstrap: Bootstrap,
    p: float,
    p_by_user: float,
) -> Comparison:
    a, b = pair
    differences, levels = sums.difference(a, b), sums.levels(a, b)
    mean_a, mean_b = (float(sums.seed_means[run].mean()) for run in pair)
    difference = float(differences.sum() / sums.counts.sum())
    return Comparison(
        metric=metric,
        mean_a=mean_a,
        mean_b=mean_b,
        difference=difference,
        relative=difference / mean_b if mean_b else math.nan,
        interval=bootstrap.users(pair),
        interval_two_level=bootstrap.users_and_seeds(pair),
        p=p,
        p_two_level=_over_users_and_seeds(difference, levels),
        effect=_effect(differences),
        by_user=float((differences / sums.counts).mean()),
        p_by_user=p_by_user,
        wins=int((differences > 0).sum()),
        ties=int((differences == 0).sum()),
        losses=int((differences < 0).sum()),
        n_users=sums.n_users,
        n_cases=len(results[a].users),
        seeds_a=tuple(results[a].seeds),
        seeds_b=tuple(results[b].seeds),
        sd_a=_spread(sums.seed_means[a]),
        sd_b=_spread(sums.seed_means[b]),
        detectable=detectable(levels.users + levels.seeds, levels.freedom),
    )


def detectable(variance: float, freedom: float) -> float:
    """The true difference that is found with 80 % power at two-sided alpha .05.

    Args:
        variance: of the difference, over users and seeds.
        freedom: its degrees of freedom.
    """
    quantiles = stats.t.ppf([1 - ALPHA / 2, POWER], freedom)
    return float(quantiles.sum()) * math.sqrt(variance)


def _over_users_and_seeds(difference: float, levels: Levels) -> float:
    variance = levels.users + levels.seeds
    if math.isnan(variance) or difference == 0:
        return 1.0
    if variance < 1e-24:  # every user differs by the same amount, to rounding
        return 0.0
    return float(2 * stats.t.sf(abs(difference) / math.sqrt(variance), levels.freedom))


def _effect(sums: Floats) -> float:
    if len(sums) < 2:
        return math.nan
    mean, sd = float(sums.mean()), float(sums.std(ddof=1))
    if sd < 1e-12:  # every user differs by the same amount
        return 0.0 if abs(mean) < 1e-12 else math.copysign(math.inf, mean)
    return mean / sd


def _spread(seed_means: Floats) -> float | None:
    return float(seed_means.std(ddof=1)) if len(seed_means) > 1 else None
