"""The committed records of a folder."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from recbench.errors import DataError
from recbench.results import RunRecord, read


def load_records(folder: Path) -> list[RunRecord]:
    """Every ``*.json`` record in ``folder``, in the order of run ids; none where the folder is missing.

    Raises:
        DataError: a file that is no valid record, or two files with the same run; the message names them.
    """
    found: dict[str, tuple[Path, RunRecord]] = {}
    for path in sorted(Path(folder).glob("*.json")):
        record = read(path)
        if record.run in found:
            raise DataError(f"{found[record.run][0]} and {path} both hold run {record.run}; remove one of them")
        found[record.run] = (path, record)
    return [found[run][1] for run in sorted(found)]


def by_dataset(records: Iterable[RunRecord]) -> dict[str, list[RunRecord]]:
    """Data set name -> its records, both in order: one page each."""
    pages: dict[str, list[RunRecord]] = {}
    for record in sorted(records, key=lambda record: (record.dataset.name, record.run)):
        pages.setdefault(record.dataset.name, []).append(record)
    return pages
