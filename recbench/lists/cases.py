"""The test cases of a protocol, and everything that other code needs to rank them, as files."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from recbench.data.prepare import prepare
from recbench.errors import UsageError
from recbench.files import write_atomic
from recbench.interfaces import Reporter
from recbench.spec.model import DataSet
from recbench.spec.options import EvaluateOptions, MachineOptions
from recbench.steps.setting import Setting
from recbench.types import PAD, Sequences, Split


@dataclass(frozen=True)
class TestSet:
    """What is ranked under a protocol.

    Attributes:
        dataset: with the checksums of its files.
        evaluate: which test windows are cases.
        split: the prepared data.
        cases: [N] the test cases; a case's number is its place here.
    """

    dataset: DataSet
    evaluate: EvaluateOptions
    split: Split
    cases: Sequences


def test_set(dataset: DataSet, evaluate: EvaluateOptions, reporter: Reporter) -> TestSet:
    """Prepare a data set and choose the cases, as a run does.

    Raises:
        DataError: the files are not what they should be.
    """
    split = prepare(dataset.make(), reporter, dataset.files)
    return TestSet(dataset, evaluate, split, cases_of(dataset, evaluate, split))


def cases_of(dataset: DataSet, evaluate: EvaluateOptions, split: Split) -> Sequences:
    """The test cases of a prepared data set."""
    return Setting(dataset, evaluate, MachineOptions(), 0).test_cases(split)


FILES = ("cases.csv", "train.csv", "valid.csv", "items.csv")


def check_place(folder: Path, data: str | None) -> None:
    """Refuse a folder that holds something else: data as released has a train.csv too.

    Args:
        data: the folder or file that is read.

    Raises:
        UsageError: it does, or it is where the data is.
    """
    if data is not None and folder.resolve() in (place := Path(data).expanduser().resolve(), place.parent):
        raise UsageError(f"--out {folder} is where the data is: choose another folder.")
    names = sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []
    others = [name for name in names if name not in FILES and not name.endswith(".recbench-tmp")]
    if others:
        raise UsageError(f"--out {folder} holds {', '.join(others[:3])}, so it is not empty: choose another folder.")


def export(found: TestSet, folder: Path, targets: bool) -> list[Path]:
    """Write ``cases.csv``, ``train.csv``, ``valid.csv`` and ``items.csv``; items and users have the data set's own ids.

    ``items`` is a JSON list of item ids, the oldest first: of a case the history; of a training or validation window
    the history and, as the last item, what followed it. ``time`` is when that happened.

    Args:
        found: the cases.
        folder: where to.
        targets: whether ``cases.csv`` also says what followed.

    Raises:
        RecbenchError: a file cannot be written.
    """
    split, cases = found.split, found.cases
    ids, users = split.catalog.ids, split.users

    def windows(part: Sequences, whole: bool) -> Iterable[tuple[str, int, str]]:
        for user, history, target, time in zip(
            part.users.tolist(), part.history.tolist(), part.target.tolist(), part.time.tolist(), strict=True
        ):
            items = [item for item in history if item != PAD] + [target] * whole
            yield users[user], time, json.dumps([ids[item] for item in items], ensure_ascii=False)

    answers = [ids[item] for item in cases.target.tolist()]
    listed = enumerate(zip(windows(cases, False), answers, strict=True))
    rows: dict[str, tuple[list[str], Iterable[tuple[Any, ...]]]] = {
        "cases.csv": (
            ["case", "user", "time", "items", *["target"] * targets],
            ((number, *case, *[answer] * targets) for number, (case, answer) in listed),
        ),
        "train.csv": (["user", "time", "items"], windows(split.train, True)),
        "valid.csv": (["user", "time", "items"], windows(split.valid, True)),
        "items.csv": (["item", "title"], zip(ids, split.catalog.titles, strict=True)),
    }
    for name, (header, lines) in rows.items():
        text = io.StringIO(newline="")
        csv.writer(text, lineterminator="\n").writerows([header, *lines])
        write_atomic(folder / name, text.getvalue().encode())
    return [folder / name for name in rows]
