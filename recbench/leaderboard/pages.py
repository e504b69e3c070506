"""Where a committed page does not say what its records give: cell by cell."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from recbench.pages.build import differing

MOST = 5  # sentences about one page
_CELLS = re.compile(r"(?<!\\)\|")
_RULE = re.compile(r"\|( -+:? \|)+")


def wrong_pages(records: Path, pages: Path) -> list[str]:
    """A sentence for each figure on the pages that is not what the records give, at most a few for each page.

    Args:
        records: folder of records.
        pages: folder of pages; one that is not there is left out.

    Raises:
        UsageError: there is no record.
        DataError: a record is broken.
    """
    found = []
    for path, (said, made) in differing(records, pages).items():
        sentences = list(_differences(said.splitlines(), made.splitlines()))
        found += [f"{path}, {sentence}" for sentence in sentences[:MOST]]
        if more := len(sentences) - MOST if len(sentences) > MOST else 0:
            found.append(f"{path} differs in {more:,} more places: recbench leaderboard build rewrites it")
    return found


def _differences(said: Sequence[str], made: Sequence[str]) -> Iterator[str]:
    matcher = difflib.SequenceMatcher(None, said, made, autojunk=False)
    for tag, first, last, begin, end in matcher.get_opcodes():
        if tag == "equal":
            continue
        if tag == "insert":
            yield f"line {first + 1}: {end - begin} line{'s' * (end - begin > 1)} of the records missing here"
        for number in range(first, last):
            place = begin + number - first
            if place >= end:
                yield f"line {number + 1}: no record gives {_short(said[number])}"
            else:
                yield from _of_line(said[number], made, number, place)


def _of_line(said: str, made: Sequence[str], number: int, place: int) -> Iterator[str]:
    """The cells in which two lines differ, or the lines where they are no rows of one table."""
    was, now = (_CELLS.split(line)[1:-1] for line in (said, made[place]))
    header = _header(made, place)
    if not was or len(was) != len(now) or len(header) != len(now):
        yield f"line {number + 1}: reads {_short(said)} where its records give {_short(made[place])}"
        return
    row = " ".join(cell.strip() for cell in now[:2])
    for name, cell, right in zip(header, was, now, strict=True):
        if cell != right:
            what = f"{name.strip()} of row {row}"
            yield f"line {number + 1}: {what} is {cell.strip()}, and its record gives {right.strip()}"


def _header(lines: Sequence[str], place: int) -> list[str]:
    """The header of the table that a line is in."""
    for number in range(place, 0, -1):
        if not lines[number].startswith("|"):
            break
        if _RULE.fullmatch(lines[number]):
            return _CELLS.split(lines[number - 1])[1:-1]
    return []


def _short(line: str) -> str:
    return repr(line if len(line) <= 100 else line[:99] + "…")
