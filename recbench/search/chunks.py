"""A ranking in chunks: what is finished survives an interruption, and several processes share the work.

Cases are ranked a fixed number at a time in a fixed order, whoever ranks them and whatever happens in between, so the
result is a function of cases and model alone. :mod:`.kept` writes finished chunks where a ranking takes long.
"""

from __future__ import annotations

import math
import re
import time
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from recbench import processes
from recbench.errors import Stopped
from recbench.interfaces import Checkpoints, Reporter
from recbench.search.kept import Chunk, Kept
from recbench.signals import Signals
from recbench.types import PAD, Histories, Ranking

SIZE = {"text": 256, "scores": 1024}
"""Cases of a chunk by the model's signal: whole batches of our decoders, and minutes of a large language model."""


@dataclass(frozen=True)
class Task:
    """A ranking to be made.

    Attributes:
        cases: N histories.
        order: [N] their rows, in the order in which they are ranked; those that cost alike stand together.
        size: rows of a chunk.
        depth: length of the lists.
        rank: some of the cases to their ranking; one call for each chunk.
        check: a ranking of the cases at the given rows as it is stored; raises where it is none.
    """

    cases: Histories
    order: npt.NDArray[np.integer]
    size: int
    depth: int
    rank: Callable[[Histories, Reporter], Ranking]
    check: Callable[[Ranking, npt.NDArray[np.integer]], Ranking]

    def chunks(self) -> list[npt.NDArray[np.integer]]:
        """The rows of each chunk."""
        return [self.order[start : start + self.size] for start in range(0, len(self.order), self.size)]


def ranked(task: Task, reporter: Reporter, place: Checkpoints | None = None, shared: bool = False) -> Ranking:
    """Rank the cases of ``task``.

    Args:
        task: what to rank.
        reporter: progress.
        place: where finished chunks are kept and found again; None keeps none.
        shared: every process of the run calls this and ranks its part; each gets the whole.

    Raises:
        RecbenchError: a chunk is not a ranking; on every process if ``shared``.
        Stopped: a signal; where chunks are kept, the finished ones are.
    """
    rows = task.chunks()
    kept = None if place is None or place.minutes == 0 else Kept(place, task.cases, rows, task.check, reporter)
    found: dict[int, Chunk] = {}
    if kept is not None:
        found = processes.once(kept.read) if shared else kept.read()
        kept.place.seconds += math.fsum(chunk.seconds for chunk in found.values())
    work = _Work(task, rows, found, reporter, kept, shared and processes.world() > 1)
    with work.signals.listening() if kept is not None else nullcontext():
        work.finish()
    return joined({number: chunk.ranking for number, chunk in found.items()}, rows, task.depth)


@dataclass
class _Outcome:
    """What a process did with its chunk: a ranking, an error, or nothing because there was none or a signal came."""

    ranking: Ranking | None = None
    error: Exception | None = None
    stopped: bool = False


