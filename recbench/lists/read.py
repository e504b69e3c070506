"""Ranked lists in a file: csv, tsv, parquet, or a run file of TREC, a row for each item of a list."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from recbench.data.files import Table, as_text, read_bytes, read_table
from recbench.errors import DataError, UsageError, short
from recbench.types import Floats

if TYPE_CHECKING:
    import pyarrow as pa

COLUMNS: Final = ("case", "user", "seed", "item", "title", "rank", "score")
DELIMITERS: Final = {".csv": ",", ".tsv": "\t"}
TREC: Final = ("case", "Q0", "item", "rank", "score", "tag")
TREC_SUFFIXES: Final = (".run", ".trec", ".txt")
PARQUET: Final = ".parquet"


@dataclass(frozen=True)
class Rows(Table):
    """The rows of a file of ranked lists; which of :data:`COLUMNS` there are is up to the file.

    Attributes:
        unit: what complaints call a row: a text has lines.
    """

    unit: str = "line"

    def where(self, row: int) -> str:
        """How a complaint about ``row`` begins."""
        return f"{self.path}, {self.unit} {self.lines[row]}"

    def finite_numbers(self, column: str) -> Floats:
        """A column as numbers.

        Raises:
            DataError: a value is not a number, NaN or infinite.
        """
        return np.array([self._finite(column, row) for row in range(len(self))], dtype=np.float64)

    def _finite(self, column: str, row: int) -> float:
        try:
            found = float(self.columns[column][row])
        except ValueError:
            found = math.nan
        if not math.isfinite(found):
            raise DataError(f"{self.where(row)}: {column} {short(self.columns[column][row])} is not a finite number.")
        return found


def read(path: Path) -> Rows:
    """The rows of a file, of the kind that its suffix says.

    Raises:
        UsageError: another suffix, or parquet without pyarrow.
        DataError: the file is missing, empty or malformed, or lacks a column; names the line.
    """
    suffix = path.suffix.lower()
    if suffix in DELIMITERS:
        found = read_table(path, (), COLUMNS, DELIMITERS[suffix])
        rows = Rows(path, found.lines, found.columns)
    elif suffix in TREC_SUFFIXES:
        rows = _trec(path)
    elif suffix == PARQUET:
        rows = _parquet(path)
    else:
        kinds = ", ".join((*DELIMITERS, PARQUET, *TREC_SUFFIXES))
        raise UsageError(f"--rankings {path} must end in one of {kinds}.")
    _check(rows)
    return rows


def _check(rows: Rows) -> None:
    """Whether a file names cases and items.

    Raises:
        DataError: it does not, or names items twice.
    """
    if not {"case", "user"} & rows.columns.keys():
        raise DataError(f"{rows.path} has no column 'case' (or 'user'): each row must name its case.")
    if len({"item", "title"} & rows.columns.keys()) != 1:
        raise DataError(f"{rows.path} needs either a column 'item', of the data set's own ids, or a column 'title'.")


def _trec(path: Path) -> Rows:
    """``qid Q0 docid rank score tag``, separated by blanks, without a header."""
    lines: list[int] = []
    found: list[list[str]] = []
    for number, line in enumerate(as_text(path, read_bytes(path)).splitlines(), start=1):
        fields = line.split()
        if not fields:
            continue
        if len(fields) != len(TREC):
            raise DataError(f"{path}, line {number}: {len(fields)} fields, where a TREC run has {len(TREC)}.")
        lines.append(number)
        found.append(fields)
    if not found:
        raise DataError(f"{path} is empty.")
    columns = {name: [fields[place] for fields in found] for place, name in enumerate(TREC)}
    rows = Rows(path, lines, {name: columns[name] for name in ("case", "item", "rank", "score")})
    for row, tag in enumerate(columns["tag"]):
        if tag != columns["tag"][0]:
            first = short(columns["tag"][0])
            raise DataError(f"{rows.where(row)}: tag {short(tag)} after {first}; a file holds one run.")
    return rows


def _parquet(path: Path) -> Rows:
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError as error:
        raise UsageError(f"--rankings {path}: parquet needs pyarrow (pip install 'recbench-toolkit[data]').") from error
    try:
        table = pq.read_table(pa.BufferReader(read_bytes(path)))
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{path} is not a parquet file that can be read: {' '.join(str(error).split())}.") from error
    if not table.num_rows:
        raise DataError(f"{path} is empty: it has no row.")
    names = [name for name in COLUMNS if name in table.column_names]
    columns = {name: _texts(path, name, table) for name in names}
    return Rows(path, list(range(1, table.num_rows + 1)), columns, "row")


def _texts(path: Path, name: str, table: pa.Table) -> list[str]:
    """A parquet column as text, its numbers exactly.

    Raises:
        DataError: a value is missing, or ids are decimals.
    """
    values: list[Any] = table.column(name).to_pylist()
    for row, value in enumerate(values, start=1):
        if value is None:
            raise DataError(f"{path}, row {row}: the {name} is missing.")
        if isinstance(value, float) and name not in ("rank", "score"):
            raise DataError(f"{path}, row {row}: {name} {value!r} is a decimal; write whole numbers or text.")
    return [str(value) for value in values]
