"""``recbench suite plan``: the steps that the cells of a suite share, as a table, as JSON, or as a script for Slurm."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from recbench.cli.request import flag_of
from recbench.cli.suite_run import cells_of, counted, suite_flags
from recbench.cli.text import columns
from recbench.progress import duration

if TYPE_CHECKING:
    from recbench.cells import Planned, SuitePlan
    from recbench.suites import Suite

LEFT = ("to do", "damaged")
FORMATS = ("table", "json", "slurm")


@click.command("plan")
@suite_flags
@click.option("--format", "form", type=click.Choice(FORMATS), default="table", show_default=True, help="What to print.")
@click.option("--json", "as_json", is_flag=True, help="The same as --format json.")
def plan(form: str, as_json: bool, runs: Path, **flags: Any) -> None:
    """List every distinct step of a suite: whether it is stored, an estimate, and the cells that need it.

    --format json prints one JSON object per line. Each object also lists the steps that its step needs, and a command
    that builds the step together with any missing ones. For a cell with a grid, the last steps are known only once its
    options are chosen; run suite plan again then.

    --format slurm prints a bash script that gives Slurm a job for every missing step and one for every cell without a
    record. The job of a cell with a grid also trains the steps that depend on the chosen options.
    """
    from recbench.cells import suite_plan

    form = "json" if as_json else form
    suite, cells = cells_of(flags)
    found = suite_plan(cells, runs)
    rows = [_row(look, found, shlex.join(_command(flags, runs))) for look in found.steps]
    if form == "table":
        _print_plan(found, rows, len(cells))
    elif form == "json":
        for row in rows:
            click.echo(json.dumps(row, ensure_ascii=False))
    else:
        _print_script(suite, cells, found, flags, runs)
    for one in cells:
        for note in one.notes:
            click.echo(f"note: cell {one.cell.name!r}: {note}", err=form != "table")
    for name in found.open:
        more = "more steps follow once its options are chosen on validation"
        click.echo(f"note: cell {name!r}: {more}", err=form != "table")
    if form == "table" and any(row["state"] in LEFT for row in rows):
        click.echo(f"to build a single step: {shlex.join(_command(flags, runs))} --step STEP")


def _print_script(
    suite: Suite, cells: Sequence[Planned], found: SuitePlan, flags: Mapping[str, Any], runs: Path
) -> None:
    from recbench.cells import slurm
    from recbench.cells.run import recorded

    left = [(number, one) for number, one in enumerate(cells, start=1) if not recorded(suite, one, runs)]
    devices = {one.plan.spec.machine.device for one in cells}
    if flags["device"] in (None, "auto") and len(devices) == 1:  # "auto" may mean something else where the jobs run
        flags = {**flags, "device": devices.pop()}
    jobs = slurm.jobs(found, left, _command(flags, runs))
    if jobs:
        click.echo(slurm.script(jobs, Path.cwd(), runs), nl=False)
    else:
        click.echo("nothing to do: all steps and records are stored", err=True)


def _print_plan(found: SuitePlan, rows: Sequence[Mapping[str, Any]], cells: int) -> None:
    left = [look for look in found.steps if look.state in LEFT]
    times = {look.step.folder: duration(look.seconds) for look in left}
    table = [[r["step"], r["state"], times.get(r["step"], ""), _what(r), _few(r["cells"])] for r in rows]
    click.echo(columns([["step", "state", "estimate", "what", "cells"], *table]))
    counts = f"{counted(len(rows), 'distinct step')} of {counted(cells, 'cell')}"
    total = f"{len(left)} to build, in about {duration(sum(look.seconds for look in left))}"
    click.echo(f"\n{counts}; {total if left else 'all of them are there'}")


def _what(row: Mapping[str, Any]) -> str:
    return f"{row['title']}, {row['setting']}" if row["setting"] else str(row["title"])


def _few(names: list[str]) -> str:
    """The first two names, and how many follow."""
    more = len(names) - 2
    return ", ".join(names[:2]) + (f" and {more} more" if more > 0 else "")


def _row(look: Any, found: SuitePlan, command: str) -> dict[str, Any]:
    step = look.step
    return {
        "step": step.folder,
        "kind": step.kind,
        "title": step.title,
        "setting": found.settings.get(step.folder),
        "needs": sorted({need.folder for need in step.needs.values()}),
        "state": look.state,
        "seconds": round(look.seconds, 1),
        "measured": look.measured,
        "cells": found.uses[step.folder],
        "command": f"{command} --step {step.folder}",
    }


def _command(flags: Mapping[str, Any], runs: Path) -> list[str]:
    """``recbench suite run`` with the flags that change cells, without those that choose some."""
    words = ["recbench", "suite", "run", flags["name"]]
    for name, value in flags.items():
        if name in ("name", "only") or not value:
            continue
        for one in value if isinstance(value, tuple) else (value,):
            words += [flag_of(name.removesuffix("s") if name == "sets" else name), str(one)]
    return words + (["--runs", str(runs)] if runs != Path("runs") else [])
