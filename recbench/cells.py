"""A suite's cells as experiments: their requests, their steps, and what came of them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from filelock import FileLock

from recbench import processes, registry
from recbench.description import command_of, shareable
from recbench.errors import RecbenchError, UsageError, did_you_mean
from recbench.experiment import STORE, run, want
from recbench.files import read_json, write_atomic
from recbench.interfaces import Reporter
from recbench.planning import Plan, plan
from recbench.process import begin
from recbench.results import RunRecord
from recbench.spec.request import Layer, Request, combine
from recbench.steps.estimate import Estimates, Outlook
from recbench.steps.executor import Serial
from recbench.steps.graph import graph, seeds_of, validation
from recbench.steps.step import Step
from recbench.steps.store import Store
from recbench.suites import Cell, Suite
from recbench.tuning import chosen, trials_of, tune

FOLDER = "suites"


@dataclass(frozen=True)
class Planned:
    """A cell that can be run.

    Attributes:
        cell: of the suite.
        request: the cell's, with what the command line says over it.
        plan: the experiment; for a cell with a grid, the first setting's.
    """

    cell: Cell
    request: Request
    plan: Plan

    @cached_property
    def trials(self) -> list[tuple[dict[str, Any], Plan]]:
        """The settings of its grid; empty without one."""
        return trials_of(self.request, self.cell.grid) if self.cell.grid else []

    @property
    def notes(self) -> list[str]:
        """What the suite or the command line says in vain."""
        skipped = [
            f"the default {name} is left out: {self.cell.model} has no such option" for name in self.cell.skipped
        ]
        return [*skipped, *self.plan.notes]

    def targets(self, store: Store) -> tuple[list[tuple[Plan, Step]], bool]:
        """The last steps that the cell asks for, and whether more follow once its options are chosen."""
        if not self.cell.grid:
            return [(self.plan, step) for step in _ranked(self.plan, self.request.seeds)], False
        last = [(setting, _validated(setting, self.cell.tune_seed)) for _, setting in self.trials]
        if any(store.find(step) is None for _, step in last):
            return last, True
        best = chosen(self.request, self.cell.grid, self.cell.tune_seed, store)
        found = plan(best)
        return [*last, *((found, step) for step in _ranked(found, self.request.seeds))], False


def _ranked(found: Plan, seeds: Sequence[int]) -> list[Step]:
    return [graph(found.spec, seed).ranked for seed in seeds_of(found.spec, seeds)]


def _validated(found: Plan, seed: int) -> Step:
    return validation(found.spec, seeds_of(found.spec, [seed])[0]).ranked


def select(suite: Suite, only: Sequence[str], part: str | None) -> list[Cell]:
    """The cells called ``only`` (all, if none is), and of those every n-th from the i-th for ``part`` ``i/n``.

    Raises:
        UsageError: a name is not a cell, or the part is not one.
    """
    names = [cell.name for cell in suite.cells]
    for name in only:
        if name not in names:
            raise UsageError(f"--only {name!r} is not a cell of {suite.name}: {did_you_mean(name, names)}")
    cells = [cell for cell in suite.cells if not only or cell.name in only]
    if part is None:
        return cells
    number, _, of = part.partition("/")
    if not (number.isdecimal() and of.isdecimal() and len(of) < 6 and 1 <= int(number) <= int(of)):
        raise UsageError(f"--part {part!r} must read I/N, such as 1/2 and 2/2.")
    return cells[int(number) - 1 :: int(of)]


def planned(suite: Suite, cells: Sequence[Cell], over: Sequence[Layer]) -> list[Planned]:
    """The cells with what the command line says over them, all checked.

    Args:
        suite: where the cells come from.
        cells: of the suite.
        over: flags and options of every cell; a language model only for the cells that have one.

    Raises:
        UsageError: a cell's request cannot be; names the cell.
    """
    found = []
    for cell in cells:
        try:
            request = combine([*cell.layers, *(_fitting(cell, layer) for layer in over)])
            one = Planned(cell, request, plan(request))
            found.append(Planned(cell, request, one.trials[0][1]) if cell.grid else one)
        except RecbenchError as error:
            raise type(error)(f"Cell {cell.name!r}: {error}") from error
    return found


def _fitting(cell: Cell, layer: Layer) -> Layer:
    """A layer without a language model for a cell that has none."""
    if "llm" not in layer.values:
        return layer
    plugin = registry.get("backbone", cell.model)
    reads = plugin.signal == "text" or "teacher" in plugin.requires
    return layer if reads else Layer({k: v for k, v in layer.values.items() if k != "llm"}, layer.origin)


@dataclass(frozen=True)
class SuitePlan:
    """Every distinct step of some cells.

    Attributes:
        steps: needs before what needs them.
        plans: an experiment that each step belongs to, by folder name.
        uses: the cells that ask for each step, by folder name.
        open: cells whose last steps are known only once their options are chosen.
    """

    steps: list[Outlook]
    plans: Mapping[str, Plan]
    uses: Mapping[str, list[str]]
    open: list[str]


def suite_plan(cells: Sequence[Planned], runs: Path) -> SuitePlan:
    """What is there of some cells and what is left to do; reads the store, builds nothing."""
    store = Store(runs / STORE)
    plans: dict[str, Plan] = {}
    uses: dict[str, list[str]] = {}
    later, targets = [], []
    for one in cells:
        last, more = one.targets(store)
        later += [one.cell.name] if more else []
        for found, target in last:
            targets.append(target)
            for step in target.closure():
                plans.setdefault(step.folder, found)
                if one.cell.name not in uses.setdefault(step.folder, []):
                    uses[step.folder].append(one.cell.name)
    return SuitePlan(Estimates(store).outlook(targets), plans, uses, later)


def build_steps(found: SuitePlan, names: Sequence[str], runs: Path, reporter: Reporter) -> None:
    """Build some of a plan's steps, and nothing after them.

    Raises:
        UsageError: a name is not one of the plan's.
        RecbenchError: of a step.
    """
    steps = {look.step.folder: look.step for look in found.steps}
    for name in names:
        if name not in steps:
            raise UsageError(f"--step {name!r} is not a step of this plan: {did_you_mean(name, steps)}")
    store = Store(runs / STORE)
    processes.once(lambda: want((steps[name] for name in names), runs / FOLDER))
    for name in names:
        begin(found.plans[name].spec)
        with store.using(steps[name].closure()):
            Serial(store, reporter).run([steps[name]])


def run_cell(suite: Suite, one: Planned, runs: Path, reporter: Reporter) -> RunRecord:
    """Run a cell, its options chosen first where it has a grid, and remember which run it is.

    Raises:
        RecbenchError: of the run.
    """
    request = one.request
    if one.cell.grid:
        request, _ = tune(request, one.cell.grid, one.cell.tune_seed, runs, reporter)
    found = plan(request)
    record = run(found, request.seeds, runs, shareable(command_of(request, found)), reporter)
    processes.once(lambda: _remember(suite, one.cell, record, runs))
    return record


def _remember(suite: Suite, cell: Cell, record: RunRecord, runs: Path) -> None:
    """Which run the cell is, cell by cell: an interrupted suite can be reported on, and halves can run side by side."""
    path = runs / FOLDER / f"{suite.name}-{record.dataset.name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(path.with_name(f".{path.name}.lock")):
        try:
            known = read_json(path)["cells"] if path.is_file() else {}
        except (ValueError, KeyError, TypeError):
            known = {}  # it is written anew from what runs now
        cells = {**known, cell.name: record.run}
        kept = {c.name: cells[c.name] for c in suite.cells if c.name in cells}
        write_atomic(path, (json.dumps({"suite": suite.name, "cells": kept}, indent=1) + "\n").encode())


def shared(records: Sequence[RunRecord]) -> Iterator[tuple[str, int, int, int]]:
    """By kind of step: how many different ones, how often they were used, and the most often used one's count."""
    uses: dict[str, dict[str, int]] = {}
    for record in records:
        for seed in record.seeds:
            for step in seed.steps:
                found = uses.setdefault(step.kind, {})
                found[step.folder] = found.get(step.folder, 0) + 1
    for kind, folders in sorted(uses.items()):
        yield kind, len(folders), sum(folders.values()), max(folders.values())
