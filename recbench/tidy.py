"""A run that fails leaves the folders as they were: no empty folder, no lock file of a step that was never built."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock, Timeout

from recbench import processes
from recbench.experiment import LOCAL, STORE
from recbench.inventory import listed
from recbench.steps.store import CHECKPOINTS, LIVE, LOCKS, PARTIAL

LOCK = ".lock"


@contextlib.contextmanager
def tidied(runs: Path) -> Iterator[None]:
    """Remove, when the block raises, what it made under ``runs`` that holds no finished work."""
    before = _listing(runs)
    root = _first_missing(runs)
    try:
        yield
    except BaseException:
        if processes.is_main():
            _tidy(runs, before)
            if root is not None:
                _remove_empty(runs, root)
        raise


def _listing(runs: Path) -> set[Path]:
    folders = (runs, runs / STORE, runs / STORE / LOCKS)
    return {path for folder in folders if folder.is_dir() for path in folder.iterdir()}


def _first_missing(path: Path) -> Path | None:
    """The outermost folder that making ``path`` would make."""
    missing = [p for p in (path, *path.parents) if not p.exists()]
    return missing[-1] if missing else None


def _tidy(runs: Path, before: set[Path]) -> None:
    store = runs / STORE
    for lock in sorted((store / LOCKS).glob("*.lock")):
        if lock not in before and not (store / lock.name.removesuffix(".lock")).exists():
            _remove_lock(lock)
    for folder in sorted(runs.glob("*/")) if runs.is_dir() else []:
        if folder not in before and folder != store and _holds_nothing(folder, store):
            (folder / LOCAL).unlink(missing_ok=True)
            _remove_lock(folder / LOCK)
            _rmdir(folder)
    for folder in (store / LOCKS, store / PARTIAL, store / LIVE, store / CHECKPOINTS, store):
        if folder not in before:
            _rmdir(folder)


def _holds_nothing(folder: Path, store: Path) -> bool:
    """Whether a run's folder has no record, and no step that it lists was built or has a checkpoint."""
    if not {path.name for path in folder.iterdir()} <= {LOCK, LOCAL}:
        return False
    return not any((store / name).exists() or (store / CHECKPOINTS / name).exists() for name in listed(folder / LOCAL))


def _remove_empty(runs: Path, root: Path) -> None:
    for folder in (runs, *runs.parents):
        _rmdir(folder)
        if folder == root:
            return


def _remove_lock(path: Path) -> None:
    with contextlib.suppress(OSError, Timeout), FileLock(path).acquire(blocking=False):
        path.unlink(missing_ok=True)


def _rmdir(folder: Path) -> None:
    with contextlib.suppress(OSError):  # it is missing, or holds something
        folder.rmdir()
