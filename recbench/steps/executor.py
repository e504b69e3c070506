"""Executors bring steps into being. The serial one builds them in this process, one after the other."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

from recbench import processes, registry
from recbench.files import scratch
from recbench.interfaces import Checkpoints, Reporter
from recbench.memory import forget_peak
from recbench.steps.step import Step
from recbench.steps.store import Built, Store

CURVES = "logs"


class Executor(Protocol):
    """Builds what is missing of a graph.

    A step's folder name is the only thing that two executors must agree on: a distributed one sends names to its
    workers, which find the steps in their own graph and build them with a :class:`Serial`.
    """

    def run(self, steps: Iterable[Step]) -> dict[str, Built]:
        """Build each of the steps that is not there, what it needs first; by folder name, what was found or built."""


class Serial:
    """Builds steps in this process; also the :class:`recbench.steps.step.Work` that they see.

    Args:
        store: where finished steps are.
        reporter: progress.
        again: build, once in this executor's life, what is already stored.
        watcher: called with a step and its validation scores so far, after each epoch of a training.
    """

    def __init__(
        self,
        store: Store,
        reporter: Reporter,
        again: bool = False,
        watcher: Callable[[Step, Sequence[float]], None] | None = None,
    ) -> None:
        self.store, self.reporter, self.again, self.watcher = store, reporter, again, watcher
        self.done: dict[str, Built] = {}
        self._values: dict[str, Any] = {}
        self._made: dict[str, Any] = {}
        self._checkpoints: dict[str, Checkpoints] = {}

    def run(self, steps: Iterable[Step]) -> dict[str, Built]:
        """See :class:`Executor`."""
        return {step.folder: self._ensure(step) for step in steps}

    def adopt(self, other: Serial, step: Step) -> None:
        """Take what another executor has in memory of what a step needs, such as the model that it has just trained."""
        for need in step.needs.values():
            for mine, others in ((self._values, other._values), (self._made, other._made)):
                if need.folder in others:
                    mine[need.folder] = others[need.folder]

    def forget(self) -> None:
        """Drop the values kept in memory, such as the models of a seed; what was built counts as reused from now on."""
        self.done = {name: replace(built, reused=True) for name, built in self.done.items()}
        self._values.clear()
        self._made.clear()

    def built(self, step: Step) -> Built | None:
        """The step as this executor found or built it, or as it is in the store."""
        if step.folder not in self.done and not self.again:
            found = processes.once(lambda: self.store.find(step))
            if found is not None:
                self.done[step.folder] = found
        return self.done.get(step.folder)

    def told(self, step: Step) -> Built | None:
        """The step as this executor found or built it, or as the store tells of it, which fetches none of its files."""
        return self.done.get(step.folder) or processes.once(lambda: self.store.told(step.folder))

    # ---- what steps see ---------------------------------------------------------------------------------------

    def path(self, step: Step) -> Path:
        """See :class:`recbench.steps.step.Work`."""
        return self.done[step.folder].path

    def value(self, step: Step) -> Any:
        """See :class:`recbench.steps.step.Work`."""
        if step.folder not in self._values:
            self._values[step.folder] = self._load(step)
        return self._values[step.folder]

    def take(self, step: Step) -> Any:
        """See :class:`recbench.steps.step.Work`."""
        return self._values.pop(step.folder) if step.folder in self._values else self._load(step)

    def checkpoints(self, step: Step, minutes: float) -> Checkpoints:
        """See :class:`recbench.steps.step.Work`."""
        found = self._checkpoints[step.folder] = Checkpoints(self.store.checkpoints(step), minutes)
        return found

    def after_epoch(self, step: Step, scores: Sequence[float]) -> None:
        """See :class:`recbench.steps.step.Work`."""
        if self.watcher is not None:
            self.watcher(step, scores)

    def curves(self, step: Step) -> Path:
        """See :class:`recbench.steps.step.Work`."""
        return self.store.root.parent / CURVES / step.folder

    def _load(self, step: Step) -> Any:
        self._ensure(step)
        with _blamed(step):
            return step.load(self.path(step), self, self._made.pop(step.folder, None))

    # ---- building ---------------------------------------------------------------------------------------------

    def _ensure(self, step: Step) -> Built:
        if (found := self.built(step)) is not None:
            return found
        for need in step.needs.values():  # before, so that each step's time is its own
            self._ensure(need)
        if processes.world() > 1 and not step.together:
            # one process builds it, and what it loads on the way may look into the store: all processes take part
            for other in step.closure():
                if other is not step:
                    self._ensure(other)
        self.reporter.begin(step.title)
        built = self._build(step)
        self.reporter.end()
        self.done[step.folder] = built
        if built.reused:
            self.reporter.message(f"{step.kind}: another process has built it ({built.path.name})")
        return built

    def _build(self, step: Step) -> Built:
        """With several processes the first one stores the step; where a step says so, all of them build it."""

        def fill(folder: Path) -> None:
            step.code.pin()
            forget_peak(step.machine.device if step.machine else "cpu")
            with _blamed(step):
                self._made[step.folder] = step.build(folder, self)

        def before() -> float:
            return self._checkpoints[step.folder].seconds if step.folder in self._checkpoints else 0.0

        def store(announce: Callable[[bool], None] = lambda building: None) -> Built:
            return self.store.build(step, fill, self.reporter, rebuild=self.again, announce=announce, before=before)

        if processes.world() == 1:
            return store()
        if not step.together:
            return processes.once(store)
        if processes.is_main():
            # another run may be building the same step: only under the lock is it known whether all have to take part
            built = store(lambda building: processes.once(lambda: building))
            return processes.once(lambda: built)
        if processes.once(lambda: None):
            with scratch() as folder:
                fill(folder)
        return processes.once(lambda: None)


def _blamed(step: Step) -> AbstractContextManager[None]:
    """While a step's plugins work: their mistakes are named after them."""
    return registry.blamed((method.kind, method.plugin_name) for method in step.methods)
