"""A suite's cells on a cluster: every step goes to a worker as soon as what it needs is there."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from recbench.cells.planned import Planned
from recbench.cells.run import FOLDER, run_cell
from recbench.cluster.client import Cluster
from recbench.errors import RecbenchError
from recbench.experiment import want
from recbench.interfaces import Reporter, SilentReporter
from recbench.results import RunRecord
from recbench.steps.step import Step
from recbench.suites import Suite


@dataclass
class Progress:
    """How far a cell is.

    Attributes:
        one: the cell.
        steps: the steps that it has asked for so far, by folder name; more follow once its options are chosen.
        waiting: the last steps that it still waits for.
        state: of the cell.
        words: why it failed.
        record: what came of it.
    """

    one: Planned
    steps: dict[str, Step] = field(default_factory=dict)
    waiting: set[str] = field(default_factory=set)
    state: Literal["running", "done", "failed"] = "running"
    words: str = ""
    record: RunRecord | None = None


class Parallel:
    """The cells of a suite, all at once.

    Args:
        suite: where the cells come from.
        cells: of the suite.
        runs: folder of runs.
        cluster: builds the steps.
        reporter: told what becomes of cells.
        show: called with the state of all cells whenever it has changed.
    """

    def __init__(
        self,
        suite: Suite,
        cells: Sequence[Planned],
        runs: Path,
        cluster: Cluster,
        reporter: Reporter,
        show: Callable[[Sequence[Progress]], None],
    ) -> None:
        self.suite, self.runs, self.cluster, self.reporter, self.show = suite, runs, cluster, reporter, show
        self.cells = [Progress(one) for one in cells]
        self._kept = ExitStack()

    def run(self) -> list[Progress]:
        """Build all steps and write the cells' records; a cell that fails leaves the others alone."""
        with self._kept:
            for cell in self.cells:
                self._go_on(cell)
            self.show(self.cells)
            for key in self.cluster.finished():
                for cell in self._waiting_for(key):
                    problem = self.cluster.problem(key)
                    if problem is not None:
                        self._fail(cell, problem)
                        continue
                    cell.waiting.discard(key)
                    if not cell.waiting:
                        self._go_on(cell)
                self.show(self.cells)
            for cell in self.cells:
                if cell.state == "running":
                    self._fail(cell, RecbenchError("the cluster ended before its steps: run the same command again."))
        return self.cells

    def _waiting_for(self, key: str) -> Iterator[Progress]:
        return (cell for cell in list(self.cells) if cell.state == "running" and key in cell.waiting)

    def _go_on(self, cell: Progress) -> None:
        """Ask for the steps that are known by now and not there; with none left, write the cell's record."""
        try:
            targets, _ = cell.one.targets(self.cluster.store)
            last = [step for _, step in targets]
            new = {step.folder: step for target in last for step in target.closure() if step.folder not in cell.steps}
            if new:
                cell.steps |= new
                want(new.values(), self.runs / FOLDER)
                self._kept.enter_context(self.cluster.store.using(new.values()))
            cell.waiting = {key for step in last if (key := self.cluster.submit(step)) is not None}
            if not cell.waiting:
                cell.record = run_cell(self.suite, cell.one, self.runs, SilentReporter())
                cell.state = "done"
                self.reporter.message(f"cell {cell.one.cell.name!r}: done")
        except Exception as error:  # whatever it is, it is this cell's: the others still run
            self._fail(cell, error)

    def _fail(self, cell: Progress, error: Exception) -> None:
        kind = "" if isinstance(error, RecbenchError) else f"{type(error).__name__}: "
        cell.state, cell.words = "failed", f"{kind}{' '.join(str(error).split())}"
        self.reporter.message(f"cell {cell.one.cell.name!r} failed: {cell.words}")
