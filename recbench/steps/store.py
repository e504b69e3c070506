"""Finished steps in a folder that several processes, and several hosts, may share.

Layout under the root: ``<kind>-<key>/`` finished steps, each with its ``step.json``; ``.partial/`` steps that are being
built; ``.checkpoints/<kind>-<key>/`` what an interrupted training or ranking continues from; ``.locks/`` one lock file
for each step; ``.live/`` what running processes use. Only a rename moves a step from the second to the first, so
kill -9 leaves nothing under a final name, and the next ``sweep`` removes what it left.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import shutil
import socket
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from filelock import FileLock, Timeout

import recbench
from recbench.errors import DataError, RecbenchError
from recbench.files import alive, explained, read_json, sha256_file, sweep_temporaries, sync, write_atomic
from recbench.memory import peak_memory_bytes
from recbench.results import environment
from recbench.steps.step import IDENTITY, Step, key_of

META = "step.json"
FORMAT = 3
PARTIAL, LOCKS, LIVE, CHECKPOINTS, OLD = ".partial", ".locks", ".live", ".checkpoints", ".old"
_REMEDY = "remove the folder and run again"


class Messages(Protocol):
    """The part of a Reporter that the store uses."""

    def message(self, text: str) -> None:
        """A line worth keeping."""


@dataclass(frozen=True)
class Built:
    """A finished step in the store.

    Attributes:
        path: its folder; treat it as read-only.
        reused: whether it was there already.
        seconds: what building it took, then or now.
        environment: what it was built on; see :func:`recbench.results.environment`.
        peak_memory_bytes: the most memory that the process used while building it.
        files: the names of its files, relative to its folder.
    """

    path: Path
    reused: bool
    seconds: float
    environment: Mapping[str, Any]
    peak_memory_bytes: int
    files: frozenset[str]

    @classmethod
    def of(cls, path: Path, meta: Mapping[str, Any], reused: bool) -> Built:
        """What a finished step says about itself."""
        files = frozenset(meta["files"])
        return cls(path, reused, float(meta["seconds"]), meta["environment"], meta["peak_memory_bytes"], files)


class Store:
    """A folder of finished steps.

    Args:
        root: the folder; made when the first step is built.
    """

    def __init__(self, root: Path) -> None:
        self.root = Path(root)
        self._checked: dict[Path, tuple[tuple[int, int], ...]] = {}

    @property
    def place(self) -> tuple[Path, str | None]:
        """What opens it in another process: its folder, and the address behind it if there is one."""
        return self.root.resolve(), None

    def find(self, step: Step) -> Built | None:
        """The step, if it is there and finished.

        Every file is compared with its sha256 once in a process, and by size and time after that.

        Raises:
            DataError: its folder is damaged, or was made from something else than its name says.
        """
        return self.opened(step.folder)

    def opened(self, folder: str) -> Built | None:
        """A finished step by its folder's name, whatever would be built today; raises as :meth:`find`."""
        path = self.root / folder
        if not path.is_dir():
            return None
        meta = read_meta(path)
        self._check_files(path, meta)
        return Built.of(path, meta, True)

    def told(self, folder: str) -> Built | None:
        """What a finished step says about itself, by its folder's name; raises as :meth:`find`."""
        return self.opened(folder)

    def has(self, folder: str) -> bool:
        """Whether a finished step is there, by its folder's name; reads none of it."""
        return (self.root / folder).is_dir()

    def build(
        self,
        step: Step,
        fill: Callable[[Path], None],
        reporter: Messages | None = None,
        *,
        rebuild: bool = False,
        announce: Callable[[bool], None] = lambda building: None,
        before: Callable[[], float] = lambda: 0.0,
    ) -> Built:
        """The step, built now unless it is there.

        Args:
            step: what to build.
            fill: fills the empty folder that it is given. If it raises, the folder is removed.
            reporter: told when another process builds the same step and this one waits.
            rebuild: build it even if it is there; the old one stays in place until the new one is finished.
            announce: told, once it is certain, whether ``fill`` will be called: other processes may have to take part.
            before: asked when ``fill`` is done: seconds that earlier processes spent on what it went on from.

        Raises:
            RecbenchError: the store cannot be written, or the disk is full.
            DataError: the folder with this name is damaged.
        """
        with explained(f"building {step.folder} in {self.root}"), self._locked(step.folder, reporter):
            if not rebuild and (found := self.find(step)):  # another process built it while this one waited
                announce(False)
                return found
            announce(True)
            return self._build(step, fill, before)

    def _build(self, step: Step, fill: Callable[[Path], None], before: Callable[[], float]) -> Built:
        partial, final = self.root / PARTIAL / _owned(step.folder), self.root / step.folder
        old = self.root / PARTIAL / f"{_owned(step.folder)}{OLD}"
        made = None
        try:
            shutil.rmtree(partial, ignore_errors=True)
            partial.mkdir(parents=True)
            made = _inode(partial)
            start = time.perf_counter()
            fill(partial)
            seconds = time.perf_counter() - start + before()
            files = {file.relative_to(partial).as_posix(): sha256_file(file) for file in _files(partial)}
            meta = {**step.identity, "format": FORMAT, "title": step.title, "seconds": seconds, "files": files}
            meta |= {"recbench": recbench.__version__, "modules": step.code.modules, "pace": _pace(step), **_made(step)}
            write_atomic(partial / META, json.dumps(meta, indent=1, sort_keys=True).encode())
            for path in partial.rglob("*"):  # on disk before the name is: a power cut must not leave empty files
                sync(path)
            if _inode(partial) != made:  # it was removed: what was written before is missing
                raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(partial))
            if final.exists():
                os.replace(final, old)
            os.replace(partial, final)
        except BaseException as error:  # KeyboardInterrupt too
            gone = isinstance(error, Exception) and made is not None and _inode(partial) != made
            shutil.rmtree(partial, ignore_errors=True)
            if old.exists() and not final.exists():
                os.replace(old, final)
            if gone:
                what = f"{self.root} was removed or moved away while {step.folder} was being built"
                raise RecbenchError(f"{what}: run the same command again.") from error
            raise
        shutil.rmtree(old, ignore_errors=True)
        shutil.rmtree(self.checkpoints(step), ignore_errors=True)
        self._checked[final] = _stamps(final)
        return Built.of(final, meta, False)

    def checkpoints(self, step: Step) -> Path:
        """Where an unfinished step's trainings and rankings leave checkpoints: kept until it is finished, or pruned."""
        return self.root / CHECKPOINTS / step.folder

    def _check_files(self, path: Path, meta: dict[str, Any]) -> None:
        stamps = _stamps(path)
        if self._checked.get(path) == stamps:
            return
        try:
            found = {file.relative_to(path).as_posix(): sha256_file(file) for file in _files(path)}
        except OSError as error:
            raise DataError(f"the stored step {path} cannot be read ({error.strerror}); {_REMEDY}.") from error
        for name in sorted(found.keys() | meta["files"].keys()):
            if found.get(name) != meta["files"].get(name):
                problem = "is missing" if name not in found else "is not the file that was stored"
                raise DataError(f"{path / name} {problem}; {_REMEDY}.")
        self._checked[path] = stamps

    def sweep(self) -> list[Path]:
        """Remove what killed processes left, and restore what they had moved away; returns what was removed.

        What a live process is building stays, and so does what another host left: only there is known what lives.

        Raises:
            RecbenchError: something cannot be removed.
        """
        removed = []
        with explained(f"sweeping {self.root}"):
            for path in sorted((self.root / PARTIAL).glob("*")):
                name, host, process = _owner(path.name.removesuffix(OLD))
                if alive(host, process):
                    continue
                final = self.root / name
                if path.name.endswith(OLD) and not final.exists():  # killed between the two renames
                    with contextlib.suppress(FileNotFoundError):  # another process has done so
                        os.replace(path, final)
                    continue
                shutil.rmtree(path, ignore_errors=True)  # another process may be removing it too
                if path.exists():
                    raise RecbenchError(f"{path} cannot be removed: remove it yourself.")
                removed.append(path)
            for path in (self.root / LIVE).glob("*.json"):
                _, host, process = _owner(path.stem)
                if not alive(host, process):
                    path.unlink(missing_ok=True)
            for path in sorted((self.root / CHECKPOINTS).glob("*/")):
                removed += sweep_temporaries(path)
                if (self.root / path.name).exists():  # finished, and killed before it could remove them
                    removed += self.drop_checkpoints(path.name)
        return removed + sweep_temporaries(self.root)

    def drop_checkpoints(self, name: str) -> list[Path]:
        """Remove the checkpoints of a step, by its folder's name, unless a process is building it at this moment."""
        path = self.root / CHECKPOINTS / name
        if path.is_dir():
            with contextlib.suppress(Timeout), FileLock(self.root / LOCKS / f"{name}.lock").acquire(blocking=False):
                shutil.rmtree(path, ignore_errors=True)
                return [path]
        return []

    @contextmanager
    def using(self, steps: Iterable[Step]) -> Iterator[None]:
        """Keep ``prune`` away from these steps while the block runs."""
        path = self.root / LIVE / f"{_owned(uuid.uuid4().hex[:8])}.json"  # a process may use several sets of steps
        names = sorted({step.folder for step in steps})
        write_atomic(path, json.dumps({"steps": names}).encode())
        try:
            yield
        finally:
            path.unlink(missing_ok=True)

    @contextmanager
    def scratch(self, name: str) -> Iterator[Path]:
        """A folder for this process while the block runs; what a killed process leaves is swept."""
        path = self.root / PARTIAL / _owned(name)
        path.mkdir(parents=True, exist_ok=True)
        try:
            yield path
        finally:
            shutil.rmtree(path, ignore_errors=True)

    @contextmanager
    def _locked(self, name: str, reporter: Messages | None) -> Iterator[None]:
        locks = self.root / LOCKS
        locks.mkdir(parents=True, exist_ok=True)
        lock = FileLock(locks / f"{name}.lock")
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


