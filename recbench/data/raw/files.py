"""Raw files as lines: plain, gzip, or members of a zip, read a piece at a time; every error names file and line."""

from __future__ import annotations

import fnmatch
import gzip
import io
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

from recbench.errors import DataError
from recbench.files import reason

LONGEST = 16 * 2**20
"""Bytes of a line: the longest of the Amazon releases has less than a tenth. A gzip bomb must not fill the memory."""
_BUFFER = 2**20
_DAMAGED = (gzip.BadGzipFile, zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, NotImplementedError)


@dataclass(frozen=True)
class Raw:
    """A raw file, or a member of a zip archive.

    Attributes:
        path: the file.
        member: name inside the archive; empty for a plain file.
    """

    path: Path
    member: str = ""

    @property
    def name(self) -> str:
        """The file name that says what it holds."""
        return (self.member or self.path.name).rpartition("/")[2]

    def __str__(self) -> str:
        return f"{self.path}, {self.member}" if self.member else str(self.path)

    def where(self, line: int) -> str:
        """How a complaint about a line begins."""
        return f"{self}, line {line}"


def expanded(paths: list[Path], patterns: tuple[str, ...]) -> list[Raw]:
    """The files, and for each zip archive those of its members whose names match.

    Raises:
        DataError: a file is missing, is not a regular file, or is a damaged archive.
    """
    found: list[Raw] = []
    for path in paths:
        if not path.exists():
            raise DataError(f"{path} is missing.")
        if not path.is_file():
            raise DataError(f"{path} is {'a folder' if path.is_dir() else 'not a regular file'}: a file is needed.")
        if path.suffix.lower() != ".zip":
            found.append(Raw(path))
            continue
        try:
            with zipfile.ZipFile(path) as archive:
                names = archive.namelist()
        except (*_DAMAGED, OSError) as error:
            raise DataError(f"{path} is not a zip archive, or is damaged ({_said(error)}); fetch it again.") from error
        members = [Raw(path, name) for name in names]
        found += [raw for raw in members if any(fnmatch.fnmatch(raw.name, pattern) for pattern in patterns)]
    return found


def lines(raw: Raw) -> Iterator[tuple[int, bytes]]:
    """Number (from 1) and bytes of each line, without its end; blank lines are skipped.

    Raises:
        DataError: the file cannot be read, its compression is damaged or cut off, or a line exceeds :data:`LONGEST`.
    """
    number = 0
    try:
        with _opened(raw) as stream:
            while line := stream.readline(LONGEST + 1):
                number += 1
                if len(line) > LONGEST:
                    raise DataError(f"{raw.where(number)}: it has more than {LONGEST:,} bytes; is this the right file?")
                if line := line.rstrip(b"\r\n"):
                    yield number, line
    except EOFError as error:
        raise DataError(f"{raw.where(number + 1)}: the compressed file ends here; fetch it again.") from error
    except _DAMAGED as error:
        raise DataError(f"{raw.where(number + 1)}: the file is damaged ({_said(error)}); fetch it again.") from error
    except OSError as error:
        raise DataError(f"{raw} cannot be read: {reason(error)}.") from error
    if not number:
        raise DataError(f"{raw} is empty.")


def text(raw: Raw, number: int, line: bytes, other: str = "") -> str:
    """A line as text: UTF-8, or in the encoding ``other`` where it is not.

    Raises:
        DataError: it is in neither.
    """
    try:
        return line.decode("utf-8-sig" if number == 1 else "utf-8")
    except UnicodeDecodeError as error:
        if other:  # of two bytes or more in it, hardly any are UTF-8 by chance
            return line.decode(other)
        raise DataError(f"{raw.where(number)}: it is not UTF-8 text (byte {error.start} of the line).") from error


@contextmanager
def _opened(raw: Raw) -> Iterator[BinaryIO]:
    with raw.path.open("rb", buffering=_BUFFER) as file:
        if raw.member:
            with zipfile.ZipFile(file) as archive, archive.open(raw.member) as member:
                yield io.BufferedReader(cast("io.RawIOBase", member), _BUFFER)
        elif raw.path.suffix.lower() == ".gz":
            with gzip.GzipFile(fileobj=file, mode="rb") as unpacked:
                # the C reader around it finds the ends of lines several times faster than GzipFile.readline
                yield io.BufferedReader(cast("io.RawIOBase", unpacked), _BUFFER)
        else:
            yield file


def _said(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__
