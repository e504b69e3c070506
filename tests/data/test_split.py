"""The chronological cut and the seedless selections."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recbench.data.split import (
    cap_per_user,
    chronological,
    latest_tenth,
    sample_rows,
    strided,
    subsample,
    training_sample,
    untaught_rows,
)
from recbench.errors import DataError, UsageError
from recbench.interfaces import SilentReporter
from recbench.types import Catalog, Sequences, Split


def windows(users: list[int]) -> Sequences:
    n = len(users)
    rows = np.arange(n, dtype=np.int32)  # the target names the row
    return Sequences(np.array(users, dtype=np.int32), np.zeros((n, 2), dtype=np.int32), rows, rows.astype(np.int64))


def test_a_split_prints_its_size_alone():
    rows = windows([0, 0, 1])
    catalog = Catalog(("A", "B", "C"), ("a", "b", "c"))
    split = Split(catalog, ("x", "y"), train=rows, valid=rows.take(np.array([0])), test=rows.take(np.array([1, 2])))
    assert repr(split) == "Split(2 users, 3 items; windows: 3 train, 1 valid, 2 test)"


def test_the_counts_of_ml_100k():
    assert [len(part) for part in chronological(windows([0] * 89_857))] == [71_885, 8_986, 8_986]


@given(st.integers(6, 300))
def test_parts_are_consecutive_and_complete(n):
    parts = chronological(windows([0] * n))
    assert np.concatenate([part.target for part in parts]).tolist() == list(range(n))
    assert all(len(part) for part in parts)


@pytest.mark.parametrize("n", range(6))
def test_too_few_windows_are_an_error(n):
    with pytest.raises(DataError, match=f"{n} windows cannot be split 8:1:1"):
        chronological(windows([0] * n))


def test_latest_tenth():
    assert latest_tenth(35_060) == 31_554
    with pytest.raises(DataError, match="1 training window cannot give up its latest tenth"):
        latest_tenth(1)


@given(st.lists(st.integers(0, 5), min_size=1, max_size=120), st.integers(1, 30))
def test_cap_keeps_every_user_their_latest_window_and_the_order(users, n):
    capped = cap_per_user(windows(users), n)
    assert (np.diff(capped.target) > 0).all()
    for user in set(users):
        own = [row for row, u in enumerate(users) if u == user]
        kept = capped.target[capped.users == user].tolist()
        assert len(kept) == min(n, len(own))
        assert kept[-1] == own[-1]
        gaps = np.diff([-1, *(own.index(row) for row in kept)])
        assert gaps.max() - gaps.min() <= 1, "evenly spaced"


@given(st.integers(1, 500), st.integers(1, 600), st.integers(1, 600))
def test_smaller_samples_lie_within_larger_ones(total, a, b):
    small, large = sorted((a, b))
    assert set(sample_rows(total, small)) <= set(sample_rows(total, large))
    rows = sample_rows(total, small)
    assert len(rows) == min(small, total)
    assert (np.diff(rows) > 0).all()


def test_samples_are_the_same_on_every_machine():
    assert sample_rows(20, 5).tolist() == [2, 3, 5, 8, 12]
    assert subsample(windows([0] * 20), 5).target.tolist() == sample_rows(20, 5).tolist()


def test_the_release_sample_comes_first():
    train = windows([0] * 20)
    split = Split(Catalog((), ()), ("u",), train, train, train, sample=np.array([2, 4, 6], dtype=np.int32))
    assert training_sample(split, 10).target.tolist() == [2, 4, 6]
    assert len(training_sample(split, 2)) == 2


def test_an_empty_selection_is_a_usage_error():
    with pytest.raises(UsageError, match="At most 0 windows per user"):
        cap_per_user(windows([0]), 0)
    with pytest.raises(UsageError, match="A sample of 0 windows is empty"):
        sample_rows(3, 0)


@given(st.lists(st.integers(0, 4), min_size=1, max_size=60), st.integers(1, 12))
def test_a_stride_keeps_every_nth_window_of_a_user_back_from_the_last(users, stride):
    expected = [row for row, user in enumerate(users) if sum(later == user for later in users[row + 1 :]) % stride == 0]
    assert strided(windows(users), stride).target.tolist() == expected


def test_a_teacher_that_learned_every_title_is_asked_about_others() -> None:
    """With every title a target, a window is taught if any taught window holds its target, but as its first item."""
    rng = np.random.default_rng(0)
    n = 60
    history, target = rng.integers(12, size=(n, 3)), rng.integers(12, size=n)
    users = rng.integers(3, size=n).astype(np.int32)
    found = Sequences(users, history.astype(np.int32), target.astype(np.int32), np.arange(n, dtype=np.int64))
    taught = found.take(np.arange(8))
    learned = {
        (user, item)
        for user, row, last in zip(taught.users, taught.history, taught.target, strict=True)
        for item in (*row[1:], last)
    }
    others = [row for row in range(n) if (users[row], target[row]) not in learned]
    assert 5 < len(others) < n - 8  # more are taught than the eight windows themselves
    rows = untaught_rows(found, [(taught, True)], len(others), SilentReporter())
    assert rows.tolist() == others
    assert set(untaught_rows(found, [(taught, False)], n - 8, SilentReporter())) == set(range(8, n))
