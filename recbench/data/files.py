"""Reading raw files: checksums, and tables whose every complaint names the file and the line."""

from __future__ import annotations

import csv
import hashlib
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from recbench.errors import DataError
from recbench.types import Longs


def sha256(path: Path) -> str:
    """Hexadecimal sha256 of a file.

    Raises:
        DataError: it is missing or cannot be read.
    """
    return hashlib.sha256(read_bytes(path)).hexdigest()


def read_bytes(path: Path) -> bytes:
    """The file's content.

    Raises:
        DataError: it is missing or cannot be read.
    """
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise DataError(f"{path} is missing.") from None
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}.") from error


def read_text(path: Path) -> str:
    """The file's content as UTF-8, with or without a byte order mark.

    Raises:
        DataError: it is missing, cannot be read, or is not UTF-8.
    """
    try:
        return read_bytes(path).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not UTF-8 text (byte {error.start}): save it as UTF-8.") from error


def verify(paths: Sequence[Path], expected: Mapping[str, str]) -> None:
    """Compare files with their declared checksums, by file name.

    Raises:
        DataError: a file is missing or differs.
    """
    for path in paths:
        if (actual := sha256(path)) != expected.get(path.name):
            wanted = expected.get(path.name, "")
            raise DataError(
                f"{path} is not the file that datasets.yaml describes: its sha256 is {actual[:12]}…, "
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
            DataError: a value is no whole number, or too large.
        """
        values = self.columns[column]
        try:
            return np.array([int(value) for value in values], dtype=np.int64)
        except (ValueError, OverflowError):
            return np.array([self._whole_number(column, row) for row in range(len(values))], dtype=np.int64)

    def _whole_number(self, column: str, row: int) -> int:
        value = self.columns[column][row]
        try:
            number = int(value) if value.lstrip("+-").isdecimal() else float(value)
            if number == int(number) and abs(number) < 2**63:
                return int(number)
        except (ValueError, OverflowError):  # no number at all, nan, infinity
            pass
        raise DataError(f"{self.where(row)}: {column} {value!r} is no whole number.")

    def not_empty(self, column: str) -> list[str]:
        """A column in which every row has a value.

        Raises:
            DataError: a row has none.
        """
        values = self.columns[column]
        if "" in values:
            raise DataError(f"{self.where(values.index(''))}: the {column} is empty.")
        return values


def read_table(path: Path, columns: Sequence[str], optional: Sequence[str] = (), delimiter: str = ",") -> Table:
    """Read the named columns of a comma-separated (quotes understood) or tab-separated (no quotes) file.

    Args:
        optional: columns that may be absent; then they are absent from the result, too.

    Raises:
        DataError: the file is missing, not UTF-8, empty, lacks a column, or a row has another number of fields.
    """
    text = io.StringIO(read_text(path), newline="")  # the csv module alone decides what ends a row
    if delimiter == "\t":
        reader = csv.reader(text, delimiter=delimiter, quoting=csv.QUOTE_NONE, strict=True)
    else:
        reader = csv.reader(text, delimiter=delimiter, strict=True)
    rows: list[list[str]] = []
    lines: list[int] = []
    try:
        header = [name.strip() for name in next(reader, [])]
        for name in columns:
            if name not in header:
                found = ", ".join(header) or "nothing"
                raise DataError(f"{path} has no column {name!r}: its first line has {found}.")
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
    wanted = [*columns, *(name for name in optional if name in header)]
    places = {name: header.index(name) for name in wanted}
    return Table(path, lines, {name: [row[place].strip() for row in rows] for name, place in places.items()})
