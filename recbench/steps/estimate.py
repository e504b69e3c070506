"""What is there of some steps, and how long the rest will take."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

from recbench.errors import DataError
from recbench.files import canonical, read_json
from recbench.steps.step import Step
from recbench.steps.store import META, Store

FAR = 20
"""From this many times the largest finished work on, an estimate may not exceed the rough one."""

State = Literal["there", "to do", "damaged", "not needed"]


@dataclass(frozen=True)
class Outlook:
    """A step before a run.

    Attributes:
        state: ``not needed``: it is gone, and so is any need of it, since what it led to is there.
        seconds: an estimate; 0 for what is stored.
        measured: whether finished steps of the same pace are behind the estimate, or a rough rate.
    """

    step: Step
    state: State
    seconds: float
    measured: bool


class Estimates:
    """Estimates from what a store holds."""

    def __init__(self, store: Store) -> None:
        self.store = store

    def outlook(self, targets: Iterable[Step]) -> list[Outlook]:
        """Every distinct step behind ``targets``, needs first."""
        targets = list(targets)
        steps = {step.folder: step for target in targets for step in target.closure()}
        states = {name: self._state(step) for name, step in steps.items()}
        wanted: set[str] = set()
        for target in targets:
            self._want(target, states, wanted)
        found = []
        for name, step in steps.items():
            state = "not needed" if states[name] == "to do" and name not in wanted else states[name]
            seconds, measured = self._seconds(step) if state in ("to do", "damaged") else (0.0, True)
            found.append(Outlook(step, state, seconds, measured))
        return found

    def _want(self, step: Step, states: Mapping[str, State], wanted: set[str]) -> None:
        if states[step.folder] != "there" and step.folder not in wanted:
            wanted.add(step.folder)
            for need in step.needs.values():
                self._want(need, states, wanted)

    def _state(self, step: Step) -> State:
        try:
            return "there" if self.store.find(step) else "to do"
        except DataError:
            return "damaged"

    def _seconds(self, step: Step) -> tuple[float, bool]:
        like, amount, rough = step.pace()
        finished = self._finished.get(canonical([step.kind, dict(like)]), [])
        work = sum(work for work, _ in finished)
        if not work:
            return amount * rough, False
        measured = amount * sum(seconds for _, seconds in finished) / work
        if amount <= FAR * max(work for work, _ in finished):
            return measured, True
        # of little work, starting and validating take most of the time: measured is an upper bound
        return (measured, True) if measured < amount * rough else (amount * rough, False)

    @cached_property
    def _finished(self) -> dict[str, list[tuple[float, float]]]:
        """Work and seconds of the finished steps, by pace."""
        found: dict[str, list[tuple[float, float]]] = {}
        for path in sorted(self.store.root.glob(f"*/{META}")):
            try:
                meta: dict[str, Any] = read_json(path)
                name = canonical([meta["kind"], meta["pace"]["like"]])
                found.setdefault(name, []).append((float(meta["pace"]["amount"]), float(meta["seconds"])))
            except (OSError, ValueError, KeyError, TypeError):
                continue  # an estimate can do without it
        return found
