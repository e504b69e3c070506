"""The steps against their definitions in plain Python, and what they mean for the split."""

from __future__ import annotations

import json
import socket
import tempfile
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recbench.data.raw.codes import distinct
from recbench.data.raw.folder import write_folder
from recbench.errors import DataError, RecbenchError
from recbench.interfaces import SilentReporter
from recbench_plugins.sources.parquet import Parquet, ParquetOptions

interactions = st.lists(st.tuples(st.integers(1, 6), st.integers(1, 6), st.integers(0, 5)), min_size=1, max_size=60)


def dat(raw, folder: Path, rows, titled) -> list[Path]:
    ratings = raw.write(folder / "ratings.dat", [f"{u}::{i}::5::{t}" for u, i, t in rows])
    return [ratings, raw.write(folder / "movies.dat", [f"{i}::Film {i}::Drama" for i in titled])]


def brute_force(rows, titled, core):
    """Titles first, repeated rows once, then remove what has too few until nothing has."""
    rows = list(dict.fromkeys(row for row in rows if row[1] in titled))
    while True:
        users, items = Counter(u for u, _, _ in rows), Counter(i for _, i, _ in rows)
        left = [row for row in rows if users[row[0]] >= core and items[row[1]] >= core]
        if left == rows:
            return rows
        rows = left


@settings(max_examples=60)
@given(interactions, st.sets(st.integers(1, 6), min_size=1), st.integers(1, 4))
def test_the_steps_equal_their_definition_and_are_a_fixed_point(raw, rows, titled, core):
    wanted = brute_force(rows, titled, core)
    with tempfile.TemporaryDirectory() as name:
        try:
            result = raw.run("movielens-dat", dat(raw, Path(name), rows, titled), core=core)
        except DataError:
            assert not wanted
            return
        found = [
            (int(result.users[u]), int(result.items[i]), int(t))
            for u, i, t in zip(result.user, result.item, result.time, strict=True)
        ]
        assert found == wanted
        again = raw.run("movielens-dat", dat(raw, Path(name), found, titled), core=core)
    assert (again.users, again.items, again.titles) == (result.users, result.items, result.titles)
    assert np.array_equal(again.user, result.user)
    assert min(np.bincount(result.user).min(), np.bincount(result.item).min()) >= core


@given(interactions)
def test_distinct_keeps_the_first_of_each(rows):
    user, item, time = (np.array(column) for column in zip(*rows, strict=True))
    first = [row not in rows[:n] for n, row in enumerate(rows)]
    assert distinct(user.astype(np.int32), item.astype(np.int32), time.astype(np.int64)).tolist() == first


@settings(max_examples=30)
@given(st.lists(st.tuples(st.integers(1, 8), st.integers(1, 6), st.integers(0, 300)), min_size=90, max_size=160))
def test_no_test_interaction_is_seen_in_training(raw, rows):
    """Parts follow one another in time, and a user's training windows are the beginning of the user's sequence."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        try:
            result = raw.run("movielens-dat", dat(raw, folder, rows, range(1, 7)), core=2)
            write_folder(folder / "out", result, {"name": "x"})
            options = ParquetOptions(dir=str(folder / "out"), core=2, window=4)
            split = Parquet(options).prepare(SilentReporter())
        except DataError:
            return
    parts = (split.train, split.valid, split.test)
    assert max(split.train.time) <= min(split.valid.time) <= max(split.valid.time) <= min(split.test.time)
    events: dict[str, list[str]] = {}
    for k in np.argsort(result.time, kind="stable"):
        events.setdefault(result.users[result.user[k]], []).append(result.items[result.item[k]])
    for number, user in enumerate(split.users):
        targets = [split.catalog.ids[i] for part in parts for i in part.target[part.users == number]]
        # the windows of a user in the order of parts are those of the sequence: training holds its beginning alone
        assert targets == events[user][min(len(events[user]), 4) - 1 :][: len(targets)]
        assert len(targets) == (len(events[user]) > 1) * max(len(events[user]) - 3, 1)


def test_the_sample_of_items_depends_on_the_seed_alone(raw, tmp_path):
    rows = [(u, i, 10 * u + i) for u in range(1, 9) for i in range(1, 31)]
    drawn = {}
    for seed, order in ((0, 1), (0, -1), (1, 1)):
        folder = tmp_path / f"{seed}{order}"
        folder.mkdir()
        result = raw.run("movielens-dat", dat(raw, folder, rows[::order], range(1, 31)), items=10, seed=seed)
        assert len(result.items) == result.counts["items_drawn"] == 10
        drawn[seed, order] = result.items
    assert drawn[0, 1] == drawn[0, -1] != drawn[1, 1]


def test_the_folder_is_byte_identical_and_whole_or_absent(raw, tmp_path, monkeypatch):
    paths = raw.releases["amazon-2014"][0](tmp_path)
    for name in ("one", "two", "two"):
        write_folder(tmp_path / name, raw.run("amazon-2014", paths), {"name": "toy", "inputs": {}})
    names = sorted(path.name for path in (tmp_path / "one").iterdir())
    assert names == ["interactions.parquet", "items.parquet", "manifest.json"]
    assert all((tmp_path / "one" / n).read_bytes() == (tmp_path / "two" / n).read_bytes() for n in names)
    assert json.loads((tmp_path / "one" / "manifest.json").read_text())["counts"]["interactions"] == 48

    def full(*_):
        raise OSError(28, "No space left on device")

    before = sorted(tmp_path.rglob("*"))
    monkeypatch.setattr("recbench.data.raw.folder._stated", full)
    for name in ("one", "three"):
        with pytest.raises(RecbenchError, match="no space is left"):
            write_folder(tmp_path / name, raw.run("amazon-2014", paths), {"name": "toy"})
    assert sorted(tmp_path.rglob("*")) == before


def test_what_a_killed_preparation_left_is_removed(raw, tmp_path):
    host, dead = socket.gethostname(), 2**22 + 1  # no process has such a number
    names = [f".out.{host}.new.{dead}.recbench-tmp", f".out.elsewhere.new.{dead}.recbench-tmp", ".out.x", ".other.x"]
    (tmp_path / "raw").mkdir()
    result = raw.run("amazon-2014", raw.releases["amazon-2014"][0](tmp_path / "raw"))
    for name in names:
        (tmp_path / name).mkdir()
    write_folder(tmp_path / "out", result, {"name": "toy"})
    assert {path.name for path in tmp_path.iterdir()} == {"raw", "out", *names[1:]}