def read_meta(path: Path) -> dict[str, Any]:
    """What a finished step says about itself.

    Raises:
        DataError: it says nothing readable, an older recbench made it, or it is not what its folder's name says.
    """
    try:
        meta: dict[str, Any] = read_json(path / META)
        if meta["format"] != FORMAT:
            raise DataError(f"the stored step {path} was made by another version of recbench; {_REMEDY}.")
        key = key_of({name: meta[name] for name in IDENTITY})
        if float(meta["seconds"]) < 0 or not isinstance(meta["files"], dict):
            raise ValueError(meta["seconds"])
        if not isinstance(meta["environment"], dict) or not isinstance(meta["peak_memory_bytes"], int):
            raise ValueError(meta["environment"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise DataError(f"the stored step {path} has no readable {META}; {_REMEDY}.") from error
    if path.name != f"{meta['kind']}-{key}":
        raise DataError(f"the stored step {path} was made from other settings than its name says; {_REMEDY}.")
    return meta


def _pace(step: Step) -> dict[str, Any]:
    like, amount, _ = step.pace()
    return {"like": dict(like), "amount": amount}


def _made(step: Step) -> dict[str, Any]:
    """Where it was made, and with how much memory."""
    device, threads = (step.machine.device, step.machine.threads) if step.machine else ("cpu", 1)
    return {"environment": environment(device, threads), "peak_memory_bytes": peak_memory_bytes(device)}


def _owned(name: str) -> str:
    """A partial step's name: the host and process in it let a sweep tell a dead builder's folder from a live one's."""
    return f"{name}@{socket.gethostname()}@{os.getpid()}"


def _owner(name: str) -> tuple[str, str, int]:
    step, _, rest = name.partition("@")
    host, _, process = rest.rpartition("@")
    # a name without an owner is an older recbench's: nothing alive builds it
    return step, host or socket.gethostname(), int(process) if process.isdigit() else 2**31 - 1


def _inode(folder: Path) -> int | None:
    try:
        return folder.stat().st_ino
    except OSError:
        return None


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file() and path.name != META)


def _stamps(folder: Path) -> tuple[tuple[int, int], ...]:
    return tuple((s.st_size, s.st_mtime_ns) for s in (path.stat() for path in _files(folder)))
