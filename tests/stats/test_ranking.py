"""Places, resolution and stability, against counting by hand."""

from __future__ import annotations

import itertools
import math
from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from recbench.stats import differing, places, resolution, stability
from recbench.stats.sums import UserSums


@pytest.mark.parametrize(
    ("separated", "expected"),
    [
        (set(), [1, 1, 1, 1]),
        ({(0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3)}, [1, 2, 3, 4]),
        ({(0, 2), (0, 3)}, [1, 1, 3, 3]),  # the second and third do not differ, and have two places
        ({(1, 3)}, [1, 1, 1, 4]),  # a noisy first run hides nothing below it
        ({(0, 1), (0, 3)}, [1, 2, 2, 2]),  # the third does not differ from the first, whose group is open no more
    ],
)
def test_groups_are_built_from_the_top(separated: set[tuple[int, int]], expected: list[int]) -> None:
    assert places(4, lambda a, b: (a, b) in separated) == expected


@given(st.integers(1, 7), st.randoms())
def test_no_two_runs_that_share_a_place_differ(count: int, random: Random) -> None:
    separated = {pair for pair in itertools.combinations(range(count), 2) if random.random() < 0.3}
    found = places(count, lambda a, b: (a, b) in separated)
    assert found == sorted(found)
    assert all(found[a] != found[b] for a, b in separated)
    for run in range(1, count):  # and no group could take in its next row
        if found[run] != found[run - 1]:
            assert any((other, run) in separated for other in range(run) if found[other] == found[run - 1])


def test_one_run_has_a_place() -> None:
    assert places(1, lambda a, b: True) == [1]


def runs(*values: np.ndarray, counts: np.ndarray | None = None) -> UserSums:
    width = values[0].shape[-1]
    return UserSums(np.ones(width) if counts is None else counts, tuple(np.atleast_2d(v) for v in values))


def test_resolution_of_two_runs_with_one_seed_is_that_of_a_paired_t_test() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, 9))
    error = (a - b).std(ddof=1) / 9**0.5
    freedom = runs(a, b).levels(0, 1).users_freedom
    assert freedom <= 8
    found = resolution(runs(a, b)) / error  # its power, by the noncentral t distribution
    assert stats.nct.sf(stats.t.ppf(0.975, freedom), freedom, found) == pytest.approx(0.795, abs=0.01)
    assert math.isnan(resolution(runs(a)))


def test_runs_without_a_difference_have_neither_resolution_nor_stability() -> None:
    zeros = np.zeros((2, 50))
    assert not differing(runs(zeros, zeros))
    assert math.isnan(resolution(runs(zeros, zeros)))
    assert stability(runs(zeros, zeros)) == (None, None)
    assert differing(runs(zeros, np.eye(2, 50)))


def test_resolution_is_the_same_whatever_the_recorded_number_of_seeds() -> None:
    """Users scatter over seeds, and seeds move no run: three seeds say how far five will."""
    rng = np.random.default_rng(2)

    def mean_of(seeds: int) -> float:
        drawn = (runs(*(rng.normal(size=200) + rng.normal(size=(seeds, 200)) * 2 for _ in "AB")) for _ in range(100))
        return float(np.mean([resolution(sums, 5) for sums in drawn]))

    of_three, of_ten = mean_of(3), mean_of(10)
    assert of_three == pytest.approx(mean_of(5), rel=0.08)
    assert of_ten == pytest.approx(mean_of(5), rel=0.08)


def test_resolution_brings_the_seeds_to_their_number() -> None:
    """A seed that moves a whole run by much: what is left of users' scatter does not count."""
    rng = np.random.default_rng(1)
    moved = rng.normal(size=(2, 3, 1)) * 10
    sums = runs(*(moved + rng.normal(size=(2, 3, 200)) * 0.01))
    a, b = moved.var(axis=(1, 2), ddof=1)
    for seeds in (3, 5, 20):
        freedom = (a + b) ** 2 / (a**2 + b**2) * (seeds - 1)  # Welch's test of the seeds' means
        quantiles = stats.t.ppf([0.975, 0.8], freedom).sum()
        assert resolution(sums, seeds) == pytest.approx(quantiles * ((a + b) / seeds) ** 0.5, rel=0.01)


def test_stability_over_halves_is_the_share_of_all_halves() -> None:
    rng = np.random.default_rng(2)
    a, b = rng.normal(0.3, 1, size=8), rng.normal(0, 1, size=8)
    counts = rng.integers(1, 4, size=8).astype(float)
    if a.sum() < b.sum():
        a, b = b, a
    halves = [list(half) for half in itertools.combinations(range(8), 4)]
    share = np.mean([a[half].sum() >= b[half].sum() for half in halves])
    found = stability(runs(b, a, counts=counts))
    assert found.users == pytest.approx(share, abs=0.04)
    assert found.seeds is None


def test_stability_over_seeds() -> None:
    steady, wild = np.full((3, 6), 1.0), np.array([-1.0, 0.0, 1.0])[:, None] * np.ones((1, 6))
    # only three times the third seed, scaled by sqrt(3 / 2), is above 1: one draw in 27
    found = stability(runs(steady, wild), draws=4_000)
    assert found.users == 1.0
    assert found.seeds == pytest.approx(1 - 1 / 27, abs=0.012)
    assert stability(runs(np.ones(1), np.zeros(1))).users is None
