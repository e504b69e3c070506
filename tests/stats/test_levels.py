"""The variance over users and seeds, against statsmodels and scipy."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from recbench.stats.sums import UserSums


def drawn(seed: int, users: int, seeds: int, counts: np.ndarray | None = None) -> UserSums:
    rng = np.random.default_rng(seed)
    counts = np.ones(users) if counts is None else counts
    level = rng.normal(size=users)
    runs = tuple((level + rng.normal(size=(seeds, users)) + rng.normal(size=(seeds, 1))) * counts for _ in "AB")
    return UserSums(counts, runs)


def test_over_users_it_is_the_cluster_robust_variance_of_the_mean_over_cases() -> None:
    api = pytest.importorskip("statsmodels.api", reason="statsmodels is not installed")
    rng = np.random.default_rng(0)
    owner = np.concatenate([np.arange(30), rng.integers(30, size=170)])
    values = rng.normal(size=200) + rng.normal(size=30)[owner]
    counts = np.bincount(owner).astype(float)
    sums = UserSums(counts, (np.bincount(owner, weights=values)[None], np.zeros((1, 30))))
    fitted = api.OLS(values, np.ones(200)).fit(cov_type="cluster", cov_kwds={"groups": owner})
    assert sums.levels(0, 1).users == pytest.approx(fitted.bse[0] ** 2)


def test_spreads_are_the_mean_squares_of_a_two_way_layout() -> None:
    api = pytest.importorskip("statsmodels.api", reason="statsmodels is not installed")
    formula = pytest.importorskip("statsmodels.formula.api")
    import pandas as pd

    sums = drawn(1, 12, 4)
    seed, user = np.indices((4, 12))
    frame = pd.DataFrame({"y": sums.sums[0].ravel(), "seed": seed.ravel(), "user": user.ravel()})
    table = api.stats.anova_lm(formula.ols("y ~ C(seed) + C(user)", frame).fit())
    spread = sums.spreads[0]
    assert spread.variance == pytest.approx(table.loc["C(seed)", "mean_sq"] / 48)
    assert spread.interaction == pytest.approx(table.loc["Residual", "mean_sq"] / 48)
    assert spread.freedom == 3


def test_where_users_do_not_scatter_it_is_welchs() -> None:
    rng = np.random.default_rng(2)
    counts = rng.integers(1, 6, size=20).astype(float)
    a, b = rng.normal(size=3), rng.normal(size=5)
    levels = UserSums(counts, (a[:, None] * counts, b[:, None] * counts)).levels(0, 1)
    welch = stats.ttest_ind(a, b, equal_var=False)
    assert levels.users == pytest.approx(0, abs=1e-20)
    assert levels.share == pytest.approx(1)
    assert levels.freedom == pytest.approx(welch.df)
    assert (a.mean() - b.mean()) / levels.seeds**0.5 == pytest.approx(welch.statistic)


def test_seeds_that_scatter_no_more_than_users_add_nothing() -> None:
    rng = np.random.default_rng(3)
    runs = tuple(rng.normal(size=(5, 400)) for _ in "AB")
    centred = tuple(run - run.mean(axis=1, keepdims=True) for run in runs)
    levels = UserSums(np.ones(400), centred).levels(0, 1)
    assert (levels.seeds, levels.share) == (0.0, 0.0)
    assert levels.freedom == levels.users_freedom


def test_a_few_users_that_decide_leave_few_degrees_of_freedom() -> None:
    rng = np.random.default_rng(4)
    alike = UserSums(np.ones(200), (rng.choice([-1.0, 1.0], (1, 200)), np.zeros((1, 200))))
    assert alike.levels(0, 1).users_freedom == 199
    counts = np.ones(200)
    counts[:4] = 300  # what the other users differ by hardly counts
    heavy = UserSums(counts, (rng.normal(size=(1, 200)) * counts, np.zeros((1, 200))))
    assert 1 <= heavy.levels(0, 1).users_freedom < 8


def test_its_mean_is_the_variance_of_the_difference() -> None:
    found, differences = [], []
    for seed in range(400):
        sums = drawn(seed, 30, 4, np.random.default_rng(0).integers(1, 5, 30).astype(float))
        levels = sums.levels(0, 1)
        found.append(levels.users + levels.seeds)
        differences.append(sums.difference(0, 1).sum() / sums.counts.sum())
    assert np.mean(found) == pytest.approx(np.var(differences), rel=0.2)
