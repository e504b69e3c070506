"""What parts share, against loops over windows."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recbench.data.audit import audit
from recbench.data.leaks import leaks
from recbench.data.protocols import PROTOCOLS
from recbench.types import PAD, Catalog, Sequences, Split

USERS, ITEMS, WIDTH = 3, 4, 2
Window = tuple[int, tuple[int, ...], int, int]  # user, history, target, time
windows = st.lists(
    st.tuples(
        st.integers(0, USERS - 1),
        st.lists(st.integers(0, ITEMS - 1), min_size=1, max_size=WIDTH).map(tuple),
        st.integers(0, ITEMS - 1),
        st.integers(0, 5),
    ),
    min_size=1,
    max_size=8,
)


def sequences(rows: list[Window]) -> Sequences:
    rows = sorted(rows, key=lambda row: row[3])
    history = [[PAD] * (WIDTH - len(row[1])) + list(row[1]) for row in rows]
    users, target, time = ([row[i] for row in rows] for i in (0, 2, 3))
    return Sequences(
        np.array(users, np.int32), np.array(history, np.int32), np.array(target, np.int32), np.array(time, np.int64)
    )


def split_of(train: list[Window], valid: list[Window], test: list[Window], protocol: str = "released") -> Split:
    names = tuple(map(str, range(ITEMS)))
    parts = (sequences(rows) for rows in (train, valid, test))
    return Split(Catalog(names, names), tuple(map(str, range(USERS))), *parts, facts={"protocol": protocol})


@given(windows, windows, windows)
def test_overlaps_are_those_that_a_loop_finds(train, valid, test) -> None:
    found = leaks(split_of(train, valid, test))
    for overlap, earlier, later in zip(found.overlaps, (train, train, valid), (valid, test, test), strict=True):
        same = [row in earlier for row in later]
        assert overlap.windows == sum(same)
        again = [any(row[:3] == other[:3] for other in earlier) for row in later]
        assert overlap.windows_again == sum(a and not s for a, s in zip(again, same, strict=True))
        timed = [any((u, t, when) == (o[0], o[2], o[3]) for o in earlier) for u, _, t, when in later]
        assert overlap.targets == sum(timed)
        ever = [any((u, t) == (o[0], o[2]) for o in earlier) for u, _, t, _ in later]
        assert overlap.targets_again == sum(e and not t for e, t in zip(ever, timed, strict=True))
        assert overlap.in_histories == sum(any(u == o[0] and t in o[1] for o in earlier) for u, _, t, _ in later)
        assert overlap.size == len(later)
    met = [any(u == o[0] and t in (*o[1], o[2]) for o in train) for u, _, t, _ in test]
    assert found.met == pytest.approx(np.mean(met))
    repeats = [
        t in h or any(u == o[0] and t in (*o[1], o[2]) and o[3] < when for o in train) for u, h, t, when in train
    ]
    assert found.met_in_training == pytest.approx(np.mean(repeats))


@given(windows, windows, windows, st.sampled_from(["released", "leave_one_out"]))
def test_boundaries_are_those_that_a_loop_finds(train, valid, test, protocol) -> None:
    found = leaks(split_of(train, valid, test, protocol))
    for boundary, earlier, later in zip(found.boundaries, (train, train, valid), (valid, test, test), strict=True):

        def others(part: list[Window], user: int) -> list[int]:
            return [row[3] for row in part if row[0] == user or protocol == "released"]

        late = before = after = 0
        left, right = set(), set()
        for user, _, _, when in earlier:
            start = min(others(later, user), default=99)
            late, before = late + (when > start), before + (when == start)
            left |= {user} if when == start else set()
        for user, _, _, when in later:
            end = max(others(earlier, user), default=-1)
            after += when == end
            right |= {user} if when == end else set()
        assert (boundary.late, boundary.tied_before, boundary.tied_after) == (late, before, after)
        assert boundary.tied_users == len(left & right)


def test_every_kind_of_leak_is_told_and_a_split_by_protocol_has_none() -> None:
    """Each user meets items of their own, 24 in turn, so that nothing repeats by itself."""
    n, each = 10, 24
    users = np.repeat(np.arange(n), each).astype(np.int32)
    names = tuple(map(str, range(n * each)))
    for protocol in ("sliding", "leave_one_out"):
        time = np.arange(n * each) % each * n + users
        parts, _ = PROTOCOLS[protocol].cut(users, np.arange(n * each, dtype=np.int32), time, 5)
        split = Split(Catalog(names, names), names[:n], *parts, facts={"protocol": protocol})
        audit(split)
        assert leaks(split).sentences() == []

    def told(**parts: Sequences) -> str:
        return " ".join(leaks(replace(split, **parts)).sentences())

    def joined(a: Sequences, b: Sequences) -> Sequences:
        columns = ("users", "history", "target", "time")
        both = Sequences(*(np.concatenate([getattr(a, c), getattr(b, c)]) for c in columns))
        return both.take(np.argsort(both.time, kind="stable"))

    train, test = split.train, split.test
    early = replace(test, time=test.time * 0)
    assert "10 of 10 test windows are training windows (same user, items, time)." in told(train=joined(train, test))
    assert "10 training windows lie after the beginning of the validation set" in told(train=joined(train, test))
    again = "10 of 10 test windows are training windows at another time, more than 1%."
    assert again in told(train=joined(train, early))
    other = replace(test, history=np.roll(test.history, 1, axis=1))
    assert "10 of 10 test interactions are training targets (same user, item, time)." in told(
        train=joined(train, other)
    )
    seen = replace(test, history=np.roll(test.history, 1, axis=1), time=test.time * 0 + train.time[-1])
    assert "The users had 100.0% of the test targets in training, but repeat only" in told(train=joined(train, seen))
    assert leaks(replace(split, train=joined(train, early))).sentences(repeats=True) == []


@given(st.integers(0, 10_000), st.sampled_from(["sliding", "leave_one_out"]))
def test_what_the_protocols_cut_never_leaks_and_ties_are_no_leak(seed: int, protocol: str) -> None:
    rng = np.random.default_rng(seed)
    users = np.repeat(np.arange(4), 8).astype(np.int32)
    items = np.concatenate([rng.permutation(12)[:8] for _ in range(4)]).astype(np.int32)
    names = tuple(map(str, range(12)))
    parts, _ = PROTOCOLS[protocol].cut(users, items, rng.integers(6, size=32), 4)
    split = Split(Catalog(names, names), names[:4], *parts, facts={"protocol": protocol})
    audit(split)
    assert leaks(split).sentences() == []
    mixed = split.train.take(rng.permutation(len(split.train)))
    half = len(mixed) // 2
    first, last = (sorted_in_time(mixed.take(rows)) for rows in (np.arange(half), np.arange(half, len(mixed))))
    if first.time[-1] > last.time[0]:
        shuffled = replace(split, train=first, valid=last, facts={"protocol": "sliding"})
        assert any("lie after the beginning of the validation set" in text for text in leaks(shuffled).sentences())


def sorted_in_time(windows: Sequences) -> Sequences:
    return windows.take(np.argsort(windows.time, kind="stable"))
