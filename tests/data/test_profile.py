"""A split in numbers, against loops and against raw interactions."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recbench.data.profile import concentration, profile, titles
from recbench.data.protocols import PROTOCOLS
from recbench.types import PAD, Catalog, Split

ITEMS, EACH = 12, 9


def drawn(seed: int, protocol: str, repeats: bool) -> tuple[Split, np.ndarray, np.ndarray]:
    """A split of four users' interactions, and those, in order of time."""
    rng = np.random.default_rng(seed)
    users = np.repeat(np.arange(4), EACH).astype(np.int32)
    items = np.concatenate([rng.choice(ITEMS, EACH, replace=repeats) for _ in range(4)]).astype(np.int32)
    order = rng.permutation(len(users))
    times = np.empty(len(users), np.int64)
    times[order] = np.arange(len(users))
    parts, _ = PROTOCOLS[protocol].cut(users, items, times, 4)
    names = tuple(map(str, range(ITEMS)))
    rows = np.sort(rng.choice(len(parts[0]), 3, replace=False)).astype(np.int32)
    return Split(Catalog(names, names), tuple("abcd"), *parts, sample=rows), users, items


@given(st.integers(0, 10_000), st.sampled_from(["sliding", "leave_one_out"]), st.booleans())
def test_counts_are_those_of_loops(seed: int, protocol: str, repeats: bool) -> None:
    split, users, items = drawn(seed, protocol, repeats)
    found = profile(split)
    if not repeats:  # with few items and many repeats a window's place in its user's past is not certain
        assert found.interactions == len(users)
        assert found.density == pytest.approx(len(users) / (4 * ITEMS))
    assert (found.users, found.items, found.items_in_windows) == (4, ITEMS, len({*items.tolist()}))
    assert found.windows == {name: len(getattr(split, name)) for name in ("train", "valid", "test")}

    def held(rows) -> set[int]:
        return {int(i) for h, t in rows for i in (*h, t) if i != PAD}

    def rows(part) -> list:
        return list(zip(part.history, part.target, strict=True))

    train, valid = rows(split.train), rows(split.valid)
    against = {
        "training targets": {int(t) for _, t in train},
        "training interactions": held(train),
        "training sample": held([train[i] for i in split.sample]),
        "training and validation": held(train + valid),
    }
    for part, shares in found.cold.items():
        targets = getattr(split, part).target.tolist()
        assert set(shares) == set(against) - ({"training and validation"} if part == "valid" else set())
        for name, share in shares.items():
            assert share == pytest.approx(np.mean([t not in against[name] for t in targets]))
        assert found.ceiling[part] == pytest.approx(np.mean([t in against["training interactions"] for t in targets]))
        bins = found.cold_over_time[part]
        sizes = [len(run) for run in np.array_split(np.arange(len(targets)), len(bins))]
        assert np.dot(bins, sizes) / len(targets) == pytest.approx(shares["training interactions"])
    for part, share in found.repeats.items():
        assert share == pytest.approx(np.mean([t in h for h, t in rows(getattr(split, part))]))
    assert profile(replace(split, sample=None)).cold["test"].keys() == set(against) - {"training sample"}


@given(st.lists(st.integers(0, 9), min_size=1, max_size=150).filter(any))
def test_concentration_is_that_of_definitions(counts: list[int]) -> None:
    found = concentration(np.array(counts))
    n, total = len(counts), sum(counts)
    differences = sum(abs(a - b) for a, b in itertools.product(counts, repeat=2))
    assert found.gini == pytest.approx(differences / (2 * n * total))
    for share, percent in ((found.top_1, 1), (found.top_10, 10)):
        size = next(k for k in range(1, n + 1) if 100 * k >= percent * n)
        assert share == pytest.approx(sum(sorted(counts, reverse=True)[:size]) / total)


@given(st.lists(st.text(alphabet="ab ", max_size=4), min_size=1, max_size=12))
def test_titles_are_compared_one_by_one(found: list[str]) -> None:
    counted = titles(found)
    distinct = set(found)
    assert counted.duplicate == sum(found.count(title) > 1 for title in distinct)
    assert counted.empty == sum(title.strip() == "" for title in found)
    assert counted.beginning == sum(any(b != a and b.startswith(a) for b in distinct) for a in distinct)
