"""A store behind an fsspec address such as ``s3://bucket/folder``, for hosts without a shared folder.

Every host has a cache. A step's files are sent first and its ``step.json`` last, so that what is there is whole. Locks
hold on one machine only: two machines may build the same step, with the same content. Checkpoints of unfinished steps
stay on the machine that wrote them.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from recbench.errors import DataError, RecbenchError, UsageError
from recbench.steps.step import Step
from recbench.steps.store import META, Built, Store, read_meta

VARIABLE = "RECBENCH_STORE"
FOLDER = "steps"
"""Of the finished steps in a folder of runs."""


def store_of(runs: Path) -> Store:
    """The store of a folder of runs: a plain one, or the cache of the address in :data:`VARIABLE`."""
    return opened(runs / FOLDER, os.environ.get(VARIABLE))


def opened(root: Path, address: str | None) -> Store:
    """A store in a folder, in front of an address if there is one."""
    return RemoteStore(root, address) if address else Store(root)


class RemoteStore(Store):
    """A store whose finished steps are also kept at an fsspec address.

    Args:
        root: the cache.
        address: without credentials, which belong in the environment or in the file system's own configuration.

    Raises:
        UsageError: fsspec or the file system's package is not installed, or the address holds a password.
    """

    def __init__(self, root: Path, address: str) -> None:
        super().__init__(root)
        self.address = address.rstrip("/")
        self._there: set[str] = set()  # what is known to be at the address
        if importlib.util.find_spec("fsspec") is None:
            raise UsageError(f"--store {address} needs fsspec: pip install fsspec, and s3fs for s3://.")
        if "@" in address.partition("://")[2].partition("/")[0]:
            raise UsageError(
                "--store: leave user and password out of the address; the file system's own settings hold them."
            )
        import fsspec

        try:
            self._files, self._base = fsspec.core.url_to_fs(self.address)
        except (ImportError, ValueError) as error:
            raise UsageError(f"--store {address}: {' '.join(str(error).split())}") from error

    @property
    def place(self) -> tuple[Path, str | None]:
        """See :class:`recbench.steps.store.Store`."""
        return self.root.resolve(), self.address

    def opened(self, folder: str) -> Built | None:
        """As in a plain store; what is only at the address is fetched."""
        if (found := super().opened(folder)) is not None:
            self._send(folder)
            return found
        if not self._fetch(folder):
            return None
        try:
            return super().opened(folder)
        except DataError as error:
            shutil.rmtree(self.root / folder, ignore_errors=True)
            raise DataError(f"{self.address}/{folder} is damaged: remove it there and run again.") from error

    def told(self, folder: str) -> Built | None:
        """As in a plain store; of what is only at the address, ``step.json`` is read and nothing else."""
        if Store.has(self, folder):
            return self.opened(folder)
        if not self.has(folder):
            return None
        with self.scratch(f"told-{folder}") as scratch:
            copy = scratch / folder
            copy.mkdir()
            with _refusals(f"reading {self.address}"):
                self._files.get_file(f"{self._base}/{folder}/{META}", str(copy / META))
            try:
                return Built.of(self.root / folder, read_meta(copy), True)
            except DataError as error:
                raise DataError(f"{self.address}/{folder} is damaged: remove it there and run again.") from error

    def has(self, folder: str) -> bool:
        """As in a plain store, or at the address; fetches nothing."""
        if super().has(folder):
            return True
        with _refusals(f"reading {self.address}"):
            return bool(self._files.exists(f"{self._base}/{folder}/{META}"))

    def _build(self, step: Step, fill: Callable[[Path], None], before: Callable[[], float]) -> Built:
        built = super()._build(step, fill, before)
        self._send(step.folder)
        return built

    def _fetch(self, folder: str) -> bool:
        """Copy a finished step to the cache; whether it is there."""
        place = f"{self._base}/{folder}"
        with self.scratch(f"fetched-{folder}") as scratch, _refusals(f"reading {self.address}"):
            if not self._files.exists(f"{place}/{META}"):
                return False
            self._files.get(f"{place}/", f"{scratch}/", recursive=True)
            try:
                os.replace(scratch, self.root / folder)
            except OSError:  # another process was faster
                if not (self.root / folder).is_dir():
                    raise
        return True

    def _send(self, folder: str) -> None:
        """Copy a finished step to the address, unless it is there: another host's must not change under its readers."""
        place, here = f"{self._base}/{folder}", self.root / folder
        if folder in self._there:
            return
        with _refusals(f"writing {self.address}"):
            if self._files.exists(f"{place}/{META}"):
                self._there.add(folder)
                return
            for path in sorted(here.rglob("*"), key=lambda path: path.name == META):
                if path.is_file():
                    there = f"{place}/{path.relative_to(here).as_posix()}"
                    self._files.makedirs(there.rpartition("/")[0], exist_ok=True)
                    self._files.put_file(str(path), there)
        self._there.add(folder)


@contextmanager
def _refusals(what: str) -> Iterator[None]:
    """Turns whatever a file system raises into one sentence; each has its own errors."""
    try:
        yield
    except RecbenchError:
        raise
    except Exception as error:
        raise RecbenchError(f"{what} failed with {type(error).__name__}: {' '.join(str(error).split())}") from error
