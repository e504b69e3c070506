"""What a store holds, which runs need it, and removing what no run needs."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from recbench.errors import DataError
from recbench.experiment import LOCAL, RECORD, STORE
from recbench.files import explained, read_json
from recbench.results import read
from recbench.steps.store import CHECKPOINTS, LIVE, LOCKS, PARTIAL, Store, read_meta
from recbench.tuning import TRIALS

OLDER = "artefacts"
"""The folder in which recbench before 0.4 kept what it made."""


@dataclass(frozen=True)
class Entry:
    """A folder of a store.

    Attributes:
        title: what building it did; empty for what this version cannot read.
        size: bytes.
        age: seconds since it was made.
        runs: the runs that reach it, directly or through a step that needs it.
        live: a running process uses it.
    """

    path: Path
    title: str
    size: int
    age: float
    runs: tuple[str, ...]
    live: bool

    @property
    def wanted(self) -> bool:
        """Whether ``prune`` keeps it."""
        return bool(self.runs) or self.live


def inventory(runs: Path) -> list[Entry]:
    """Everything in the store of a folder of runs, the largest first."""
    root = runs / STORE
    titles: dict[str, str] = {}
    needs: dict[str, list[str]] = {}
    folders = _visible(root)
    for path in folders:
        try:
            meta = read_meta(path)
            titles[path.name], needs[path.name] = str(meta["title"]), list(meta["needs"].values())
        except (DataError, KeyError, AttributeError):
            titles[path.name] = ""
    users = _users(runs, needs)
    live = _closure(_live(root), needs)
    entries = [_entry(path, titles[path.name], users, live) for path in folders]
    kept = _visible(root / CHECKPOINTS)
    entries += [_entry(path, _unfinished(path), users, live) for path in kept]
    entries += [_entry(path, "", {}, set()) for path in _visible(runs / OLDER)]
    return sorted(entries, key=lambda entry: (-entry.size, entry.path.name))


def _unfinished(checkpoints: Path) -> str:
    what = "training" if any(checkpoints.glob("*.pt")) else "ranking"
    return f"checkpoint of an unfinished {what}"


def prune(runs: Path, dry: bool) -> list[Entry]:
    """Remove what no run reaches and no process uses; returns it. With ``dry``, only say what that would be.

    Raises:
        RecbenchError: something cannot be removed.
    """
    removed = []
    store = Store(runs / STORE)
    if not dry:
        store.sweep()
    for entry in inventory(runs):
        if entry.wanted or (not dry and not _remove(entry.path, runs)):
            continue
        removed.append(entry)
    older = runs / OLDER
    if not dry and older.is_dir() and not _visible(older):
        shutil.rmtree(older)
    return removed


def _visible(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob("[!.]*") if path.is_dir())


def _remove(path: Path, runs: Path) -> bool:
    """Remove a folder unless a process is building it again at this moment."""
    locks = runs / STORE / LOCKS
    with explained(f"removing {path}"):
        locks.mkdir(parents=True, exist_ok=True)
        lock = FileLock(locks / f"{path.name}.lock")
        try:
            with lock.acquire(blocking=False):
                if path.name in _live(runs / STORE):  # a run that has begun since
                    return False
                gone = runs / STORE / PARTIAL / f"{path.name}.pruned"
                gone.parent.mkdir(exist_ok=True)
                path.rename(gone)  # at once, so that no process sees half of it
                shutil.rmtree(gone)
        except Timeout:
            return False
        Path(lock.lock_file).unlink(missing_ok=True)
    return True


def _entry(path: Path, title: str, users: Mapping[str, set[str]], live: set[str]) -> Entry:
    files = [file.stat() for file in path.rglob("*") if file.is_file()]
    made = path.stat().st_mtime
    runs = tuple(sorted(users.get(path.name, ())))
    return Entry(path, title, sum(file.st_size for file in files), time.time() - made, runs, path.name in live)


def _users(runs: Path, needs: Mapping[str, list[str]]) -> dict[str, set[str]]:
    """Step folder -> the runs that reach it."""
    found: dict[str, set[str]] = {}
    for folder in sorted(runs.glob("*/")):
        names: set[str] = set()
        for path in [folder / RECORD, *folder.glob("record-*.json")]:
            if path.is_file():
                names |= _recorded(path)
        names |= listed(folder / LOCAL) | listed(folder / TRIALS)
        for name in _closure(names, needs):
            found.setdefault(name, set()).add(folder.name)
    return found


def _recorded(path: Path) -> set[str]:
    try:
        return {step.folder for seed in read(path).seeds for step in seed.steps}
    except DataError:
        return set()  # a damaged record reaches nothing; its list of steps may still


def listed(path: Path) -> set[str]:
    """The steps that a run or a process listed as wanted; none where the file is missing or damaged."""
    try:
        return set(map(str, read_json(path)["steps"]))
    except (OSError, ValueError, TypeError, KeyError):
        return set()


def _live(root: Path) -> set[str]:
    """What running processes said that they use."""
    return {name for path in (root / LIVE).glob("*.json") for name in listed(path)}


def _closure(names: Iterable[str], needs: Mapping[str, list[str]]) -> set[str]:
    found: set[str] = set()
    waiting = list(names)
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting += needs.get(name, ())
    return found
