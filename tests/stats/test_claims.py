"""The p-value over users and seeds, and the larger one that Holm corrects."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from recbench.evaluation import metric
from recbench.stats import compare, compare_all, holm
from recbench.stats.sums import UserSums
from recbench.types import CaseResults

NDCG = metric("NDCG@10").values


def cases(ranks: np.ndarray) -> CaseResults:
    """One case a user."""
    ranks = np.atleast_2d(ranks).astype(np.int32)
    users = np.arange(ranks.shape[1], dtype=np.int32)
    return CaseResults(users, ranks, users < 0, users, users, tuple(range(len(ranks))))


def test_p_over_users_and_seeds_is_welchs_where_seeds_decide_and_a_paired_t_test_where_users_do() -> None:
    rng = np.random.default_rng(4)
    same = [cases(np.ones(60))] * 2
    one, other = rng.normal(size=(2, 60))
    values = iter([one[None], other[None]])
    paired = compare(*same, lambda _: next(values))
    freedom = user_sums_of(one, other).levels(0, 1).users_freedom
    t = stats.ttest_rel(one, other).statistic
    assert paired.p_two_level == pytest.approx(2 * stats.t.sf(abs(t), freedom))
    moved = rng.normal(size=(2, 4, 1))
    values = iter(moved + rng.normal(size=(2, 4, 60)) * 1e-4)
    of_seeds = compare(*same, lambda _: next(values))
    welch = stats.ttest_ind(*moved[..., 0], equal_var=False).pvalue
    assert of_seeds.p_two_level == pytest.approx(welch, rel=1e-3)
    assert of_seeds.p < of_seeds.p_two_level == of_seeds.p_claim


def test_users_who_all_differ_alike_leave_it_to_the_permutation() -> None:
    c = compare(cases(np.array([1, 1, 1])), cases(np.array([2, 2, 2])), NDCG)
    assert (c.p, c.p_two_level, c.p_claim) == (0.25, 0.0, 0.25)


@pytest.mark.parametrize("seeds", [3, 5])
def test_a_page_of_equal_rows_whose_seeds_scatter_seldom_has_a_claim(seeds: int) -> None:
    """The permutation p alone, corrected over all pairs, makes one on every third page or more."""
    rng = np.random.default_rng(12)
    claims = alone = 0
    for page in range(150):
        level = rng.normal(size=40)
        runs = [level + rng.normal(size=(seeds, 40)) + rng.normal(0, 0.6, (seeds, 1)) for _ in range(4)]
        values = iter(runs)
        same = [cases(np.ones(40))] * 4
        found = compare_all(same, lambda _, values=values: next(values), resamples=199, seed=page)
        claims += bool((holm([c.p_claim for c in found]) < 0.05).any())
        alone += bool((holm([c.p for c in found]) < 0.05).any())
    assert alone > 50
    assert claims < 12


def user_sums_of(*values: np.ndarray) -> UserSums:
    return UserSums(np.ones(values[0].shape[-1]), tuple(np.atleast_2d(v) for v in values))


def test_two_runs_without_a_difference_have_no_p_below_1() -> None:
    same = cases(np.random.default_rng(2).integers(0, 11, size=(3, 40)))
    assert compare(same, same, NDCG).p_claim == 1.0
