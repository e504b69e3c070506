"""What a search chooses: not what lies within the error of validation."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import pytest
from scipy import stats

from recbench.evaluation.ranks import standard_error
from recbench.tuning import Trial, choose

USERS = np.repeat(np.arange(50), 4).astype(np.int32)


def trial(gains: Any) -> Trial:
    return Trial({}, cast("Any", None), np.asarray(gains, np.float64), USERS)


def test_a_small_lead_does_not_count_and_a_large_one_does() -> None:
    random = np.random.default_rng(0)
    first = random.random(200)
    noise = random.normal(0, 0.2, 200)
    noise -= noise.mean()
    little, much = trial(first + noise + 0.005), trial(first + noise + 0.1)
    assert little.score > trial(first).score
    assert choose([trial(first), little]).gains is not little.gains
    assert choose([little, trial(first)]).gains is little.gains
    for order in ([trial(first), much], [much, trial(first)]):
        assert choose(order).gains is much.gains


def test_the_best_decoder_of_one_model_is_taken_as_it_is() -> None:
    gains = np.random.default_rng(3).random(200)
    found = [Trial({"decoder": name}, cast("Any", None), gains + lead, USERS) for name, lead in (("a", 0), ("b", 1e-6))]
    assert choose(found) is found[1]


def test_of_equal_settings_the_first_is_taken() -> None:
    same = [trial(np.ones(200)), trial(np.ones(200))]
    assert choose(same) is same[0]


def test_the_error_is_that_of_users() -> None:
    gains = np.random.default_rng(1).random(200)
    own = gains.reshape(50, 4).mean(axis=1)  # as many cases a user: the mean over cases is the mean over users
    assert standard_error(gains, USERS) == pytest.approx(stats.sem(own), rel=1e-12)
    assert standard_error(gains, np.arange(200)) == pytest.approx(stats.sem(gains), rel=1e-12)
    assert np.isnan(standard_error(gains, np.zeros(200, np.int32)))


def test_the_error_of_unlike_users_is_that_of_a_bootstrap() -> None:
    random = np.random.default_rng(2)
    users = np.repeat(np.arange(80), random.integers(1, 20, 80))
    gains = random.random(len(users)) * random.random(80)[users]
    sums, counts = np.bincount(users, gains), np.bincount(users)
    drawn = random.integers(80, size=(4000, 80))
    means = sums[drawn].sum(axis=1) / counts[drawn].sum(axis=1)
    assert standard_error(gains, users) == pytest.approx(means.std(), rel=0.06)
