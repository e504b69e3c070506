"""leave_one_out against a loop over users; sliding is tested by its windows and its cut."""

from __future__ import annotations

from typing import get_args

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recbench.data.audit import audit
from recbench.data.options import ProtocolName
from recbench.data.protocols import PROTOCOLS
from recbench.data.windows import interactions as targets
from recbench.data.windows import sliding_windows
from recbench.errors import DataError
from recbench.types import PAD, Catalog, Split

interactions = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 9), st.integers(0, 15)), min_size=1, max_size=70)


def rows_of(w):
    return list(zip(w.time.tolist(), w.users.tolist(), w.history.tolist(), w.target.tolist(), strict=True))


def held_out(rows, size, back):
    """One window a user with four or more interactions: ``back`` places before the last is the target."""
    found = []
    for user in sorted({row[0] for row in rows}):
        own = sorted((row for row in rows if row[0] == user), key=lambda row: row[2])
        if len(own) >= 4:
            items = [row[1] for row in own[: len(own) - back]][-size:]
            found.append((own[-1 - back][2], user, [PAD] * (size - len(items)) + items[:-1], items[-1]))
    return sorted(found, key=lambda window: window[:2])


@given(interactions, st.integers(2, 6))
def test_leave_one_out_agrees_with_a_loop(rows, size):
    users, items, times = np.array(rows, dtype=np.int64).T
    columns = users.astype(np.int32), items.astype(np.int32), times
    few = sum(0 < (users == u).sum() < 4 for u in range(5))
    if not held_out(rows, size, 0):
        with pytest.raises(DataError, match="no user has the 4 interactions"):
            PROTOCOLS["leave_one_out"].cut(*columns, size)
        return
    (train, valid, test), facts = PROTOCOLS["leave_one_out"].cut(*columns, size)
    assert rows_of(test) == held_out(rows, size, 0)
    assert rows_of(valid) == held_out(rows, size, 1)
    assert facts == {"users_left_out": few}
    rest = []
    for user in range(5):
        own = sorted((n for n in range(len(rows)) if rows[n][0] == user), key=lambda n: rows[n][2])
        rest += own[:-2] if len(own) >= 4 else []
    rest = sorted(rest)
    expected = sliding_windows(*(column[rest] for column in columns), size)
    assert rows_of(train) == rows_of(expected)
    assert [part.history.dtype for part in (train, valid, test)] == [np.int32] * 3
    assert [part.time.dtype for part in (train, valid, test)] == [np.int64] * 3
    names = tuple(map(str, range(10)))
    split = Split(Catalog(names, names), names[:5], train, valid, test, facts={"protocol": "leave_one_out"})
    try:
        audit(split, repeats=True)
    except DataError as error:  # of ten items at sixteen times, some windows are alike to the second
        assert "occur in both" in str(error)  # noqa: PT017


def test_the_options_name_the_protocols_that_cut():
    assert set(get_args(ProtocolName)) == {name for name, found in PROTOCOLS.items() if found.cut}


@pytest.mark.parametrize("name", sorted(name for name, found in PROTOCOLS.items() if found.cut))
@given(st.integers(0, 2**31))
def test_no_title_of_a_training_window_is_held_out(name, seed):
    """With every title of a window a target, training sees no interaction that validation or test asks for."""
    random = np.random.default_rng(seed)
    lengths = random.integers(5, 30, size=6)
    users = np.repeat(np.arange(6), lengths).astype(np.int32)
    items = np.concatenate([random.permutation(60)[:n] for n in lengths]).astype(np.int32)  # none twice a user
    times = random.permutation(len(users)).astype(np.int64)  # no two at the same time
    (train, valid, test), _ = PROTOCOLS[name].cut(users, items, times, 5)
    when = {(u, i): t for u, i, t in zip(users.tolist(), items.tolist(), times.tolist(), strict=True)}
    taught = {(int(code) >> 32, int(code) & 0xFFFFFFFF) for code in targets(train)}
    for part in (valid, test):
        asked = set(zip(part.users.tolist(), part.target.tolist(), strict=True))
        assert not taught & asked
        if name == "sliding":
            assert max(when[pair] for pair in taught) < min(when[pair] for pair in asked)
