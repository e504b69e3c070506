"""The ratio of deviations, against a published example and simulation."""

from __future__ import annotations

import math

import numpy as np
import pytest

from recbench.errors import UsageError
from recbench.stats import deviation_ratio, seeds_for_ratio
from recbench.stats.deviation import ratio_power


def scaled(sd: float, n: int, seed: int) -> np.ndarray:
    values = np.random.default_rng(seed).normal(size=n)
    return (values - values.mean()) / values.std(ddof=1) * sd


def test_the_example_of_the_nist_handbook() -> None:
    # section 1.3.5.9, ceramic strength: F = 1.123037, two-sided critical values 0.7756 and 1.2894, H0 kept
    found = deviation_ratio(scaled(65.54909, 240, 0), scaled(61.85425, 240, 1))
    assert found.ratio**2 == pytest.approx(1.123037, abs=1e-5)
    assert found.shown_from**2 == pytest.approx(1.2894, abs=1e-4)
    assert found.interval == pytest.approx((math.sqrt(1.123037 / 1.2894), math.sqrt(1.123037 / 0.7756)), rel=1e-3)
    assert found.p > 0.05


def test_five_seeds() -> None:
    found = deviation_ratio(scaled(3.0, 5, 0), scaled(1.0, 5, 1))
    assert found.shown_from == pytest.approx(math.sqrt(9.6045), rel=1e-4)  # F(.975; 4, 4) of printed tables
    assert found.p > 0.05
    assert found.interval[0] < 1 < found.interval[1]
    swapped = deviation_ratio(scaled(1.0, 5, 1), scaled(3.0, 5, 0))
    assert swapped.p == pytest.approx(found.p)
    assert swapped.interval == pytest.approx((1 / found.interval[1], 1 / found.interval[0]))


def test_the_detectable_ratio_is_found_in_four_of_five_draws() -> None:
    rng = np.random.default_rng(2)
    ratio = deviation_ratio(scaled(1, 5, 0), scaled(1, 5, 1)).detectable
    a, b = rng.normal(0, ratio, (4_000, 5)).var(axis=1, ddof=1), rng.normal(0, 1, (4_000, 5)).var(axis=1, ddof=1)
    shown = (a / b > 9.6045) | (a / b < 1 / 9.6045)
    assert shown.mean() == pytest.approx(0.8, abs=0.025)


def test_seeds_for_a_ratio_are_the_fewest() -> None:
    for ratio in (2.0, 3.8, 6.0):
        seeds = seeds_for_ratio(ratio)
        assert seeds == seeds_for_ratio(1 / ratio)
        assert seeds is not None
        assert ratio_power(ratio, seeds, seeds) >= 0.8 > ratio_power(ratio, seeds - 1, seeds - 1)
    assert seeds_for_ratio(1.0) is None


def test_no_deviation_and_too_few_seeds() -> None:
    none = deviation_ratio(np.ones(3), np.array([1.0, 2.0]))
    assert none.ratio == 0
    assert math.isnan(none.p)
    assert math.isnan(none.interval[0])
    assert deviation_ratio(np.array([1.0, 2.0]), np.ones(3)).ratio == math.inf
    with pytest.raises(UsageError, match="two seeds or more; these runs have 5 and 1"):
        deviation_ratio(np.arange(5.0), np.ones(1))
