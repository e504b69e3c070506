"""Stages as artefacts: a folder named by the hash of what made it, finished or not there at all.

Layout under the root: ``<kind>-<hash>/`` finished stages with their ``key.json``; ``.partial/`` stages being built;
``.locks/`` one lock file for each. Only a rename moves a stage from the second to the first, so kill -9 leaves nothing
under a final name, and the next ``sweep`` removes what it left in ``.partial``.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from filelock import FileLock, Timeout

from recbench.errors import DataError, RecbenchError
from recbench.files import canonical, digest, reason, sweep_temporaries, sync, write_atomic

KEY_FILE = "key.json"
_PARTIAL, _LOCKS, _OLD = ".partial", ".locks", ".old"
_HASH_LENGTH = 16


class Messages(Protocol):
    """The part of a Reporter that the store uses."""

    def message(self, text: str) -> None:
        """A line worth keeping."""


@dataclass(frozen=True)
class Stage:
    """A finished stage.

    Attributes:
        path: its folder; treat it as read-only.
        reused: whether it was there already.
        seconds: what building it took, then or now.
    """

    path: Path
    reused: bool
    seconds: float


class Store:
    """A folder of content-addressed stages that several processes may share.

    Args:
        root: the folder; made when the first stage is built.
    """

    def __init__(self, root: Path) -> None:
        self.root = Path(root)

    def stage(
        self,
        kind: str,
        key: Mapping[str, Any],
        build: Callable[[Path], None],
        reporter: Messages | None = None,
        *,
        rebuild: bool = False,
        announce: Callable[[bool], None] | None = None,
    ) -> Stage:
        """The stage that ``key`` describes, built now unless it is there.

        Args:
            kind: a short word for people, e.g. ``model``.
            key: JSON values that determine the content: everything the stage depends on.
            build: fills the empty folder it is given. If it raises, the folder is removed.
            reporter: told when another process builds the same stage and this one waits.
            rebuild: build it even if it is there; the old one stays in place until the new one is finished.
            announce: told, once it is certain, whether ``build`` will be called: other processes may have to take part.

        Raises:
            RecbenchError: the store cannot be written, or the disk is full.
            DataError: the folder with this name was made from another key, or is damaged.
        """
        name = _name(kind, key)
        announce = announce or (lambda building: None)
        if not rebuild and (found := self._find(name, key)):
            announce(False)
            return found
        with _explained(f"building {name} in {self.root}"), self._locked(name, reporter):
            if not rebuild and (found := self._find(name, key)):  # another process built it while this one waited
                announce(False)
                return found
            announce(True)
            return self._build(name, kind, key, build)

    def has(self, kind: str, key: Mapping[str, Any]) -> bool:
        """Whether the stage is there, finished.

        Raises:
            DataError: its folder is damaged.
        """
        return self._find(_name(kind, key), key) is not None

    def sweep(self) -> list[Path]:
        """Remove what killed processes left; what a live one is building stays. Returns what was removed.

        Raises:
            RecbenchError: something cannot be removed.
        """
        removed = []
        with _explained(f"sweeping {self.root}"):
            for path in sorted((self.root / _PARTIAL).glob("*")):
                try:
                    with self._lock(path.name.removesuffix(_OLD)).acquire(blocking=False):
                        if path.exists():  # its builder may have just finished
                            shutil.rmtree(path)
                except Timeout:
                    continue
                removed.append(path)
        return removed + sweep_temporaries(self.root)

    def _find(self, name: str, key: Mapping[str, Any]) -> Stage | None:
        path = self.root / name
        if not path.is_dir():
            return None
        advice = "remove the folder and run again"
        try:
            meta = json.loads((path / KEY_FILE).read_bytes())
            stored, seconds = canonical(meta["key"]), float(meta["seconds"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise DataError(f"the stored stage {path} has no readable {KEY_FILE}; {advice}") from error
        if stored != canonical(key):
            raise DataError(f"the stored stage {path} was made from other settings than its name says; {advice}")
        return Stage(path, True, seconds)

    def _build(self, name: str, kind: str, key: Mapping[str, Any], build: Callable[[Path], None]) -> Stage:
        partial, final = self.root / _PARTIAL / name, self.root / name
        old = partial.with_name(name + _OLD)
        try:
            for leftover in (partial, old):
                if leftover.exists():
                    shutil.rmtree(leftover)
            partial.mkdir(parents=True)
            start = time.perf_counter()
            build(partial)
            seconds = time.perf_counter() - start
            meta = {"kind": kind, "key": key, "seconds": seconds}
            write_atomic(partial / KEY_FILE, json.dumps(meta, indent=1, sort_keys=True).encode())
            for path in partial.rglob("*"):  # on disk before the name is: a power cut must not leave empty files
                sync(path)
            if final.exists():
                os.replace(final, old)
            os.replace(partial, final)
        except BaseException:  # KeyboardInterrupt too
            shutil.rmtree(partial, ignore_errors=True)
            if old.exists() and not final.exists():
                os.replace(old, final)
            raise
        shutil.rmtree(old, ignore_errors=True)
        return Stage(final, False, seconds)

    def _lock(self, name: str) -> FileLock:
        locks = self.root / _LOCKS
        locks.mkdir(parents=True, exist_ok=True)
        return FileLock(locks / f"{name}.lock")

    @contextmanager
    def _locked(self, name: str, reporter: Messages | None) -> Iterator[None]:
        lock = self._lock(name)
        try:
            lock.acquire(blocking=False)
        except Timeout:
            if reporter is not None:
                reporter.message(f"waiting for another process that is building {name} in {self.root}")
            lock.acquire()
        try:
            yield
        finally:
            lock.release()


def _name(kind: str, key: Mapping[str, Any]) -> str:
    return f"{kind}-{digest(key)[:_HASH_LENGTH]}"


@contextmanager
def _explained(doing: str) -> Iterator[None]:
    """Turns the system's refusals, also those wrapped by a library's own error, into one sentence."""
    try:
        yield
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        raise RecbenchError(f"{doing} failed: {where}{reason(error)}") from error
    except RecbenchError:
        raise
    except Exception as error:
        # safetensors and torch report a full disk as an error of their own, with the system's words inside
        if os.strerror(errno.ENOSPC) in str(error):
            full = reason(OSError(errno.ENOSPC, ""))
            raise RecbenchError(f"{doing} failed: {full}") from error
        raise
