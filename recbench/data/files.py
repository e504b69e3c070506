"""Reading raw files: checksums, and tables whose errors name the file and the line."""

from __future__ import annotations

import csv
import hashlib
import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np

from recbench.errors import DataError, short
from recbench.types import Longs

_WHOLE = re.compile(r"([+-]?[0-9]{1,19})(?:\.0*)?")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def sha256(path: Path) -> str:
    """Hexadecimal sha256 of a file.

    Raises:
        DataError: it is missing or cannot be read.
    """
    return hashlib.sha256(read_bytes(path)).hexdigest()


def read_bytes(path: Path, seen: dict[str, str] | None = None) -> bytes:
    """The file's content.

    Args:
        seen: receives the sha256 of the bytes that are returned, by file name.

    Raises:
        DataError: it is missing, not a regular file, or cannot be read.
    """
    try:
        if path.exists() and not path.is_file():
            raise DataError(f"{path} is {'a folder' if path.is_dir() else 'not a regular file'}: a file is needed.")
        content = path.read_bytes()
    except FileNotFoundError:
        raise DataError(f"{path} is missing.") from None
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}.") from error
    if seen is not None:
        seen[path.name] = hashlib.sha256(content).hexdigest()
    return content


def as_text(path: Path, content: bytes) -> str:
    """A file's content as UTF-8, with or without a byte order mark.

    Raises:
        DataError: it is not UTF-8; names ``path``.
    """
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        if content.startswith(b"\x1f\x8b"):
            raise DataError(f"{path} is compressed by gzip: unpack it first.") from error
        raise DataError(f"{path} is not UTF-8 text (byte {error.start}): save it as UTF-8.") from error


def verify(seen: Mapping[str, str], expected: Mapping[str, str]) -> None:
    """Compare checksums of files with the declared ones, by file name.

    Raises:
        DataError: a file differs.
    """
    for name, actual in seen.items():
        if actual != (wanted := expected.get(name, "")):
            raise DataError(
                f"{name} is not the file that datasets.yaml describes: its sha256 is {actual[:12]}…, "
                f"expected {wanted[:12]}…"
            )


@dataclass(frozen=True)
class Table:
    """Some columns of a text table.

    Attributes:
        path: the file.
        lines: line number in the file of each row (the header is line 1).
        columns: the values of each column asked for, stripped of surrounding blanks.
    """

    path: Path
    lines: list[int]
    columns: dict[str, list[str]]

    def __len__(self) -> int:
        return len(self.lines)

    def where(self, row: int) -> str:
        """How a complaint about ``row`` begins."""
        return f"{self.path}, line {self.lines[row]}"

    def whole_numbers(self, column: str) -> Longs:
        """A column as 64-bit integers; ``881250949.0`` counts as one.

        Raises:
            DataError: a value is not a whole number, or too large.
        """
        values = self.columns[column]
        return np.array([self._whole_number(column, row) for row in range(len(values))], dtype=np.int64)

    def _whole_number(self, column: str, row: int) -> int:
        value = self.columns[column][row]
        if (match := _WHOLE.fullmatch(value)) and abs(number := int(match[1])) < 2**63:
            return number
        raise DataError(f"{self.where(row)}: {column} {short(value)} is not a whole number of 64 bits.")

    def times(self, column: str) -> Longs:
        """A column of whole numbers, or of dates and times in ISO 8601 (UTC where they name no zone).

        Dates become seconds since 1970, or microseconds where one of them has a fraction of a second.

        Raises:
            DataError: a value is neither, or another kind than the first one.
        """
        values = self.columns[column]
        if _WHOLE.fullmatch(values[0]):
            return self.whole_numbers(column)
        found = np.array([self._microseconds(column, row) for row in range(len(values))], dtype=np.int64)
        return found if (found % 1_000_000).any() else found // 1_000_000

    def _microseconds(self, column: str, row: int) -> int:
        value = self.columns[column][row]
        try:
            if value.isdecimal():  # 20240131 is a date to Python
                raise ValueError
            moment = datetime.fromisoformat(value)
        except ValueError:
            raise DataError(
                f"{self.where(row)}: {column} {short(value)} is not a whole number and not a date such as 2024-01-31 "
                "or 2024-01-31T12:00:00; a column has one kind."
            ) from None
        return ((moment if moment.tzinfo else moment.replace(tzinfo=UTC)) - _EPOCH) // timedelta(microseconds=1)

    def not_empty(self, column: str) -> list[str]:
        """A column in which every row has a value.

        Raises:
            DataError: a row has none.
        """
        values = self.columns[column]
        if "" in values:
            raise DataError(f"{self.where(values.index(''))}: the {column} is empty.")
        return values


def read_table(
    path: Path,
    columns: Sequence[str],
    optional: Sequence[str] = (),
    delimiter: str = ",",
    seen: dict[str, str] | None = None,
    advice: str = "",
) -> Table:
    """:func:`parse_table` of a file; ``seen`` as for :func:`read_bytes`."""
    return parse_table(path, read_bytes(path, seen), columns, optional, delimiter, advice)


def parse_table(
    path: Path,
    content: bytes,
    columns: Sequence[str],
    optional: Sequence[str] = (),
    delimiter: str = ",",
    advice: str = "",
) -> Table:
    """The named columns of a delimited (quotes understood) or tab-separated (no quotes) text with a header.

    Args:
        path: what complaints name.
        content: the file's bytes.
        optional: columns that may be absent; then they are absent from the result, too.
        advice: a sentence for whoever gave a file without one of the columns.

    Raises:
        DataError: the text is not UTF-8, empty, lacks a column or has it twice, or a row has another number of fields.
    """
    text = io.StringIO(as_text(path, content), newline="")  # the csv module alone decides what ends a row
    if delimiter == "\t":
        reader = csv.reader(text, delimiter=delimiter, quoting=csv.QUOTE_NONE, strict=True)
    else:
        reader = csv.reader(text, delimiter=delimiter, strict=True)
    rows: list[list[str]] = []
    lines: list[int] = []
    try:
        header = [name.strip() for name in next(reader, [])]
        places = _places(path, header, columns, optional, advice)
        for row in reader:
            if not row:
                continue  # a blank line, usually the last
            if len(row) != len(header):
                raise DataError(
                    f"{path}, line {reader.line_num}: {len(row)} fields where the header has {len(header)} "
                    "(is the file truncated?)."
                )
            rows.append(row)
            lines.append(reader.line_num)
    except csv.Error as error:
        raise DataError(f"{path}, line {reader.line_num}: {error}.") from error
    if not rows:
        raise DataError(f"{path} is empty: there is no row below its header.")
    return Table(path, lines, {name: [row[place].strip() for row in rows] for name, place in places.items()})


def _places(
    path: Path, header: list[str], columns: Sequence[str], optional: Sequence[str], advice: str
) -> dict[str, int]:
    """Where each column stands in a row."""
    for name in columns:
        if name not in header:
            found = ", ".join(name if len(name) <= 40 else name[:39] + "…" for name in header[:20]) or "nothing"
            raise DataError(f"{path} has no column {name!r}: its first line has {found}. {advice}".rstrip())
    wanted = [*columns, *(name for name in optional if name in header)]
    for name in wanted:
        if header.count(name) > 1:
            raise DataError(f"{path} has {header.count(name)} columns {name!r}: rename or remove all but one.")
    return {name: header.index(name) for name in wanted}
