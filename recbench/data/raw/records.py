"""Lines of JSON or of Python literals, and rows of Parquet files, as fields by name; nothing in them is executed."""

from __future__ import annotations

import ast
import json
import math
import warnings
from collections.abc import Iterator, Mapping
from typing import Any

from recbench.data.raw.files import Raw, lines, text
from recbench.errors import DataError, short

_BATCH = 65_536
_BROKEN = (ValueError, SyntaxError, TypeError, RecursionError, MemoryError)


class Record:
    """The fields of one line or row.

    Attributes:
        raw, number: the file, and the line or row in it.
        fields: by name.
    """

    __slots__ = ("fields", "number", "raw")

    def __init__(self, raw: Raw, number: int, fields: Mapping[str, Any]) -> None:
        self.raw, self.number, self.fields = raw, number, fields

    def fault(self, said: str) -> DataError:
        """An error about this line."""
        return DataError(f"{self.raw.where(self.number)}: {said}")

    def text(self, name: str) -> str:
        """An identifier or title; "" where it is missing, null or blank. A whole number counts as its digits.

        Raises:
            DataError: it is anything else, or cannot be written as UTF-8.
        """
        value = self.fields.get(name)
        if value is None:
            return ""
        if type(value) is int:
            return str(value)
        if not isinstance(value, str):
            raise self.fault(f"{name} is {short(repr(value))}, not text.")
        if not value.isascii():
            try:
                value.encode()
            except UnicodeEncodeError:
                raise self.fault(f"{name} {short(repr(value))} cannot be written as UTF-8.") from None
        return value.strip()

    def needed(self, name: str) -> str:
        """Like :meth:`text`, and not empty.

        Raises:
            DataError: it is empty, too.
        """
        if not (value := self.text(name)):
            raise self.fault(f"the {name} is missing or empty.")
        return value

    def whole(self, name: str) -> int:
        """A whole number of 64 bits.

        Raises:
            DataError: it is missing, has a fraction, is NaN, or is too large.
        """
        value = self.fields.get(name)
        if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
            value = int(value)
        if isinstance(value, str) and len(value) < 20 and value.removeprefix("-").isdecimal():
            value = int(value)
        if type(value) is not int or abs(value) >= 2**63:
            raise self.fault(f"{name} is {short(repr(value))}, not a whole number.")
        return value

    def number_of(self, name: str) -> float:
        """A finite number.

        Raises:
            DataError: it is anything else.
        """
        value = self.fields.get(name)
        try:
            number = float("" if value is None or isinstance(value, bool) else value)
            if math.isfinite(number):
                return number
        except (ValueError, TypeError, OverflowError):
            pass
        raise self.fault(f"{name} is {short(repr(value))}, not a number.")


def records(raw: Raw, columns: tuple[str, ...]) -> Iterator[Record]:
    """One record for each line, or for each row of a Parquet file.

    Args:
        columns: what is read of a Parquet file; a line has all its fields.

    Raises:
        DataError: the file is damaged, a line is neither a JSON object nor a Python dict of literals, or a column is
            missing.
    """
    if raw.name.endswith(".parquet"):
        yield from _rows(raw, columns)
        return
    from orjson import loads

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a literal's invalid escapes
        for number, line in lines(raw):
            try:
                fields = loads(line)
            except ValueError:
                fields = _literal(raw, number, line)
            if not isinstance(fields, dict):
                raise DataError(f"{raw.where(number)}: it holds {type(fields).__name__}, where an object is needed.")
            yield Record(raw, number, fields)


def _literal(raw: Raw, number: int, line: bytes) -> Any:
    """A Python literal, by ``ast.literal_eval``, which calls nothing; else the JSON that orjson refuses, as NaN."""
    found = text(raw, number, line).lstrip()
    for read in (ast.literal_eval, json.loads):
        try:
            return read(found)
        except _BROKEN:
            continue
    raise DataError(f"{raw.where(number)}: it is neither JSON nor a Python literal (is the file truncated?).")


def _rows(raw: Raw, columns: tuple[str, ...]) -> Iterator[Record]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    number = 0
    try:
        with pq.ParquetFile(raw.path) as file:
            known = file.schema_arrow.names
            if missing := [name for name in columns if name not in known]:
                raise DataError(f"{raw} has no column {missing[0]!r}: it has {', '.join(known[:20])}.")
            for batch in file.iter_batches(_BATCH, columns=list(columns)):
                for values in zip(*(batch.column(name).to_pylist() for name in columns), strict=True):
                    number += 1
                    yield Record(raw, number, dict(zip(columns, values, strict=True)))
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{raw} is not a Parquet file, or is damaged after row {number}: fetch it again.") from error
