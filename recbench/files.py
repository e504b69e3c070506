"""Files: written whole or not at all, named by their content, and one text for equal JSON values."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import re
import shutil
import socket
import stat
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from recbench.errors import RecbenchError
from recbench.memory import RAN_OUT, ran_out

_SUFFIX, _SCRATCH = ".recbench-tmp", "recbench-"


def reason(error: OSError) -> str:
    """Why the system refused, as the end of a sentence."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return "no space is left on the device; free some or choose another folder"
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return "the folder cannot be written to; choose another or change its permissions"
    text = error.strerror or str(error) or type(error).__name__
    return text[:1].lower() + text[1:]


@contextlib.contextmanager
def explained(doing: str) -> Iterator[None]:
    """Turns the system's refusals, also those wrapped by a library's own error, into one sentence."""
    try:
        yield
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        raise RecbenchError(f"{doing} failed: {where}{reason(error)}") from error
    except RecbenchError:
        raise
    except Exception as error:
        if ran_out(error):
            raise RecbenchError(f"{doing} failed: {RAN_OUT}") from error
        if (number := _system_error(str(error))) is not None:
            raise RecbenchError(f"{doing} failed: {reason(OSError(number, os.strerror(number)))}") from error
        raise


def _system_error(text: str) -> int | None:
    """The system's number for an error that safetensors, tokenizers or torch report as one of their own."""
    if found := re.search(r"\(os error (\d+)\)", text):
        return int(found[1])
    return next((number for number in (errno.ENOSPC, errno.EFBIG) if os.strerror(number) in text), None)


def write_atomic(path: Path, content: bytes) -> None:
    """Write ``content`` to ``path``, replacing what was there, all of it or nothing.

    The bytes go to a temporary file in the same folder, are synced, and take the name by ``os.replace``. Missing parent
    folders are made. A process killed in between leaves only the temporary file, for ``sweep_temporaries``.

    Raises:
        RecbenchError: the file could not be written; the old content, if any, is untouched.
    """
    with writing(path) as file:
        file.write(content)


@contextlib.contextmanager
def writing(path: Path) -> Iterator[BinaryIO]:
    """A file to write to that takes the place of ``path`` when the block ends without an error; see write_atomic.

    Raises:
        RecbenchError: the file could not be written; the old content, if any, is untouched.
    """
    path = Path(path)
    # host and process in the name let a sweep tell a dead process's file from one being written
    owner = f"{socket.gethostname()}.{os.getpid()}"
    temporary = path.parent / f".{uuid.uuid4().hex[:12]}.{owner}{_SUFFIX}"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        _remove(temporary)
        raise RecbenchError(f"cannot write {path}: {reason(error)}") from error
    except BaseException:
        _remove(temporary)
        raise
    sync(path.parent)


def sync(path: Path) -> None:
    """Ask the system to put a file or folder on disk; systems that cannot sync folders are let off."""
    with contextlib.suppress(OSError):
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def sweep_temporaries(folder: Path) -> list[Path]:
    """Remove what killed writers left directly in ``folder``; returns what was removed.

    Files of a live process, or of another machine sharing the folder, stay.
    """
    removed = []
    for path in sorted(Path(folder).glob(f".*{_SUFFIX}")):
        host, _, process = path.name.removesuffix(_SUFFIX).split(".", 2)[2].rpartition(".")
        if process.isdigit() and not alive(host, int(process)):
            _remove(path)
            removed.append(path)
    return removed


@contextlib.contextmanager
def scratch() -> Iterator[Path]:
    """An empty temporary folder while the block runs; ``sweep_scratch`` removes that of a killed process."""
    with tempfile.TemporaryDirectory(prefix=f"{_SCRATCH}{socket.gethostname()}.{os.getpid()}.") as name:
        yield Path(name)


def sweep_scratch() -> None:
    """Remove the temporary folders that killed processes of this machine left."""
    for path in Path(tempfile.gettempdir()).glob(f"{_SCRATCH}*"):
        host, _, process = path.name.removeprefix(_SCRATCH).rpartition(".")[0].rpartition(".")
        if process.isdigit() and not alive(host, int(process)):
            shutil.rmtree(path, ignore_errors=True)  # it may be somebody else's


def canonical(value: Any) -> str:
    """One JSON text for equal values, whatever the order of their keys.

    Raises:
        TypeError, ValueError: a value that JSON cannot represent (NaN and infinity included).
    """
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def digest(value: Any) -> str:
    """sha256 of a value's :func:`canonical` JSON, in hexadecimal."""
    return hashlib.sha256(canonical(value).encode("utf-8", "surrogatepass")).hexdigest()


def read_regular(path: Path, limit: int = -1) -> bytes:
    """The content of a file, its first ``limit`` bytes if it is longer.

    Raises:
        OSError: it cannot be read, or is a pipe or a device, which would be waited for or read for ever.
    """

    def opened(name: str, flags: int) -> int:
        return os.open(name, flags | getattr(os, "O_NONBLOCK", 0))

    with open(path, "rb", opener=opened) as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise OSError(errno.EINVAL, "not a regular file", str(path))
        return file.read(limit)


def read_json(path: Path) -> Any:
    """What a file of JSON holds.

    Raises:
        OSError: as :func:`read_regular`.
        ValueError: it is not JSON, or nested too deeply.
    """
    try:
        return json.loads(read_regular(path))
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def sha256_file(path: Path) -> str:
    """sha256 of a file's content, in hexadecimal; reads a piece at a time.

    Raises:
        OSError: it cannot be read.
    """
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sha256_path(path: Path) -> str:
    """sha256 of a file; of a folder: over the names and contents of every file in it.

    Raises:
        OSError: something cannot be read.
    """
    if not path.is_dir():
        return sha256_file(path)
    files = sorted(file for file in path.rglob("*") if file.is_file())
    return digest([[file.relative_to(path).as_posix(), sha256_file(file)] for file in files])


def alive(host: str, process: int) -> bool:
    """Whether a process may still be running: certain only for those of this host."""
    if host != socket.gethostname():
        return True
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True  # it exists and belongs to somebody else
    return True


def _remove(path: Path) -> None:
    with contextlib.suppress(OSError):
        path.unlink(missing_ok=True)
