"""The contract of data sources."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from recbench.errors import DataError, UsageError
from recbench.interfaces import DataSource, SilentReporter
from recbench.testing.contract import Contract
from recbench.types import PAD, Sequences, Split


class SourceTests(Contract):
    """A source of data. Override :meth:`files` where it reads files that the user names."""

    kind = "source"

    def files(self, folder: Path) -> Mapping[str, Any]:
        """Write small raw files into ``folder``; the options that name them. By default none."""
        return {}

    @pytest.fixture
    def source(self, tmp_path: Path) -> DataSource[Any]:
        """The source of small files."""
        return self._source(tmp_path)

    def _source(self, folder: Path) -> DataSource[Any]:
        named = self.files(folder)
        source: DataSource[Any] = self.plugin.implementation(self.plugin.options(**{**self.options, **named}))
        return source

    def test_checksums_name_the_data(self, source: DataSource[Any]) -> None:
        """``inputs`` gives the sha256 of every file, and ``prepare`` says that it read those."""
        inputs = source.inputs()
        assert inputs, "no file is named, so changed data would not be noticed"
        wrong = [name for name, digest in inputs.items() if not re.fullmatch("[0-9a-f]{64}", digest)]
        assert not wrong, f"{wrong[0]}: not the sha256 of a file"
        assert dict(source.prepare(SilentReporter()).sources) == dict(inputs)

    def test_split(self, source: DataSource[Any]) -> None:
        """Titles are distinct texts, windows hold items of the catalogue, and each part is in the order of time."""
        split = source.prepare(SilentReporter())
        titles, ids = split.catalog.titles, split.catalog.ids
        assert len(titles) == len(ids) == len(set(titles)) == len(set(ids)), "ids and titles must be distinct"
        assert all(title.strip() for title in titles), "an item has an empty title"
        for part in ("train", "valid", "test"):
            self._check(getattr(split, part), split, part)
        if split.sample is not None:
            assert ((split.sample >= 0) & (split.sample < len(split.train))).all()

    @staticmethod
    def _check(windows: Sequences, split: Split, part: str) -> None:
        items, n = len(split.catalog), len(windows)
        assert n, f"{part} has no window"
        assert windows.history.shape == (n, split.train.history.shape[1])
        assert windows.users.shape == windows.target.shape == windows.time.shape == (n,)
        assert ((windows.users >= 0) & (windows.users < len(split.users))).all(), f"{part}: an unknown user"
        assert ((windows.target >= 0) & (windows.target < items)).all(), f"{part}: a target outside the catalogue"
        assert ((windows.history >= PAD) & (windows.history < items)).all(), f"{part}: a history outside the catalogue"
        empty = windows.history == PAD
        assert not empty[:, -1].any(), f"{part}: an empty history"
        assert not (empty[:, 1:] & ~empty[:, :-1]).any(), f"{part}: histories are padded on the left only"
        assert (np.diff(windows.time) >= 0).all(), f"{part} is not in the order of time"

    def test_repeats(self, source: DataSource[Any]) -> None:
        """The same files give the same split."""
        first, second = (source.prepare(SilentReporter()) for _ in range(2))
        assert first.catalog == second.catalog
        for part in ("train", "valid", "test"):
            assert getattr(first, part).digest() == getattr(second, part).digest()

    @pytest.mark.parametrize("damage", ["missing", "empty", "garbage"])
    def test_damaged_files_are_named(self, damage: str, tmp_path: Path) -> None:
        """A file that is missing, empty or not text causes a one-sentence error that names it."""
        self._source(tmp_path)
        names = sorted(path.relative_to(tmp_path) for path in tmp_path.rglob("*") if path.is_file())
        if not names:
            pytest.skip("reads no file of the user's")
        for name in names:
            source = self._source(tmp_path)
            if damage == "missing":
                (tmp_path / name).unlink()
            else:
                (tmp_path / name).write_bytes(b"" if damage == "empty" else b"\xff\xfe\x00garbage\x00")
            with pytest.raises((DataError, UsageError), match=re.escape(name.name)):
                source.prepare(SilentReporter())