class _Work:
    """The chunks that are left, one for each process at a time."""

    def __init__(
        self,
        task: Task,
        rows: list[npt.NDArray[np.integer]],
        found: dict[int, Chunk],
        reporter: Reporter,
        kept: Kept | None,
        shared: bool,
    ) -> None:
        self.task, self.rows, self.found, self.kept = task, rows, found, kept
        self.shared, self.several = shared, processes.world() if shared else 1
        self.signals = Signals()
        self.progress = _Progress(reporter, len(task.order), self.several, self.signals)

    def finish(self) -> None:
        """Rank what is left; see :func:`ranked`."""
        left = [number for number in range(len(self.rows)) if number not in self.found]
        for start in range(0, len(left), self.several):
            self.progress.before = self.done
            begun = time.perf_counter()
            numbers = left[start : start + self.several]
            outcomes = self._round(numbers)
            seconds = (time.perf_counter() - begun) / len(numbers)
            for number, outcome in zip(numbers, outcomes, strict=False):
                if outcome.ranking is not None:
                    self.found[number] = Chunk(outcome.ranking, seconds)
            for outcome in outcomes:
                if outcome.error is not None:
                    raise outcome.error
            self._keep(any(outcome.stopped for outcome in outcomes))

    @property
    def done(self) -> int:
        """Cases that are ranked."""
        return sum(len(self.rows[number]) for number in self.found)

    def _round(self, numbers: list[int]) -> list[_Outcome]:
        """Rank one chunk in each process; what came of them, in the order of the processes."""
        if not self.shared:
            return [self._one(numbers[0])]
        try:
            mine = processes.number()
            own = self._one(numbers[mine]) if mine < len(numbers) else _Outcome(stopped=self.signals.noted)
        except Exception as error:  # handed to every process, which would otherwise wait for ever
            own = _Outcome(error=error)
        return processes.gathered(own)

    def _one(self, number: int) -> _Outcome:
        rows = self.rows[number]
        try:
            ranking = self.task.rank(self.task.cases.take(rows), self.progress)
        except Stopped:
            return _Outcome(stopped=True)
        ranking = self.task.check(ranking, rows)
        if not self.signals.noted:  # or it has said so already
            self.progress.advance(len(rows))
        return _Outcome(ranking, stopped=self.signals.noted)

    def _keep(self, stopping: bool) -> None:
        if self.kept is not None and (not self.shared or processes.is_main()):
            self.kept.write(self.found, stopping)
        if stopping:
            raise Stopped(
                f"stopped after {self.done:,} of {len(self.task.order):,} cases were ranked: run the same command "
                "again to go on."
            )


class _Progress:
    """A chunk's progress as part of the whole; the same message of several chunks is passed on once.

    Raises Stopped out of ``advance`` after a signal: a decoder reports after each batch, so this ends it soon.
    """

    def __init__(self, reporter: Reporter, total: int, several: int, signals: Signals) -> None:
        self._reporter, self._total, self._several, self._signals = reporter, total, several, signals
        self._said: set[str] = set()
        self.before = 0

    def begin(self, name: str, total: int | None = None) -> None:
        """Pass it on."""
        self._reporter.begin(name, total)

    def advance(self, done: int, total: int | None = None, **values: float) -> None:
        """Count what was ranked before, and what the other processes rank meanwhile."""
        self._reporter.advance(min(self.before + done * self._several, self._total), self._total, **values)
        if self._signals.noted:
            raise Stopped("stopped while ranking")

    def end(self) -> None:
        """Pass it on."""
        self._reporter.end()

    def message(self, text: str) -> None:
        """Pass it on, unless it was said of another chunk, be it with other numbers."""
        if (words := re.sub(r"\d+", "", text)) not in self._said:
            self._said.add(words)
            self._reporter.message(text)


def joined(chunks: Mapping[int, Ranking], rows: list[npt.NDArray[np.integer]], depth: int) -> Ranking:
    """The rankings of chunks as one.

    Args:
        chunks: by number.
        rows: those of each chunk.
        depth: length of the lists.
    """
    count = sum(map(len, rows))
    items = np.full((count, depth), PAD, np.int32)
    scores = np.full((count, depth), -np.inf, np.float32)
    for number, ranking in chunks.items():
        items[rows[number]], scores[rows[number]] = ranking.items, ranking.scores
    return Ranking(items, scores, *_invalid([chunks[number] for number in sorted(chunks)]))


def _invalid(parts: list[Ranking]) -> tuple[float | None, int | None]:
    """The share of invalid titles in all of them, and how many titles that is a share of."""
    if all(part.invalid_share is None for part in parts):
        return None, None
    titles = [len(part.items) if part.generated is None else part.generated for part in parts]
    wrong = math.fsum(_whole((part.invalid_share or 0.0) * n) for part, n in zip(parts, titles, strict=True))
    known = all(part.generated is not None for part in parts)
    return wrong / max(sum(titles), 1), sum(titles) if known else None


def _whole(count: float) -> float:
    """A number of titles out of a share: exact, unless the share is of another number of titles."""
    near = round(count)
    return near if abs(count - near) < 1e-6 else count


def prompt_order(model: Any, cases: Histories) -> npt.NDArray[np.integer]:
    """[N] the rows of ``cases``, those with the shortest prompt first; of a text model."""
    return np.argsort(model.encoder.prompt_lengths(cases), kind="stable")
