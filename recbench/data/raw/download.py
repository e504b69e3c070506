"""Raw files from their addresses: an interrupted download resumes, and an unfinished file never has the final name."""

from __future__ import annotations

import http.client
import os
import socket
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from recbench.data.catalog import RawFile
from recbench.errors import DataError, RecbenchError
from recbench.files import reason, sha256_file, write_atomic
from recbench.interfaces import Reporter

TRIES = 5
TIMEOUT = 60.0  # seconds without a byte
_PIECE = 2**20
_NETWORK = (urllib.error.URLError, http.client.HTTPException, ConnectionError, TimeoutError)


def fetched(name: str, file: RawFile, folder: Path, reporter: Reporter, pause: float = 1.0) -> Path:
    """The file, fetched unless ``folder`` has it; checked where its size or sha256 is known.

    Args:
        name: of the file.
        pause: seconds before the next try; twice as many after each that brings nothing.

    Raises:
        RecbenchError: it cannot be fetched or written; what arrived is kept, and the next call continues from there.
        DataError: it is not the file that datasets.yaml describes.
    """
    path = folder / name
    if not path.is_file():
        part = folder / f"{name}.part"
        folder.mkdir(parents=True, exist_ok=True)
        reporter.begin(f"fetching {name}", file.size)
        _all_of(file.url, part, reporter, pause)
        reporter.end()
        check(part, file, name)
        os.replace(part, path)
        _version(part).unlink(missing_ok=True)
        return path
    check(path, file, name)
    return path


def _all_of(url: str, part: Path, reporter: Reporter, pause: float) -> None:
    """Try until nothing is missing, or until :data:`TRIES` tries in a row brought nothing."""
    left = TRIES
    while True:
        before = part.stat().st_size if part.exists() else 0
        try:
            _go_on(url, part, reporter)
            return
        except urllib.error.HTTPError as error:
            said, again = f"{url} answers {error.code} ({error.reason})", error.code >= 500
        except _NETWORK as error:
            unknown = isinstance(error, urllib.error.URLError) and isinstance(error.reason, socket.gaierror)
            said, again = f"{url} cannot be fetched: {_said(error)}", not unknown
        except OSError as error:
            raise RecbenchError(f"cannot write {part}: {reason(error)}.") from error
        came = part.exists() and part.stat().st_size > before
        left = TRIES if came else left - 1
        if not again or not left:
            raise RecbenchError(f"{said}.")
        time.sleep(pause * 2 ** (TRIES - left))


def check(path: Path, file: RawFile, name: str) -> None:
    """Compare size and sha256 with those of datasets.yaml, where it has them.

    Raises:
        DataError: one differs.
    """
    if file.size is not None and path.stat().st_size != file.size:
        raise DataError(f"{path} has {path.stat().st_size:,} bytes, but {name} has {file.size:,}: remove it.")
    if file.sha256 and (found := sha256_file(path)) != file.sha256:
        raise DataError(
            f"{path} is not the file that datasets.yaml describes (its sha256 is {found[:12]}…, expected "
            f"{file.sha256[:12]}…): remove it and fetch it again."
        )


def _go_on(url: str, part: Path, reporter: Reporter) -> None:
    """Append what is missing of ``part``; start over where the server has another version or no ranges."""
    have = part.stat().st_size if part.exists() else 0
    version = _version(part).read_text("utf-8", "replace").strip() if have and _version(part).exists() else ""
    if have and not version:
        have = 0  # nothing says that the rest belongs to this beginning
    headers = {"User-Agent": "recbench"}
    if have:
        headers |= {"Range": f"bytes={have}-", "If-Range": version}
    try:
        answer: Any = urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=TIMEOUT)
    except urllib.error.HTTPError as error:
        if error.code == 416:  # no byte is left, or the file is another one now
            part.unlink(missing_ok=True)
            raise ConnectionError("it has changed") from error
        raise
    with answer:
        if answer.status != 206:
            have = 0
        found = answer.headers.get("ETag") or answer.headers.get("Last-Modified") or ""
        write_atomic(_version(part), found.removeprefix("W/").encode())
        length = answer.headers.get("Content-Length")
        total = have + int(length) if length and length.isdecimal() else None
        with part.open("ab" if have else "wb") as file:
            while piece := _piece(answer):
                file.write(piece)
                have += len(piece)
                reporter.advance(have, total)
    if total is not None and have < total:
        raise ConnectionError(f"the connection ended after {have:,} of {total:,} bytes")


def _piece(answer: Any) -> bytes:
    """The next bytes; whatever breaks here is the connection's fault, and not the disk's."""
    try:
        return bytes(answer.read(_PIECE))
    except OSError as error:
        raise ConnectionError(_said(error)) from error


def _version(part: Path) -> Path:
    return part.with_name(f"{part.name}.version")


def _said(error: BaseException) -> str:
    said = error.reason if isinstance(error, urllib.error.URLError) else error
    return " ".join(str(said).split()).rstrip(".") or type(said).__name__
