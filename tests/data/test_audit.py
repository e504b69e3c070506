"""Every hard check fires, and the counts are right."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recbench.data.audit import audit
from recbench.data.protocols import PROTOCOLS
from recbench.data.windows import sliding_windows
from recbench.errors import DataError
from recbench.types import PAD, Catalog, Sequences, Split


def part(users, history, target, time) -> Sequences:
    return Sequences(
        np.array(users, dtype=np.int32),
        np.array(history, dtype=np.int32),
        np.array(target, dtype=np.int32),
        np.array(time, dtype=np.int64),
    )


GOOD = Split(
    Catalog(("1", "2", "3", "4"), ("A", "B", "C", "D")),
    ("u", "v"),
    train=part([0, 1], [[PAD, 0], [0, 1]], [1, 0], [1, 2]),
    valid=part([0], [[0, 1]], [2], [3]),
    test=part([0, 0, 1, 1], [[1, 2], [2, 0], [1, 0], [0, 2]], [0, 2, 2, 0], [3, 4, 5, 6]),
)


def test_counts():
    assert audit(GOOD) == {
        "users": 2,
        "items": 4,
        "windows": {"train": 2, "valid": 1, "test": 4},
        "test_users": 2,
        "top_ten_users_share": 1.0,
        "cold_share": 0.5,
        "repeat_share": 0.5,
        "test_windows_seen": 0,
        "test_targets_seen": 3,
    }


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"catalog": Catalog(("1", "2"), ("A",))}, "2 ids but 1 titles"),
        ({"catalog": Catalog(("1", "2", "3", "4"), ("A", "B", "C", ""))}, "Item '4' has an empty title"),
        ({"catalog": Catalog(("1", "2", "3", "4"), ("A", "B", "C", "A"))}, "Items '1' and '4' share the title 'A'"),
        ({"valid": GOOD.valid.take(np.array([], dtype=int))}, "The validation set is empty"),
        ({"valid": replace(GOOD.valid, target=np.array([4], dtype=np.int32))}, "validation set has a target out of"),
        ({"valid": replace(GOOD.valid, users=np.array([2], dtype=np.int32))}, "validation set has a user out of range"),
        ({"valid": replace(GOOD.valid, history=np.array([[0, -2]], dtype=np.int32))}, "a history item out of range"),
        ({"valid": replace(GOOD.valid, history=np.array([[0, PAD]], dtype=np.int32))}, "empty or not padded on"),
        ({"test": GOOD.test.take(np.array([1, 0]))}, "The test windows are not sorted by time"),
        ({"valid": replace(GOOD.valid, time=np.array([9]))}, "test windows begin at time 3, before the validation"),
        ({"test": replace(GOOD.valid, time=np.array([3]))}, "1 windows occur in both the validation and the test set"),
        ({"sample": np.array([2], dtype=np.int32)}, "names rows beyond the 2 training windows"),
    ],
)
def test_violations(change, message):
    with pytest.raises(DataError, match=message):
        audit(replace(GOOD, **change))


def chain(users: int, each: int) -> Split:
    """Sliding windows of users who each meet items of their own."""
    n = users * each
    users_, items = np.repeat(np.arange(users), each).astype(np.int32), np.arange(n, dtype=np.int32)
    parts, _ = PROTOCOLS["sliding"].cut(users_, items, np.arange(n) % each * users + users_, 5)
    names = tuple(map(str, range(n)))
    return Split(Catalog(names, names), tuple(map(str, range(users))), *parts, facts={"protocol": "sliding"})


def joined(a: Sequences, b: Sequences) -> Sequences:
    columns = ("users", "history", "target", "time")
    both = Sequences(*(np.concatenate([getattr(a, c), getattr(b, c)]) for c in columns))
    return both.take(np.argsort(both.time, kind="stable"))


def test_test_windows_copied_into_train_with_an_earlier_time_are_refused():
    """The reproduction of A7: the windows' time differs, and nothing else does."""
    split = chain(10, 24)
    assert audit(split)["test_windows_seen"] == 0
    early = replace(split.test, time=np.full(len(split.test), split.train.time[0]))
    leaking = replace(split, train=joined(split.train, early))
    with pytest.raises(DataError, match=r"20 of 20 test windows are training windows at another time .* more than 1%"):
        audit(leaking)
    assert audit(leaking, repeats=True)["test_windows_seen"] == 20
    with pytest.raises(DataError, match=r"20 of 20 test windows are validation windows at another time"):
        audit(replace(split, valid=joined(split.valid, replace(early, time=early.time * 0 + split.valid.time[0]))))


def test_a_few_repeated_windows_are_counted():
    split = chain(40, 40)
    early = split.test.take(np.arange(1))
    train = joined(split.train, replace(early, time=split.train.time[:1]))
    facts = audit(replace(split, train=train))
    assert len(split.test) > 100
    assert (facts["test_windows_seen"], facts["test_targets_seen"]) == (1, 1)


def test_the_rule_about_time_is_the_protocols():
    rows = np.repeat(np.arange(3), 6).astype(np.int32)  # the users come one after the other
    parts, facts = PROTOCOLS["leave_one_out"].cut(rows, np.arange(18, dtype=np.int32), np.arange(18), 4)
    names = tuple(map(str, range(18)))
    split = Split(Catalog(names, names), ("a", "b", "c"), *parts, facts={"protocol": "leave_one_out", **facts})
    audit(split)
    with pytest.raises(DataError, match="each part must come after"):
        audit(replace(split, facts={"protocol": "sliding"}))
    with pytest.raises(DataError, match="names the protocol 'other': choose from sliding, leave_one_out, released"):
        audit(replace(split, facts={"protocol": "other"}))
    later = replace(split.train, time=split.train.time + 9)
    with pytest.raises(DataError, match="User 'a' has a validation window before the end of an earlier part"):
        audit(replace(split, train=later))
    with pytest.raises(DataError, match="User 'a' has 2 test windows; leave_one_out allows one"):
        audit(replace(split, test=joined(split.test.take(np.array([0])), split.test)))
    history = split.test.history.copy()
    history[1, -1] = 0
    with pytest.raises(DataError, match="test history of user 'b' does not end with the validation target"):
        audit(replace(split, test=replace(split.test, history=history)))


@given(
    st.lists(st.tuples(st.integers(0, 2), st.integers(0, 40)), min_size=1, max_size=60, unique=True),
    st.randoms(use_true_random=False),
)
def test_train_counts_count_each_interaction_once(rows, random):
    users, items = np.array(rows, dtype=np.int32).T
    windows = sliding_windows(users, items, np.arange(len(rows)), 5)
    split = replace(GOOD, catalog=Catalog(("",) * 41, ("",) * 41), train=windows)
    single = [u for u in set(users) if (users == u).sum() == 1]  # gives no window
    expected = np.bincount(items[~np.isin(users, single)], minlength=41)
    assert split.train_counts().tolist() == expected.tolist()

    some = windows.take(np.array(sorted(random.sample(range(len(windows)), len(windows) // 2)), dtype=int))
    there = {(int(u), int(i)) for u, h, t in zip(some.users, some.history, some.target, strict=True) for i in (*h, t)}
    expected = np.bincount([i for _, i in there if i != PAD], minlength=41)
    assert replace(split, train=some).train_counts().tolist() == expected.tolist()
