"""A suite's cells as experiments: their requests and their steps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from recbench import registry
from recbench.errors import RecbenchError, UsageError, did_you_mean, within
from recbench.planning import Plan, plan
from recbench.spec.request import Layer, Request, combine
from recbench.steps.estimate import Estimates, Outlook
from recbench.steps.graph import graph, seeds_of
from recbench.steps.remote import store_of
from recbench.steps.step import Step
from recbench.steps.store import Store
from recbench.suites import Cell, Suite
from recbench.tuning import chosen, trials_of, validated


@dataclass(frozen=True)
class Planned:
    """A cell that can be run.

    Attributes:
        cell: of the suite.
        request: the cell's, with the command line's flags on top.
        plan: the experiment; for a cell with a grid, the first setting's.
    """

    cell: Cell
    request: Request
    plan: Plan

    @cached_property
    def trials(self) -> list[tuple[dict[str, Any], Plan]]:
        """The settings of its grid; empty without one."""
        return trials_of(self.request, self.cell.grid, self.cell.grid_at) if self.cell.grid else []

    @property
    def notes(self) -> list[str]:
        """What the suite or the command line sets without effect."""
        skipped = [
            f"the default {name} is left out: {self.cell.model} has no such option" for name in self.cell.skipped
        ]
        return [*skipped, *self.plan.notes]

    def targets(self, store: Store) -> tuple[list[tuple[Plan, Step]], bool]:
        """The last steps that the cell asks for, and whether more follow once its options are chosen."""
        if not self.cell.grid:
            return [(self.plan, step) for step in _ranked(self.plan, self.request.seeds)], False
        last = [(setting, validated(setting, self.cell.tune_seed)) for _, setting in self.trials]
        best = chosen(self.request, self.cell.grid, self.cell.tune_seed, store)
        if best is None:
            return last, True
        found = plan(best)
        return [*last, *((found, step) for step in _ranked(found, self.request.seeds))], False


def _ranked(found: Plan, seeds: Sequence[int]) -> list[Step]:
    return [graph(found.spec, seed).ranked for seed in seeds_of(found.spec, seeds)]


def select(suite: Suite, only: Sequence[str]) -> list[Cell]:
    """The cells called ``only``; all, if none is.

    Raises:
        UsageError: a name is not a cell.
    """
    names = [cell.name for cell in suite.cells]
    for name in only:
        if name not in names:
            raise UsageError(f"--only {name!r} is not a cell of {suite.name}: {did_you_mean(name, names)}")
    return [cell for cell in suite.cells if not only or cell.name in only]


def planned(suite: Suite, cells: Sequence[Cell], over: Sequence[Layer]) -> list[Planned]:
    """The cells with the command line's flags on top, all checked.

    Args:
        suite: where the cells come from.
        cells: of the suite.
        over: flags and options of every cell; a language model only for the cells that have one.

    Raises:
        UsageError: a cell's request is invalid; names the cell.
    """
    found = []
    for cell in cells:
        try:
            request = combine([*cell.layers, *(_fitting(cell, layer) for layer in over)])
            one = Planned(cell, request, plan(request))
            found.append(Planned(cell, request, one.trials[0][1]) if cell.grid else one)
        except RecbenchError as error:
            raise type(error)(within(f"cell {cell.name!r}", error)) from error
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
        settings: the values of a grid that set a step apart from that of other trials, by folder name: "tau 2".
    """

    steps: list[Outlook]
    plans: Mapping[str, Plan]
    uses: Mapping[str, list[str]]
    open: list[str]
    settings: Mapping[str, str]


def suite_plan(cells: Sequence[Planned], runs: Path) -> SuitePlan:
    """Which steps of some cells are stored and which are missing; reads the store, builds nothing."""
    store = store_of(runs)
    plans: dict[str, Plan] = {}
    uses: dict[str, list[str]] = {}
    settings: dict[str, list[str]] = {}
    later, targets = [], []
    for one in cells:
        for folder, text in _settings(one).items():
            if text not in settings.setdefault(folder, []):
                settings[folder].append(text)
        last, more = one.targets(store)
        later += [one.cell.name] if more else []
        for found, target in last:
            targets.append(target)
            for step in target.closure():
                plans.setdefault(step.folder, found)
                if one.cell.name not in uses.setdefault(step.folder, []):
                    uses[step.folder].append(one.cell.name)
    return SuitePlan(
        Estimates(store).outlook(targets),
        plans,
        uses,
        later,
        {folder: "; ".join(texts) for folder, texts in settings.items()},
    )


def _settings(cell: Planned) -> dict[str, str]:
    """What tells the steps of a cell's trials apart, by folder name; nothing for a step that all trials share."""
    using: dict[str, list[Mapping[str, Any]]] = {}
    for values, setting in cell.trials:
        for step in validated(setting, cell.cell.tune_seed).closure():
            using.setdefault(step.folder, []).append(values)
    found = {}
    for folder, trials in using.items():
        common = {name: value for name, value in trials[0].items() if all(one[name] == value for one in trials)}
        if common and len(trials) < len(cell.trials):
            found[folder] = ", ".join(f"{name.rpartition('.')[2]} {value}" for name, value in common.items())
    return found
