"""The paired comparison: against exact enumeration, and the invariants that a wrong unit would break."""

from __future__ import annotations

import dataclasses
import itertools
import math
from dataclasses import asdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from recbench.errors import UsageError
from recbench.evaluation import metric, ndcg
from recbench.stats import compare, compare_all, user_sums
from recbench.stats.compare import detectable
from recbench.stats.resample import Bootstrap, sign_flip_p
from recbench.stats.sums import UserSums
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


@settings(max_examples=40)
@given(st.integers(2, 9), st.integers(0, 2**32 - 1))
def test_p_is_the_exact_share_of_sign_patterns(users: int, seed: int) -> None:
    a, b = random_pair(np.random.default_rng(seed), users, 4 * users, seeds=2)
    sums = np.bincount(a.users, weights=ndcg(a.ranks).mean(0) - ndcg(b.ranks).mean(0))
    flips = np.array(list(itertools.product([-1, 1], repeat=users))) @ sums
    expected = np.mean(np.abs(flips) >= abs(sums.sum()) - 1e-12)
    assert compare(a, b, NDCG).p == pytest.approx(expected)


def flip(sums: np.ndarray, resamples: int, seed: int = 0) -> float:
    """p of summed differences: of two runs, the second of which is 0."""
    rows = np.stack([sums, np.zeros_like(sums)], axis=1)
    return sign_flip_p(rows, [(0, 1)], resamples, np.random.default_rng(seed))[0]


@pytest.mark.parametrize("users", [12, 60, 500])
def test_sampled_p_is_near_scipys(users: int) -> None:
    sums = np.random.default_rng(5).normal(1.5 / users**0.5, 1, size=users)
    rng = np.random.default_rng(1)
    scipys = stats.permutation_test(
        (sums,), np.sum, permutation_type="samples", n_resamples=4_095, batch=500, vectorized=True, rng=rng
    ).pvalue
    assert flip(sums, 2**12 - 2) == pytest.approx(scipys, abs=0.03)


def test_all_patterns_are_counted_where_they_are_few() -> None:
    sums = np.random.default_rng(5).normal(0.4, 1, size=12)
    patterns = np.array(list(itertools.product([-1, 1], repeat=12))) @ sums
    share = np.mean(np.abs(patterns) >= abs(sums.sum()) - 1e-12)
    assert flip(sums, 2**12 - 1, seed=0) == flip(sums, 2**12 - 1, seed=1) == pytest.approx(share)
    assert flip(sums, 2**12 - 2, seed=0) != flip(sums, 2**12 - 2, seed=1)


def test_swapping_the_two_only_changes_signs() -> None:
    a, b = random_pair(np.random.default_rng(1), 30, 200, seeds=3, lead=0.1)
    ab, ba = compare(a, b, NDCG), compare(b, a, NDCG)
    assert ab.difference == pytest.approx(-ba.difference)
    assert ab.interval == pytest.approx((-ba.interval[1], -ba.interval[0]))
    assert ab.p == pytest.approx(ba.p)
    assert ab.effect == pytest.approx(-ba.effect)
    assert (ab.wins, ab.ties, ab.losses) == (ba.losses, ba.ties, ba.wins)
    assert ab.detectable == pytest.approx(ba.detectable)
    assert (ab.by_user, ab.p_by_user) == pytest.approx((-ba.by_user, ba.p_by_user))
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


def noise(rng: np.random.Generator, users: int, seeds: int, run_sd: float) -> UserSums:
    """Two systems that are one: users differ, each scatters over seeds, and a seed moves a whole run."""
    counts = rng.integers(1, 9, size=users).astype(float)
    level = rng.normal(size=users)
    runs = [(level + rng.normal(size=(seeds, users)) + rng.normal(0, run_sd, (seeds, 1))) * counts for _ in "AB"]
    return UserSums(counts, tuple(runs))


def test_interval_over_users_is_scipys_percentile_interval_widened() -> None:
    sums = noise(np.random.default_rng(7), 40, 2, 0.5)
    difference = sums.difference(0, 1)

    def ratio(s: np.ndarray, c: np.ndarray, axis: int) -> np.ndarray:
        return s.sum(axis=axis) / c.sum(axis=axis)

    scipys = stats.bootstrap(
        (difference, sums.counts), ratio, paired=True, n_resamples=9_999, method="percentile", rng=0
    ).confidence_interval
    estimate = difference.sum() / sums.counts.sum()
    wider = math.sqrt(40 / 39) * stats.t.ppf(0.975, sums.levels(0, 1).users_freedom) / stats.norm.ppf(0.975)
    expected = [estimate + wider * (end - estimate) for end in scipys]
    assert Bootstrap(sums, 9_999, 0).users((0, 1)) == pytest.approx(expected, abs=0.03 * (expected[1] - expected[0]))


@pytest.mark.parametrize(("seeds", "run_sd"), [(5, 0.0), (5, 0.3), (3, 0.3), (5, 2.0), (3, 2.0)])
def test_interval_over_users_and_seeds_covers_the_truth(seeds: int, run_sd: float) -> None:
    """Few seeds, whether they scatter as users do or move whole runs; draws of S of S seeds alone cover 80 % at 3."""
    rng = np.random.default_rng(8)
    draws = [Bootstrap(noise(rng, 30, seeds, run_sd), 299, i).users_and_seeds((0, 1)) for i in range(300)]
    assert 0.91 <= np.mean([low <= 0 <= high for low, high in draws]) <= 0.99


