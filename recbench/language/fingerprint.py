"""One digest for a language model on this machine; it changes with every byte that can change the model."""

from __future__ import annotations

import contextlib
import os
import re
import stat
import time
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

from recbench.errors import DataError, RecbenchError
from recbench.files import canonical, digest, read_json, reason, sha256_file, write_atomic

# Files that loading a model never reads. Every other file counts, known or not.
UNREAD_FILES = re.compile(r"readme(\..*)?|licen[cs]e(\..*)?|notice(\..*)?|\.git(attributes|ignore)|\.ds_store", re.I)
UNREAD_FOLDERS = frozenset({".git", ".cache"})  # git's own; what `hf download --local-dir` notes down

SMALL = 1 << 20  # bytes; a file of fewer is hashed sooner than its digest is looked up
SETTLED = 2.0  # seconds; a file changed later than this before it was read may change again within one tick


def fingerprint(path: Path) -> str:
    """sha256 over the relative path and the content of every file of a model folder, or of one file.

    Subfolders and links are followed. README, licence and git's files do not count. Digests of large files are kept in
    the user's cache folder and serve while path, size, inode and both times of the file stay the same.

    Raises:
        DataError: a file cannot be read, or is not a regular one.
    """
    path = Path(path)
    try:
        if path.is_file():
            return digest({"": _content(path)})
        return digest({file.relative_to(path).as_posix(): _content(file) for file in _files(path, frozenset())})
    except OSError as error:
        raise DataError(f"{error.filename or path} cannot be read: {reason(error)}.") from error


def _files(folder: Path, above: frozenset[tuple[int, int]]) -> Iterator[Path]:
    """Every file that counts; ``above`` holds the folders on the way here, so that a link back to one ends there."""
    here = folder.stat()
    if (here.st_dev, here.st_ino) in above:
        return
    for path in sorted(folder.iterdir()):
        if path.is_dir():
            if path.name not in UNREAD_FOLDERS:
                yield from _files(path, above | {(here.st_dev, here.st_ino)})
        elif not UNREAD_FILES.fullmatch(path.name):
            yield path


def _content(file: Path) -> str:
    """sha256 of a file's content, from the cache where the file is the one that was hashed."""
    before = file.stat()
    if not stat.S_ISREG(before.st_mode):
        raise DataError(f"{file} is not a regular file: a model folder holds files and folders only.")
    if before.st_size < SMALL:
        return sha256_file(file)
    state = [before.st_size, before.st_ino, before.st_dev, before.st_mtime_ns, before.st_ctime_ns]
    place = _cache_place(file)
    if place is not None:
        with contextlib.suppress(OSError, ValueError, TypeError, KeyError, RecursionError):
            kept = read_json(place)
            if kept["state"] == state and re.fullmatch("[0-9a-f]{64}", kept["sha256"]):
                return str(kept["sha256"])
    started = time.time()
    found = sha256_file(file)
    after = file.stat()
    settled = max(before.st_mtime, before.st_ctime) < started - SETTLED
    if place is not None and settled and (after.st_mtime_ns, after.st_ctime_ns) == (state[3], state[4]):
        with contextlib.suppress(RecbenchError):  # a cache that cannot be written costs time, nothing else
            write_atomic(place, canonical({"state": state, "sha256": found}).encode())
    return found


def cache_folder() -> Path | None:
    """The user's folder for what recbench keeps between runs, wherever they are; None without a home."""
    base = os.environ.get("XDG_CACHE_HOME", "")
    try:
        folder = Path(base) if os.path.isabs(base) else Path.home() / ".cache"
    except RuntimeError:  # no HOME, and the user has no entry in the system's list
        return None
    return folder / "recbench"


def _cache_place(file: Path) -> Path | None:
    """Where the digest of a file is kept; None without a home."""
    folder = cache_folder()
    name = f"{sha256(os.fsencode(os.path.realpath(file))).hexdigest()[:32]}.json"
    return None if folder is None else folder / "fingerprints" / name
