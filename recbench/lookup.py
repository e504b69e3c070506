"""Finding runs by id, the beginning or hash of an id, or path."""

from __future__ import annotations

from pathlib import Path

from recbench.errors import DataError, UsageError, did_you_mean
from recbench.experiment import LOCAL, RECORD
from recbench.results import RunRecord, read


def find(text: str, runs: Path) -> Path:
    """The record file of a run in ``runs``: by path (of the file or its folder), id, or an id's beginning or hash.

    Raises:
        UsageError: there is none, or several.
    """
    path = Path(text).expanduser()
    if path.is_file():
        return path
    if (path / RECORD).is_file():
        return path / RECORD
    known = sorted(p.parent.name for p in runs.glob(f"*/{RECORD}"))
    if text in known:
        return runs / text / RECORD
    matching = [name for name in known if text and (name.startswith(text) or name.endswith(f"-{text}"))]
    if len(matching) > 1:
        raise UsageError(f"{text!r} is the beginning or end of several runs in {runs}: {', '.join(matching)}.")
    if not matching:
        if path.is_dir():
            raise UsageError(f"The folder {text} holds no {RECORD}: it is not a finished run.")
        if text and any(path.parent.name.startswith(text) for path in runs.glob(f"*/{LOCAL}")):
            raise UsageError(f"Run {text!r} in {runs} has not finished a seed: to continue it, run its command again.")
        hint = did_you_mean(text, known) if known else "there is no run yet"
        raise UsageError(f"Unknown run {text!r} in {runs}: {hint}")
    return runs / matching[0] / RECORD


def read_all(runs: Path) -> tuple[list[RunRecord], list[str]]:
    """The records of all runs in a folder, and a sentence for each that cannot be read."""
    records, broken = [], []
    for path in sorted(runs.glob(f"*/{RECORD}")):
        try:
            records.append(read(path))
        except DataError as error:
            broken.append(str(error))
    return records, broken
