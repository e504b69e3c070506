"""Coverage of intervals of the ratio of two standard deviations over seeds; used or not by the pages."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy import stats
from simulate import TestSet

from recbench.stats import deviation_ratio
from recbench.types import Floats

Z = 1.959964


def coverage(test: TestSet, draws: int) -> dict[str, dict[str, float]]:
    """For each distribution of seed means and number of seeds: coverage at ratio 1, and power at ratio 5."""
    pool = np.concatenate(
        [(m - m.mean()) / m.std(ddof=1) * (len(m) / (len(m) - 1)) ** 0.5 for m in test.sums.seed_means]
    )
    kinds: dict[str, Callable[[np.random.Generator, int], Floats]] = {
        "normal": lambda rng, n: rng.normal(size=n),
        "t, 5 degrees of freedom": lambda rng, n: rng.standard_t(5, n),
        f"the {len(pool)} recorded deviations": lambda rng, n: rng.choice(pool, n),
    }
    found = {}
    for kind, draw in kinds.items():
        for seeds in (5, 20):
            rng, counts = np.random.default_rng(3), dict[str, int]()
            for _ in range(draws):
                a, b = draw(rng, seeds), draw(rng, seeds)
                found_one = {
                    "F": holds(deviation_ratio(a, b).interval),
                    "Bonett": holds(bonett(a, b)),
                    "bootstrap": holds(percentile(a, b, rng)),
                    "Levene": stats.levene(a, b, center="median").pvalue >= 0.05,
                    "F, power at 5": not holds(deviation_ratio(5 * a, b).interval),
                }
                for name, yes in found_one.items():
                    counts[name] = counts.get(name, 0) + bool(yes)
            found[f"{kind}, {seeds} seeds"] = {name: count / draws for name, count in counts.items()}
    return found


def holds(interval: tuple[float, float]) -> bool:
    return interval[0] <= 1 <= interval[1]


def bonett(a: Floats, b: Floats) -> tuple[float, float]:
    """Bonett, Applied Psychological Measurement 30, 2006: a pooled kurtosis about trimmed means."""
    n = len(a)
    trimmed = [x - stats.trim_mean(x, 1 / (2 * (n - 4) ** 0.5)) if n > 4 else x - np.median(x) for x in (a, b)]
    fourth = sum((x**4).sum() for x in trimmed)
    squares = sum((n - 1) * x.var(ddof=1) for x in (a, b))
    kurtosis = 2 * n * fourth / squares**2
    error = (2 * (kurtosis - (n - 3) / n) / (n - 1)) ** 0.5
    log = np.log(a.std(ddof=1) / b.std(ddof=1))
    return float(np.exp(log - Z * error / 2)), float(np.exp(log + Z * error / 2))


def percentile(a: Floats, b: Floats, rng: np.random.Generator, resamples: int = 499) -> tuple[float, float]:
    drawn = [x[rng.integers(len(x), size=(resamples, len(x)))].std(axis=1, ddof=1) for x in (a, b)]
    with np.errstate(divide="ignore", invalid="ignore"):
        ratios = drawn[0] / drawn[1]
    low, high = np.nanquantile(ratios, [0.025, 0.975], method="inverted_cdf")  # some ratios are infinite
    return float(low), float(high)