def test_one_seed_has_no_seed_part_and_noisy_seeds_widen() -> None:
    one = Bootstrap(noise(np.random.default_rng(8), 80, 1, 0.5), 999, 0)
    assert one.users_and_seeds((0, 1)) == one.users((0, 1))
    many = Bootstrap(noise(np.random.default_rng(8), 80, 5, 2.0), 999, 0)
    (low, high), (lower, higher) = many.users((0, 1)), many.users_and_seeds((0, 1))
    assert higher - lower > 2 * (high - low)


def test_detectable_difference_has_its_power() -> None:
    # a normal difference with the detectable mean is found in about four of five draws
    rng = np.random.default_rng(9)
    shown = [flip(rng.normal(detectable(0.01, 99), 1, size=100), 499, i) <= 0.05 for i in range(200)]
    assert np.mean(shown) == pytest.approx(0.8, abs=0.12)
    sums = UserSums(np.ones(100), (rng.normal(size=(1, 100)), np.zeros((1, 100))))
    assert math.sqrt(sums.levels(0, 1).users) == pytest.approx(0.1, rel=0.3)


def test_a_pair_is_the_same_alone_and_among_others() -> None:
    rng = np.random.default_rng(3)
    who = np.arange(200) % 40
    runs = [cases(who, np.where(rng.random((s, 200)) < 0.3, rng.integers(1, 11, (s, 200)), 0)) for s in (5, 1, 3)]
    together = compare_all(runs, NDCG)
    alone = [compare(runs[a], runs[b], NDCG) for a, b in ((0, 1), (0, 2), (1, 2))]
    for one, other in zip(together, alone, strict=True):  # but for how BLAS rounds matrices of other shapes
        for name, value in asdict(one).items():
            theirs = asdict(other)[name]
            numbers = isinstance(value, float | tuple)
            assert value == (pytest.approx(theirs, rel=1e-9, abs=1e-12) if numbers else theirs), name
    assert compare_all(runs, NDCG, pairs=[]) == []


def test_a_difference_needs_p_and_the_interval() -> None:
    c = compare(*random_pair(np.random.default_rng(1), 30, 200, seeds=3, lead=0.3), NDCG)
    for low, high, p, shown in ((0.1, 0.2, 0.049, True), (-0.2, -0.1, 0.01, True), (-0.1, 0.2, 0.001, False)):
        assert dataclasses.replace(c, interval_two_level=(low, high)).differs(p) is shown
    assert not dataclasses.replace(c, interval_two_level=(0.1, 0.2)).differs(0.05)
    assert not dataclasses.replace(c, interval_two_level=(math.nan, math.nan)).differs(0.001)


def test_the_mean_over_users_is_a_quantity_of_its_own() -> None:
    a, b = random_pair(np.random.default_rng(11), 11, 60, seeds=2)
    c = compare(a, b, NDCG)
    own = np.array([(NDCG(a) - NDCG(b)).mean(0)[a.users == user].mean() for user in range(11)])
    flips = np.array(list(itertools.product([-1, 1], repeat=11))) @ own
    assert c.by_user == pytest.approx(own.mean())
    assert c.p_by_user == pytest.approx(np.mean(np.abs(flips) >= abs(own.sum()) - 1e-12))
    assert c.p_by_user != c.p


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


@settings(max_examples=30)
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
    assert c.p == c.p_two_level == 1.0
    assert all(math.isnan(x) for x in (*c.interval, *c.interval_two_level, c.effect, c.detectable))
    assert not c.differs(0.0)


def test_other_cases_are_refused() -> None:
    a, b = random_pair(np.random.default_rng(0), 5, 20)
    shorter = cases(b.users[1:], b.ranks[:, 1:])
    with pytest.raises(UsageError, match=r"different test cases \(20 and 19 cases\)"):
        compare(a, shorter, NDCG)
    with pytest.raises(UsageError, match="different test cases"):
        compare(a, dataclasses.replace(b, popularity=b.popularity + 1), NDCG)
    with pytest.raises(UsageError, match="no test cases"):
        user_sums([cases(np.zeros(0), np.zeros((1, 0)))], NDCG)


def test_many_pairs_are_given_more_patterns_only_where_p_is_small() -> None:
    """With many runs the p of a pair is still that of the enumeration, and small ones resolve far below 1 / 9,999."""
    rng = np.random.default_rng(4)
    users = 18
    runs = rng.normal(size=(users, 12)) * 0.3
    runs[:, 0] += 1.0  # far from all others
    pairs = list(itertools.combinations(range(12), 2))
    found = sign_flip_p(runs, pairs, 199_999, np.random.default_rng(1))
    signs = np.array(list(itertools.product([-1, 1], repeat=users)), dtype=np.int8)
    for (a, b), p in zip(pairs, found, strict=True):
        apart = runs[:, a] - runs[:, b]
        exact = float(np.mean(np.abs(signs @ apart) >= abs(apart.sum()) - 1e-12))
        # a pair is left out once a hundred patterns were as extreme, so p is known to a tenth or to 9,999 patterns
        assert p == pytest.approx(exact, rel=0.45, abs=4e-5)
    assert max(p for (a, _), p in zip(pairs, found, strict=True) if a == 0) < 1e-3
    assert min(found) < 1 / 10_000
