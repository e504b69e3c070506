"""What every layout gives: interactions, and rows of delimited text."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import NamedTuple

from recbench.data.raw.files import Raw, lines, text
from recbench.data.raw.records import Record
from recbench.errors import DataError


class Row(NamedTuple):
    """One interaction.

    Attributes:
        user, item: original ids, not empty.
        time: whole seconds or milliseconds since 1970, the same unit in a file.
        rating: None where the layout has none.
        title: raw title of the item, where the file of interactions has it.
    """

    user: str
    item: str
    time: int
    rating: float | None = None
    title: str = ""


def separated(raw: Raw, mark: str, names: tuple[str, ...], other: str = "") -> Iterator[Record]:
    """Lines of fields between ``mark``, without a header and without quotes, in UTF-8 or the encoding ``other``.

    Raises:
        DataError: a line has another number of fields than ``names``, or is in neither encoding.
    """
    for number, line in lines(raw):
        values = text(raw, number, line, other).split(mark)
        if len(values) != len(names):
            said = f"{len(values)} fields where {len(names)} are needed ({', '.join(names)}); is the file truncated?"
            raise DataError(f"{raw.where(number)}: {said}")
        yield Record(raw, number, dict(zip(names, values, strict=True)))


def headed(raw: Raw, mark: str, needed: tuple[str, ...]) -> Iterator[Record]:
    """Lines below a header: quotes are understood between commas, and are text between tabs.

    Raises:
        DataError: a column is missing, a line has another number of fields than the header, or is not in UTF-8.
    """
    at = 0

    def texts() -> Iterator[str]:
        nonlocal at
        for number, line in lines(raw):
            at = number
            yield text(raw, number, line) + "\n"

    if mark == "\t":
        reader = csv.reader(texts(), delimiter=mark, quoting=csv.QUOTE_NONE, strict=True)
    else:
        reader = csv.reader(texts(), delimiter=mark, strict=True)
    try:
        header = [name.strip() for name in next(reader, [])]
        for name in needed:
            if name not in header:
                raise DataError(f"{raw} has no column {name!r}: its first line has {', '.join(header[:20])[:200]}.")
        for values in reader:
            if len(values) != len(header):
                said = f"{len(values)} fields where the header has {len(header)}; is the file truncated?"
                raise DataError(f"{raw.where(at)}: {said}")
            yield Record(raw, at, dict(zip(header, values, strict=True)))
    except csv.Error as error:
        raise DataError(f"{raw.where(at)}: {error}.") from error


def seconds(record: Record, name: str) -> int:
    """Seconds since 1970 of a date or a date and time in ISO 8601 (UTC where it names no zone).

    Raises:
        DataError: it is neither.
    """
    value = record.needed(name)
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        raise record.fault(f"{name} is {value[:40]!r}, not a date such as 2024-01-31 or 2024-01-31T12:00:00.") from None
    return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp())
