"""k_core against the definition, computed in plain Python."""

from __future__ import annotations

from collections import Counter

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from recbench.data.kcore import k_core

pairs = st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), max_size=80)


def brute_force(rows: list[tuple[int, int]], k: int) -> list[int]:
    kept = list(range(len(rows)))
    while True:
        users, items = Counter(rows[i][0] for i in kept), Counter(rows[i][1] for i in kept)
        left = [i for i in kept if users[rows[i][0]] >= k and items[rows[i][1]] >= k]
        if left == kept:
            return kept
        kept = left


@given(pairs, st.integers(1, 5))
def test_agrees_with_brute_force(rows, k):
    users, items = np.array(rows, dtype=np.int64).reshape(-1, 2).T
    assert np.flatnonzero(k_core(users, items, k)).tolist() == brute_force(rows, k)


def test_removal_cascades():
    users, items = np.array([0, 0, 1, 1, 2]), np.array([0, 1, 0, 1, 1])
    assert k_core(users, items, 2).tolist() == [True, True, True, True, False]
    assert not k_core(users, items, 3).any()
