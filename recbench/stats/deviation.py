"""Do two methods scatter differently over seeds? The ratio of their standard deviations.

The F test and its interval: exact for normal seed means at any number of seeds. What is robust to other distributions
(Bonett, 2006; Levene; bootstrap) estimates a fourth moment or resamples deviations, which five seeds cannot carry;
``benchmarks/CALIBRATION.md`` has the coverage of each, with normal, heavy-tailed and real seed means.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy import optimize, stats

from recbench.errors import UsageError
from recbench.types import Floats

ALPHA, POWER, LEVEL = 0.05, 0.8, 0.95
MOST_SEEDS = 1_000


@dataclass(frozen=True)
class DeviationRatio:
    """The standard deviation over seeds of A over that of B.

    Attributes:
        sd_a, sd_b: sample standard deviations.
        ratio: ``sd_a / sd_b``; infinite where only B's is 0, NaN where both are.
        interval: 95 %, from the F distribution; NaN where a deviation is 0.
        p: two-sided, of equal deviations; NaN where a deviation is 0.
        seeds_a, seeds_b: how many there are.
    """

    sd_a: float
    sd_b: float
    ratio: float
    interval: tuple[float, float]
    p: float
    seeds_a: int
    seeds_b: int

    @property
    def shown_from(self) -> float:
        """The smallest observed ratio above 1 that is significant at .05 with these seeds."""
        return math.sqrt(float(stats.f.ppf(1 - ALPHA / 2, self.seeds_a - 1, self.seeds_b - 1)))

    @property
    def detectable(self) -> float:
        """The smallest true ratio above 1 that these seeds show with 80 % power."""

        def missing(log: float) -> float:
            return ratio_power(math.exp(log), self.seeds_a, self.seeds_b) - POWER

        return math.exp(float(optimize.brentq(missing, 0.0, 20.0)))


def deviation_ratio(a: Floats, b: Floats) -> DeviationRatio:
    """Compare the scatter of two runs over their seeds.

    Args:
        a, b: [Sa], [Sb] a run's mean under each seed.

    Raises:
        UsageError: one of them has fewer than two seeds.
    """
    if min(len(a), len(b)) < 2:
        raise UsageError(f"a deviation over seeds needs two seeds or more; these runs have {len(a)} and {len(b)}")
    sd_a, sd_b = (float(np.std(x, ddof=1)) for x in (a, b))
    freedom = len(a) - 1, len(b) - 1
    tail = (1 - LEVEL) / 2
    upper, lower = (float(stats.f.ppf(q, *freedom)) for q in (1 - tail, tail))
    p, interval = math.nan, (math.nan, math.nan)
    ratio = sd_a / sd_b if sd_b else math.inf if sd_a else math.nan
    if sd_a and sd_b:
        p = min(1.0, 2 * float(min(stats.f.cdf(ratio**2, *freedom), stats.f.sf(ratio**2, *freedom))))
        interval = ratio / math.sqrt(upper), ratio / math.sqrt(lower)
    return DeviationRatio(sd_a, sd_b, ratio, interval, p, len(a), len(b))


def ratio_power(ratio: float, seeds_a: int, seeds_b: int) -> float:
    """Probability that the F test at two-sided .05 shows a true ratio of standard deviations."""
    freedom = seeds_a - 1, seeds_b - 1
    upper, lower = (stats.f.ppf(q, *freedom) / ratio**2 for q in (1 - ALPHA / 2, ALPHA / 2))
    return float(stats.f.sf(upper, *freedom) + stats.f.cdf(lower, *freedom))


def seeds_for_ratio(ratio: float) -> int | None:
    """Seeds of each run that show a true ratio of standard deviations with 80 % power; None above 1,000.

    Args:
        ratio: above 0; 1 is never shown.
    """
    ratio = max(ratio, 1 / ratio)
    if ratio_power(ratio, MOST_SEEDS, MOST_SEEDS) < POWER:
        return None
    return next(n for n in range(2, MOST_SEEDS + 1) if ratio_power(ratio, n, n) >= POWER)
