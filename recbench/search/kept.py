"""Finished chunks of a ranking as files, from which an interrupted one goes on.

A chunk's file says of which step and of which cases it is. Arrays only, nothing that can run. Nothing is written before
the interval between two checkpoints has passed, so a ranking that takes seconds leaves no files.
"""

from __future__ import annotations

import time
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from recbench.errors import RecbenchError
from recbench.files import writing
from recbench.interfaces import Checkpoints, Reporter
from recbench.types import Histories, Ranking

FORMAT = 1
NOTHING = -1.0  # stands for None in an array


@dataclass(frozen=True)
class Chunk:
    """A finished chunk, and the seconds that it took."""

    ranking: Ranking
    seconds: float


class Kept:
    """The files of one ranking.

    Args:
        place: where, and how often.
        cases: those of the whole ranking.
        rows: of each chunk.
        check: a ranking of the cases at some rows; raises where it is none.
        reporter: is told what is not used, and what cannot be written.
    """

    def __init__(
        self,
        place: Checkpoints,
        cases: Histories,
        rows: list[npt.NDArray[np.integer]],
        check: Callable[[Ranking, npt.NDArray[np.integer]], Ranking],
        reporter: Reporter,
    ) -> None:
        self.place, self.cases, self.rows, self.check, self.reporter = place, cases, rows, check, reporter
        self.number = place.begun  # a step may rank several times, one after the other
        place.begun += 1
        self._written: set[int] = set()
        self._last = time.monotonic()
        self._told = False

    # ---- reading ------------------------------------------------------------------------------------------------

    def read(self) -> dict[int, Chunk]:
        """The chunks that are there, by number; says so, and what cannot be used."""
        found = {}
        for number in range(len(self.rows)):
            path = self._path(number)
            try:
                found[number] = self._read(path, number)
            except FileNotFoundError:
                continue
            except (RecbenchError, OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile) as error:
                why = str(error) if isinstance(error, _Foreign) else f"it is damaged ({type(error).__name__})"
                self.reporter.message(f"the checkpoint {path} is ignored: {why}")
        self._written = set(found)
        if found:
            done, total = (sum(len(self.rows[n]) for n in some) for some in (found, range(len(self.rows))))
            self.reporter.message(f"continuing after {done:,} of {total:,} cases were ranked")
        return found

    def _read(self, path: Path, number: int) -> Chunk:
        with zipfile.ZipFile(path) as archive:
            if (name := archive.testzip()) is not None:
                raise ValueError(f"{name} is damaged")
        with np.load(path, allow_pickle=False) as arrays:
            if int(arrays["format"]) != FORMAT:
                raise _Foreign("another version of recbench wrote it")
            if str(arrays["step"]) != self.place.folder.name:
                raise _Foreign("it belongs to another step")
            rows = self.rows[number]
            if str(arrays["cases"]) != self._digest(number) or not np.array_equal(arrays["rows"], rows):
                raise _Foreign("it is of other cases")
            share, generated, seconds = (float(arrays[name]) for name in ("invalid", "generated", "seconds"))
            made = Ranking(
                arrays["items"],
                arrays["scores"],
                None if share == NOTHING else share,
                None if generated == NOTHING else int(generated),
            )
        if not 0 <= seconds < np.inf:
            raise ValueError(seconds)
        return Chunk(self.check(made, rows), seconds)

    # ---- writing ------------------------------------------------------------------------------------------------

    def write(self, found: Mapping[int, Chunk], stopping: bool) -> None:
        """Write what is not written yet, if it is time or the ranking ends here.

        A disk that refuses does not end a ranking, unless a signal does anyway.

        Raises:
            RecbenchError: a signal ends it, and nothing can be kept.
        """
        if not stopping and time.monotonic() - self._last < 60 * self.place.minutes:
            return
        try:
            for number in sorted(found.keys() - self._written):
                self._write(number, found[number])
                self._written.add(number)
        except RecbenchError as error:
            if stopping:
                raise RecbenchError(f"stopped without keeping what was ranked: {error}") from error
            if not self._told:
                self.reporter.message(f"no checkpoint is written, the ranking goes on: {error}")
            self._told = True
        self._last = time.monotonic()

    def _write(self, number: int, chunk: Chunk) -> None:
        ranking = chunk.ranking
        with writing(self._path(number)) as file:
            np.savez_compressed(
                file,
                format=FORMAT,
                step=self.place.folder.name,
                cases=self._digest(number),
                rows=self.rows[number],
                items=ranking.items,
                scores=ranking.scores,
                invalid=NOTHING if ranking.invalid_share is None else ranking.invalid_share,
                generated=NOTHING if ranking.generated is None else ranking.generated,
                seconds=chunk.seconds,
            )

    def _path(self, number: int) -> Path:
        return self.place.folder / f"{self.number}-{number:05}.npz"

    def _digest(self, number: int) -> str:
        return self.cases.take(self.rows[number]).digest()


class _Foreign(ValueError):
    """A readable file that is not of this ranking; the message says why."""
