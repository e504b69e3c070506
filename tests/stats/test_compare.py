"""The paired comparison: against exact enumeration, and the invariants that a wrong unit would break."""

from __future__ import annotations

import dataclasses
import itertools
import math
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recbench.errors import UsageError
from recbench.evaluation import metric, ndcg
from recbench.stats import Comparison, compare
from recbench.stats.resample import bootstrap_ratio, sign_flip_p, two_level_interval
from recbench.types import CaseResults

NDCG = metric("NDCG@10").values


def cases(users: np.ndarray, ranks: np.ndarray) -> CaseResults:
    n = len(users)
    ones = np.ones(n, np.int32)
    ranks = np.atleast_2d(ranks).astype(np.int32)
    return CaseResults(users.astype(np.int32), ranks, np.zeros(n, bool), ones, ones, tuple(range(len(ranks))))


def random_pair(rng: np.random.Generator, users: int, n: int, seeds: int = 1, lead: float = 0.0) -> list[CaseResults]:
    who = np.concatenate([np.arange(users), rng.integers(users, size=n - users)])
    hit = [0.2 + lead, 0.2]
    shape = (seeds, n)
    return [cases(who, np.where(rng.random(shape) < p, rng.integers(1, 11, shape), 0)) for p in hit]


@settings(max_examples=40, deadline=None)
@given(st.integers(2, 9), st.integers(0, 2**32 - 1))
def test_p_is_the_exact_share_of_sign_patterns(users: int, seed: int) -> None:
    a, b = random_pair(np.random.default_rng(seed), users, 4 * users, seeds=2)
    sums = np.bincount(a.users, weights=ndcg(a.ranks).mean(0) - ndcg(b.ranks).mean(0))
    flips = np.array(list(itertools.product([-1, 1], repeat=users))) @ sums
    expected = np.mean(np.abs(flips) >= abs(sums.sum()) - 1e-12)
    assert compare(a, b, NDCG).p == pytest.approx(expected)


def test_sampled_p_is_near_the_exact_one() -> None:
    sums = np.random.default_rng(5).normal(0.4, 1, size=12)
    exact = sign_flip_p(sums, 2**12, np.random.default_rng(0))
    assert sign_flip_p(sums, 2**12 - 1, np.random.default_rng(0)) == pytest.approx(exact, abs=0.03)


def test_swapping_the_two_only_changes_signs() -> None:
    a, b = random_pair(np.random.default_rng(1), 30, 200, seeds=3, lead=0.1)
    ab, ba = compare(a, b, NDCG), compare(b, a, NDCG)
    assert ab.difference == pytest.approx(-ba.difference)
    assert ab.interval == pytest.approx((-ba.interval[1], -ba.interval[0]))
    assert ab.p == pytest.approx(ba.p)
    assert ab.effect == pytest.approx(-ba.effect)
    assert (ab.wins, ab.ties, ab.losses) == (ba.losses, ba.ties, ba.wins)
    assert ab.detectable == pytest.approx(ba.detectable)
    # its seed draws differ between the sides, so it only agrees up to simulation error
    assert ab.interval_two_level == pytest.approx((-ba.interval_two_level[1], -ba.interval_two_level[0]), abs=0.004)


def test_the_same_call_gives_the_same_numbers_and_a_run_ties_with_itself() -> None:
    a, b = random_pair(np.random.default_rng(2), 30, 200, seeds=2)
    assert compare(a, b, NDCG) == compare(a, b, NDCG)
    self = compare(a, a, NDCG)
    assert (self.p, self.difference, self.effect, self.wins, self.ties, self.losses) == (1.0, 0.0, 0.0, 0, 30, 0)
    assert self.interval == (0.0, 0.0)


def test_repeating_cases_of_a_user_creates_no_significance() -> None:
    a, b = random_pair(np.random.default_rng(4), 40, 200, lead=0.08)
    rows = np.tile(np.arange(200), 10)
    many = [cases(r.users[rows], r.ranks[:, rows]) for r in (a, b)]
    once, ten = compare(a, b, NDCG), compare(*many, NDCG)
    assert ten.n_cases == 10 * once.n_cases
    assert ten.p == pytest.approx(once.p)
    assert ten.interval == pytest.approx(once.interval)
    assert ten.effect == pytest.approx(once.effect)


def test_p_is_uniform_where_nothing_differs() -> None:
    rng = np.random.default_rng(6)
    pvalues = [compare(*random_pair(rng, 25, 150, seeds=2), NDCG, resamples=499).p for _ in range(200)]
    for level in (0.05, 0.25, 0.5):
        share = np.mean(np.array(pvalues) <= level)
        assert share == pytest.approx(level, abs=3.5 * math.sqrt(level * (1 - level) / 200))


def test_bootstrap_interval_covers_the_truth() -> None:
    rng = np.random.default_rng(7)
    covered = []
    for _ in range(200):
        counts = rng.integers(1, 20, size=60).astype(float)
        sums = counts * 0.1 + rng.normal(size=60) * np.sqrt(counts)
        (low, high), _ = bootstrap_ratio(sums, counts, 499, rng)
        covered.append(low <= 0.1 <= high)
    assert np.mean(covered) == pytest.approx(0.93, abs=0.05)  # the percentile interval is slightly narrow at 60 users


