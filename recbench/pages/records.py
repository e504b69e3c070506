"""The committed records of a folder."""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from pathlib import Path

from recbench.errors import DataError
from recbench.results import RunRecord, read

SHARED = "records"


def load_records(folder: Path) -> list[RunRecord]:
    """Every ``*.json`` record in ``folder``, in the order of run ids; none where the folder is missing.

    Raises:
        DataError: a file that is not a valid record, or two files with the same run; the message names them.
    """
    return [record for _, record in read_records(folder)]


def read_records(folder: Path) -> list[tuple[Path, RunRecord]]:
    """The same, each with its file.

    Raises:
        DataError: as :func:`load_records`.
    """
    found: dict[str, tuple[Path, RunRecord]] = {}
    for path in sorted(Path(folder).glob("*.json")):
        record = read(path)
        if record.run in found:
            raise DataError(f"{found[record.run][0]} and {path} both hold run {record.run}; remove one of them")
        found[record.run] = (path, record)
    return [found[run] for run in sorted(found)]


def by_dataset(records: Iterable[RunRecord]) -> dict[str, list[RunRecord]]:
    """Data set name -> its records, both in order: one page each."""
    pages: dict[str, list[RunRecord]] = {}
    for record in sorted(records, key=lambda record: (record.dataset.name, record.run)):
        pages.setdefault(record.dataset.name, []).append(record)
    return pages


def place_of(run: str, folder: Path) -> Path:
    """The file of a run that a table in ``folder`` shows: there, or in the folder ``records`` next to it.

    A record that is a row of the leaderboard as well as of a table is committed once. Where neither is there, the
    answer is the first.
    """
    first, second = (place / f"{run}.json" for place in (Path(folder), Path(folder).parent / SHARED))
    return second if second.is_file() and not first.is_file() else first


def command_of(record: RunRecord) -> str:
    """The record's command as one line that a shell reads as that command and nothing else.

    Every word is quoted again, so a ``;`` or ``$(...)`` in someone else's record is only an argument.
    """
    try:
        words = shlex.split(record.command)
    except ValueError:
        words = []
    if not words or words[0] not in ("recbench", "torchrun"):
        return "# the record holds no command of recbench"
    return shlex.join(" ".join(word.split()) if "\n" in word or "\r" in word else word for word in words)
