"""A folder with a data set of its own, its exported cases, and ranked lists for them."""

from __future__ import annotations

import csv
import random
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from recbench.cli import cli
from recbench.results import RunRecord, read

DATA = ("--dataset", "csv", "--data-dir", "own.csv", "--set", "evaluate.cases=12")


class Desk:
    """Where somebody ranks our cases.

    Attributes:
        cases: the rows of cases.csv.
        items: every item id.
        lists: seed -> case -> its ten items.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        rows = ["user,item,timestamp,title"]
        for u in range(20):
            for i in range(25):
                item = (u * 3 + i * (1 + u % 3)) % 40
                rows.append(f"u{u},i{item},{1000 + 60 * i + 40 * u},Film {item}")
        (folder / "own.csv").write_text("\n".join(rows) + "\n")
        done = self.call("data", "cases", "csv", "--out", "out", "--targets", *DATA[2:])
        assert done.exit_code == 0, done.output
        self.cases = self.rows("out/cases.csv")
        self.items = [row["item"] for row in self.rows("out/items.csv")]
        draw = random.Random(3)
        self.lists = {seed: [draw.sample(self.items, 10) for _ in self.cases] for seed in (4, 7)}

    def call(self, *words: str) -> Result:
        """``recbench WORDS`` in the folder."""
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(self.folder)
            return CliRunner().invoke(cli, list(words))

    def evaluate(self, *files: str, more: tuple[str, ...] = ()) -> Result:
        """``recbench evaluate`` of some files."""
        named = [word for file in files for word in ("--rankings", file)]
        return self.call("evaluate", *named, "--name", "Their Model", *DATA, *more)

    def rows(self, name: str) -> list[dict[str, str]]:
        """A csv file."""
        with (self.folder / name).open(encoding="utf-8", newline="") as file:
            return list(csv.DictReader(file))

    def write(self, name: str, rows: Iterable[Iterable[Any]], header: str = "case,seed,rank,item") -> str:
        """Write a csv file; returns its name."""
        with (self.folder / name).open("w", encoding="utf-8", newline="") as file:
            csv.writer(file, lineterminator="\n").writerows([header.split(","), *rows])
        return name

    def plain(self) -> list[list[Any]]:
        """case, seed, rank and item of every list."""
        return [
            [case, seed, rank, item]
            for seed, lists in self.lists.items()
            for case, items in enumerate(lists)
            for rank, item in enumerate(items, start=1)
        ]

    def record(self) -> RunRecord:
        """The only record."""
        (path,) = (self.folder / "runs").glob("*/record.json")
        return read(path)


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)
