"""Running the cells of a suite, and counting the stages that they share."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from filelock import FileLock

from recbench import processes, registry
from recbench.cli.progress import reporter
from recbench.cli.request import ask
from recbench.cli.text import columns
from recbench.cli.tidy import tidied
from recbench.errors import RecbenchError, UsageError, did_you_mean
from recbench.files import write_atomic

if TYPE_CHECKING:
    from recbench.interfaces import Reporter
    from recbench.results import RunRecord
    from recbench.suites import Cell, Suite


def chosen(suite: Suite, only: Sequence[str], part: str | None) -> list[Cell]:
    """The cells called ``only`` (all, if none is), and of those every n-th from the i-th for ``part`` ``i/n``.

    Raises:
        UsageError: a name is no cell, or the part is none.
    """
    names = [cell.name for cell in suite.cells]
    for name in only:
        if name not in names:
            raise UsageError(f"--only {name!r} is no cell of {suite.name}: {did_you_mean(name, names)}")
    cells = [cell for cell in suite.cells if not only or cell.name in only]
    if part is None:
        return cells
    number, _, of = part.partition("/")
    if not (number.isdigit() and of.isdigit() and 1 <= int(number) <= int(of)):
        raise UsageError(f"--part {part!r} must read I/N, such as 1/2 and 2/2.")
    return cells[int(number) - 1 :: int(of)]


def run_cells(
    suite: Suite, cells: Sequence[Cell], flags: Mapping[str, str], sets: tuple[str, ...], runs: Path
) -> list[str]:
    """Run cells in order and print what came of each; a failing one does not keep the others from running.

    Args:
        suite: from :func:`recbench.suites.load`.
        cells: of the suite, from :func:`chosen`.
        flags: of every cell, over its own.
        sets: ``--set`` texts of every cell, over its own.
        runs: folder of runs.

    Returns:
        The names of the cells that failed.

    Raises:
        UsageError: a cell's request cannot be (before anything runs).
    """
    from recbench.run import plan
    from recbench.tuning import settings, with_values

    asked = {cell.name: ask(_flags(cell, flags), (*_sets(cell), *sets), None) for cell in cells}
    for cell in cells:
        try:
            for values in settings(cell.grid) if cell.grid else [{}]:
                plan(with_values(asked[cell.name].request, values))
        except RecbenchError as error:
            raise type(error)(f"Suite {suite.name}, cell {cell.name!r}: {error}") from error
    done: dict[str, RunRecord] = {}
    failed: list[str] = []
    with reporter() as progress:
        for number, cell in enumerate(cells, start=1):
            progress.begin(f"cell {number} of {len(cells)}: {cell.name}")
            try:
                with tidied(runs):
                    done[cell.name] = _run(cell, asked[cell.name], runs, progress)
            except (RecbenchError, RuntimeError, OSError) as error:  # a full GPU is a RuntimeError
                failed.append(cell.name)
                progress.message(f"cell {cell.name!r} failed: {' '.join(str(error).split())}")
                continue
            processes.once(lambda: _remember(suite, cell, done[cell.name], runs))  # noqa: B023 - called at once
    if processes.is_main():
        _summary(cells, done)
        for name in failed:
            click.echo(f"recbench: cell {name!r} failed: see above.", err=True)
    return failed


def _run(cell: Cell, asked: Any, runs: Path, progress: Reporter) -> RunRecord:
    from recbench.description import command_of
    from recbench.run import plan, run
    from recbench.tuning import tune

    request = asked.request
    if cell.grid:
        request, trials = tune(request, cell.grid, cell.tune_seed, runs, progress)
        for trial in trials:
            words = ", ".join(f"{name}={value}" for name, value in trial.values.items())
            progress.message(f"{cell.name}: {words}: validation NDCG@10 {trial.score:.4f}")
    spec = plan(request)
    return run(spec, asked.seeds, runs, command_of(request, spec), progress)


def _flags(cell: Cell, given: Mapping[str, str]) -> dict[str, Any]:
    plugin = registry.get("backbone", cell.flags["model"])
    reads = plugin.signal == "text" or "teacher" in plugin.requires
    over = {k: v for k, v in given.items() if k != "llm" or reads}
    found = {**cell.flags, **over}
    if "seeds" in found:
        found["seeds"] = str(found["seeds"])
    return found


def _sets(cell: Cell) -> list[str]:
    return [f"{group}.{k}={json.dumps(v)}" for group, options in cell.options.items() for k, v in options.items()]


def _remember(suite: Suite, cell: Cell, record: RunRecord, runs: Path) -> None:
    """Which run the cell is, cell by cell: an interrupted suite can be reported on, and halves can run side by side."""
    path = runs / "suites" / f"{suite.name}-{record.dataset.name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(path.with_name(f".{path.name}.lock")):
        try:
            known = json.loads(path.read_bytes())["cells"] if path.is_file() else {}
        except (ValueError, KeyError, TypeError):
            known = {}  # it is written anew from what runs now
        cells = {**known, cell.name: record.run}
        kept = {c.name: cells[c.name] for c in suite.cells if c.name in cells}
        write_atomic(path, (json.dumps({"suite": suite.name, "cells": kept}, indent=1) + "\n").encode())


def _summary(cells: Sequence[Cell], done: Mapping[str, RunRecord]) -> None:
    """What each cell reached, and how often each kind of stage was shared."""
    from recbench.evaluation import seed_means

    rows = [["cell", "NDCG@10", "seeds", "run"]]
    for cell in cells:
        if cell.name in done:
            record = done[cell.name]
            means = seed_means(record.case_results())["NDCG@10"]
            spread = f" ± {means.std(ddof=1):.4f}" if len(means) > 1 else ""
            rows.append([cell.name, f"{means.mean():.4f}{spread}", str(len(means)), record.run])
        else:
            rows.append([cell.name, "failed", "", ""])
    click.echo(columns(rows))
    uses: dict[str, Counter[str]] = {}
    for record in done.values():
        for seed in record.seeds:
            for folder in seed.stages.values():
                uses.setdefault(folder.rpartition("-")[0], Counter())[folder] += 1
    shares = [["stage of the cells' seeds", "different", "used", "shared most"]]
    for kind, folders in sorted(uses.items()):
        shares.append([kind, str(len(folders)), str(sum(folders.values())), f"{max(folders.values())}x"])
    click.echo()
    click.echo(columns(shares))
