"""Windows against a loop over users, and the rule that decides ties."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from recbench.data.windows import sliding_windows, targets_seen
from recbench.types import PAD

interactions = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 9), st.integers(0, 15)), min_size=1, max_size=70)


def windows_of(rows, size):
    users, items, times = np.array(rows, dtype=np.int64).T
    return sliding_windows(users.astype(np.int32), items.astype(np.int32), times, size)


def rows_of(w):
    return list(zip(w.time.tolist(), w.users.tolist(), w.history.tolist(), w.target.tolist(), strict=True))


def brute_force(rows, size):
    found = []
    for user in sorted({row[0] for row in rows}):
        own = sorted((row for row in rows if row[0] == user), key=lambda row: row[2])
        ends = range(size, len(own) + 1) if len(own) > size else [len(own)] if len(own) > 1 else []
        for end in ends:
            items = [row[1] for row in own[max(0, end - size) : end]]
            history = [PAD] * (size - len(items)) + items[:-1]
            found.append((own[end - 1][2], user, history, items[-1]))
    return sorted(found, key=lambda window: window[:2])  # stable: position decides last


@given(interactions, st.integers(2, 12))
def test_agrees_with_brute_force(rows, size):
    assert rows_of(windows_of(rows, size)) == brute_force(rows, size)


def test_eleven_give_one_window_and_twelve_give_two():
    assert len(windows_of([(0, i, i) for i in range(11)], 11)) == 1
    assert len(windows_of([(0, i, i) for i in range(12)], 11)) == 2
    short = windows_of([(0, i, i) for i in range(5)], 11)
    assert short.history.tolist() == [[PAD] * 6 + [0, 1, 2, 3]]
    assert short.target.tolist() == [4]


@given(interactions, st.randoms(use_true_random=False))
def test_only_the_order_within_a_users_ties_matters(rows, random):
    """Shuffling the file changes nothing as long as rows of one user and one time keep their order."""
    shuffled = rows.copy()
    random.shuffle(shuffled)
    for tie in {(row[0], row[2]) for row in rows}:
        places = [i for i, row in enumerate(shuffled) if (row[0], row[2]) == tie]
        for place, row in zip(places, [row for row in rows if (row[0], row[2]) == tie], strict=True):
            shuffled[place] = row
    assert rows_of(windows_of(shuffled, 4)) == rows_of(windows_of(rows, 4))


def test_a_users_tie_is_broken_by_position():
    assert windows_of([(0, 7, 5), (0, 3, 5), (0, 1, 2)], 11).history[0, -2:].tolist() == [1, 7]
    assert windows_of([(0, 3, 5), (0, 7, 5), (0, 1, 2)], 11).history[0, -2:].tolist() == [1, 3]


@given(interactions, st.integers(2, 8), st.integers(1, 5))
def test_targets_are_counted_as_a_loop_does(rows, size, step):
    """Windows share interactions: an epoch sees some of them often, some never."""
    known = windows_of(rows, size)
    if not len(known):
        return
    some = known.take(np.arange(0, len(known), step))
    counts: dict[tuple[int, int], int] = {}
    for user, history, target in zip(some.users, some.history, some.target, strict=True):
        for item in [*(i for i in history if i != PAD), target][1:]:
            counts[user, item] = counts.get((user, item), 0) + 1
    whole = {
        (u, i) for u, h, t in zip(known.users, known.history, known.target, strict=True) for i in (*h, t) if i != PAD
    }
    found = targets_seen(some, known)
    assert (found.total, found.seen, found.known) == (sum(counts.values()), len(counts), len(whole))