def test_two_levels_equal_one_with_one_seed_and_widen_with_noisy_seeds() -> None:
    rng = np.random.default_rng(8)
    counts = rng.integers(1, 9, size=80).astype(float)
    a, b = rng.normal(size=(1, 80)), rng.normal(size=(1, 80))
    one = bootstrap_ratio((a - b)[0], counts, 9999, np.random.default_rng(0))[0]
    assert two_level_interval(a, b, counts, 9999, np.random.default_rng(1)) == pytest.approx(one, abs=0.02)
    noisy = a + np.array([[-1.0], [-0.5], [0], [0.5], [1.0]]) * counts
    low, high = two_level_interval(noisy, b, counts, 9999, np.random.default_rng(1))
    assert high - low > 1.5 * (one[1] - one[0])


def test_detectable_difference_has_its_power() -> None:
    # a normal difference with the detectable mean is found in about four of five draws
    rng = np.random.default_rng(9)
    counts = np.ones(100)
    detectable = 2.8016 * bootstrap_ratio(rng.normal(size=100), counts, 999, rng)[1]
    found = [sign_flip_p(rng.normal(detectable, 1, size=100), 499, rng) <= 0.05 for _ in range(200)]
    assert np.mean(found) == pytest.approx(0.8, abs=0.12)


def test_different_numbers_of_seeds_and_effect_by_hand() -> None:
    users = np.array([0, 0, 1, 2])
    a, b = cases(users, np.array([[1, 0, 1, 1], [1, 1, 1, 0]])), cases(users, np.array([0, 0, 1, 1]))
    c = compare(a, b, metric("HR@10").values, "HR@10")
    user_sums = np.array([1.5, 0, -0.5])
    assert c.difference == pytest.approx((1.5 + 0 - 0.5) / 4)
    assert c.effect == pytest.approx(user_sums.mean() / user_sums.std(ddof=1))
    assert (c.wins, c.ties, c.losses, c.n_users, c.n_cases) == (1, 1, 1, 3, 4)
    assert c.sd_a == pytest.approx(0.0)
    assert c.sd_b is None
    assert c.relative == pytest.approx(0.5)


@settings(max_examples=30, deadline=None)
@given(st.integers(2, 9), st.integers(0, 2**32 - 1))
def test_effect_is_of_the_same_estimand_as_the_difference(users: int, seed: int) -> None:
    """Its sign is the difference's also where active users decide, and only the test's own sums enter it."""
    a, b = random_pair(np.random.default_rng(seed), users, 6 * users)
    c = compare(a, b, NDCG)
    sums = np.bincount(a.users, weights=(ndcg(a.ranks) - ndcg(b.ranks)).mean(0))
    if sums.std() > 1e-9:
        assert c.effect == pytest.approx(sums.mean() / sums.std(ddof=1), abs=1e-9)
        assert c.effect * c.difference >= 0


def test_effect_has_the_sign_of_the_difference_where_users_weigh_differently() -> None:
    # one user with six cases gains a little in each, two with one case lose much: more is gained than lost
    users = np.array([0] * 6 + [1, 2])
    a = cases(users, np.array([1] * 6 + [0, 0]))
    b = cases(users, np.array([2] * 6 + [1, 1]))
    c = compare(a, b, NDCG)
    user_means = np.array([1 - ndcg(np.array(2)), -1, -1])
    assert c.difference > 0
    assert c.effect > 0
    assert user_means.mean() < 0


def test_one_user_has_no_interval() -> None:
    a, b = cases(np.zeros(3), np.array([1, 1, 1])), cases(np.zeros(3), np.array([1, 0, 0]))
    c = compare(a, b, NDCG)
    assert c.p == 1.0
    assert all(math.isnan(x) for x in (*c.interval, *c.interval_two_level, c.effect, c.detectable))


def test_other_cases_are_refused() -> None:
    a, b = random_pair(np.random.default_rng(0), 5, 20)
    shorter = cases(b.users[1:], b.ranks[:, 1:])
    with pytest.raises(UsageError, match=r"different test cases \(20 and 19 cases\)"):
        compare(a, shorter, NDCG)
    with pytest.raises(UsageError, match="different test cases"):
        compare(a, dataclasses.replace(b, popularity=b.popularity + 1), NDCG)
    with pytest.raises(UsageError, match="no test cases"):
        compare(cases(np.zeros(0), np.zeros((1, 0))), cases(np.zeros(0), np.zeros((1, 0))), NDCG)


def test_speed() -> None:
    a, b = random_pair(np.random.default_rng(0), 166, 2500, seeds=5)
    compare(a, b, NDCG)
    start = time.process_time()
    assert isinstance(compare(a, b, NDCG), Comparison)
    assert time.process_time() - start < 1.0
