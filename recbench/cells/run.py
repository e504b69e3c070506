"""A suite's cells, run: their records, and which run each cell is."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from filelock import FileLock

from recbench import processes
from recbench.cells.planned import Planned, SuitePlan
from recbench.description import command_of, run_id, shareable
from recbench.errors import DataError, UsageError, did_you_mean
from recbench.experiment import RECORD, ready, run, want
from recbench.files import read_json, write_atomic
from recbench.interfaces import Reporter
from recbench.planning import plan
from recbench.results import RunRecord, read
from recbench.steps.executor import Serial
from recbench.steps.remote import store_of
from recbench.steps.step import Step
from recbench.steps.store import Store
from recbench.suites import Cell, Suite
from recbench.tuning import tune

FOLDER = "suites"


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
    store = store_of(runs)
    for name in names:
        if processes.world() > 1 or any(step.machine for step in _missing(steps[name], store)):
            ready(found.plans[name].spec, store, [steps[name]])
        processes.once(lambda: want([steps[name]], runs / FOLDER))  # noqa: B023 - called at once
        with store.using(steps[name].closure()):
            Serial(store, reporter).run([steps[name]])


def _missing(step: Step, store: Store) -> Iterator[Step]:
    """What is built when a step is asked for."""
    if store.find(step) is None:
        yield step
        for need in step.needs.values():
            yield from _missing(need, store)


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


def recorded(suite: Suite, one: Planned, runs: Path) -> bool:
    """Whether the cell has the record that :func:`run_cell` would write: all seeds, made by today's steps."""
    targets, more = one.targets(store_of(runs))
    if more:
        return False
    found = targets[-1][0]
    name = run_id(found.spec)
    if known(runs / FOLDER / f"{suite.name}-{found.spec.dataset.called}.json").get(one.cell.name) != name:
        return False
    try:
        record = read(runs / name / RECORD)
    except DataError:
        return False
    there = {step.folder for seed in record.seeds for step in seed.steps}
    return all(step.folder in there for of, step in targets if of is found)


def known(path: Path) -> dict[str, str]:
    """Cell -> run; nothing where the file is missing or damaged, which is then rewritten by the cells that run."""
    try:
        return dict(read_json(path)["cells"])
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def _remember(suite: Suite, cell: Cell, record: RunRecord, runs: Path) -> None:
    """Which run the cell is, cell by cell: an interrupted suite can be reported on, and halves can run side by side."""
    path = runs / FOLDER / f"{suite.name}-{record.dataset.name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(path.with_name(f".{path.name}.lock")):
        write_atomic(path, manifest(suite, {**known(path), cell.name: record.run}).encode())


def manifest(suite: Suite, cells: Mapping[str, str]) -> str:
    """The file that says which run each cell is, in the suite's order; what is no longer a cell is left out."""
    kept = {cell.name: cells[cell.name] for cell in suite.cells if cell.name in cells}
    return json.dumps({"suite": suite.name, "cells": kept}, indent=1) + "\n"


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
