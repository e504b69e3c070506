"""``recbench suite run`` and ``suite plan``: the cells of a suite, and the steps that they share."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from recbench.cli.board import board
from recbench.cli.options import folder_option, started, store_option, worker_options
from recbench.cli.request import flag_of, set_layer
from recbench.cli.text import columns
from recbench.errors import RecbenchError, UsageError
from recbench.progress import duration, reporter

if TYPE_CHECKING:
    from recbench.cells import Planned, SuitePlan
    from recbench.cluster import Workers
    from recbench.results import RunRecord
    from recbench.suites import Suite

LEFT = ("to do", "damaged")
FLAGS = (
    click.argument("name", metavar="NAME|FILE.yaml"),
    click.option("--only", multiple=True, metavar="CELL", help="Only the cell of this name; repeatable."),
    click.option("--seeds", metavar="N|A,B,...", help="Instead of the suite's own."),
    click.option("--dataset", metavar="NAME", help="Instead of the suite's own."),
    click.option("--data-dir", metavar="PATH", help="Folder or file of your own data."),
    click.option("--llm", metavar="tiny|DIR|HUB_ID|FILE.gguf", help="For the cells that have a language model."),
    click.option("--preset", metavar="cpu|paper", help="Budget."),
    click.option("--device", metavar="auto|cpu|cuda", help="Where to compute."),
    click.option("--set", "sets", multiple=True, metavar="GROUP.OPTION=VALUE", help="An option of every cell."),
    folder_option("--runs", "runs", "Folder of runs."),
    store_option,
)


def suite_flags(command: Any) -> Any:
    """Add the flags that choose cells and change all of them."""
    for flag in reversed(FLAGS):
        command = flag(command)
    return command


@click.command("run")
@suite_flags
@worker_options
@click.option("--step", "steps", multiple=True, metavar="STEP", help="Build only this step; suite plan names them.")
@click.pass_context
def run(ctx: click.Context, /, steps: tuple[str, ...], runs: Path, workers: Workers | None, **flags: Any) -> None:
    """Run the cells in order; a step that several cells need is built once.

    The same command continues an interrupted suite. If a cell fails, the others still run, and the exit code is 1.

    With --workers or --scheduler all cells run at once: each step goes to a Dask worker when what it needs is there. A
    step whose worker dies goes to another one, which goes on from the last checkpoint. The folder of runs must be the
    same on every host.
    """
    from recbench import processes
    from recbench.cells import build_steps, suite_plan
    from recbench.tidy import tidied

    suite, cells = _cells(flags)
    if workers is not None:
        if steps:
            raise UsageError("--step builds in this process: leave out --workers and --scheduler.")
        ctx.exit(1 if _run_parallel(suite, cells, runs, workers) else 0)
    if steps:
        with tidied(runs), reporter() as progress:
            build_steps(suite_plan(cells, runs), steps, runs, progress)
        processes.leave()
        return
    failed = _run(suite, cells, runs)
    processes.leave()
    ctx.exit(1 if failed else 0)


@click.command("plan")
@suite_flags
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line, for job arrays and schedulers.")
def plan(as_json: bool, runs: Path, **flags: Any) -> None:
    """List every distinct step of a suite: whether it is there, an estimate, and the cells that need it.

    With --json, each step also names the steps that it needs, and a command that builds it together with those of them
    that are missing. A cell with a grid gets its last steps once its options are chosen: plan again then.
    """
    from recbench.cells import suite_plan

    _, cells = _cells(flags)
    found = suite_plan(cells, runs)
    rows = [_row(look, found, _command(flags, runs)) for look in found.steps]
    if as_json:
        for row in rows:
            click.echo(json.dumps(row, ensure_ascii=False))
    else:
        _print_plan(found, rows, len(cells))
    for one in cells:
        for note in one.notes:
            click.echo(f"note: cell {one.cell.name!r}: {note}", err=as_json)
    for name in found.open:
        click.echo(f"note: cell {name!r}: more steps follow once its options are chosen on validation", err=as_json)
    if not as_json and any(row["state"] in LEFT for row in rows):
        click.echo(f"to build a single step: {_command(flags, runs)} --step STEP")


def _print_plan(found: SuitePlan, rows: Sequence[Mapping[str, Any]], cells: int) -> None:
    left = [look for look in found.steps if look.state in LEFT]
    times = {look.step.folder: duration(look.seconds) for look in left}
    table = [[r["step"], r["state"], times.get(r["step"], ""), r["title"], _few(r["cells"])] for r in rows]
    click.echo(columns([["step", "state", "estimate", "what", "cells"], *table]))
    counts = f"{_counted(len(rows), 'distinct step')} of {_counted(cells, 'cell')}"
    total = f"{len(left)} to build, in about {duration(sum(look.seconds for look in left))}"
    click.echo(f"\n{counts}; {total if left else 'all of them are there'}")


def _few(names: list[str]) -> str:
    """The first two names, and how many follow."""
    more = len(names) - 2
    return ", ".join(names[:2]) + (f" and {more} more" if more > 0 else "")


def _counted(number: int, what: str) -> str:
    return f"{number} {what}{'s' * (number != 1)}"


def _row(look: Any, found: SuitePlan, command: str) -> dict[str, Any]:
    step = look.step
    return {
        "step": step.folder,
        "kind": step.kind,
        "title": step.title,
        "needs": sorted({need.folder for need in step.needs.values()}),
        "state": look.state,
        "seconds": round(look.seconds, 1),
        "measured": look.measured,
        "cells": found.uses[step.folder],
        "command": f"{command} --step {step.folder}",
    }


def _command(flags: Mapping[str, Any], runs: Path) -> str:
    words = ["recbench", "suite", "run", flags["name"]]
    for name, value in flags.items():
        if name in ("name", "only") or not value:
            continue
        for one in value if isinstance(value, tuple) else (value,):
            words += [flag_of(name.removesuffix("s") if name == "sets" else name), str(one)]
    words += ["--runs", str(runs)] if runs != Path("runs") else []
    return shlex.join(words)


def _cells(flags: Mapping[str, Any]) -> tuple[Suite, list[Planned]]:
    from recbench.cells import planned, select
    from recbench.spec.request import Layer
    from recbench.suites import load

    suite = load(flags["name"])
    own = ("name", "only", "sets")
    over = {name: value for name, value in flags.items() if value is not None and name not in own}
    cells = select(suite, flags["only"])
    return suite, planned(suite, cells, [Layer(over, flag_of), set_layer(flags["sets"])])


def _run(suite: Suite, cells: Sequence[Planned], runs: Path) -> list[str]:
    """Run the cells and print what came of each; returns the names of those that failed."""
    from recbench import processes
    from recbench.cells import run_cell
    from recbench.tidy import tidied

    done: dict[str, RunRecord] = {}
    failed: list[str] = []
    with reporter() as progress:
        for number, one in enumerate(cells, start=1):
            name = one.cell.name
            progress.message(f"cell {number} of {len(cells)}: {name}")
            for note in one.notes:
                progress.message(f"note: {note}")
            try:
                with tidied(runs):
                    done[name] = run_cell(suite, one, runs, progress)
            except Exception as error:  # whatever it is, it is this cell's: the others still run
                if processes.world() > 1:  # the processes may not all have met it: going on, they would part
                    raise
                failed.append(name)
                kind = "" if isinstance(error, RecbenchError) else f"{type(error).__name__}: "
                progress.message(f"cell {name!r} failed: {kind}{' '.join(str(error).split())}")
    if processes.is_main():
        _end(cells, done, failed)
    return failed


def _run_parallel(suite: Suite, cells: Sequence[Planned], runs: Path, workers: Workers) -> list[str]:
    """As :func:`_run`, all cells at once on a cluster."""
    from recbench.cells.parallel import Parallel
    from recbench.tidy import tidied

    with board() as progress, tidied(runs), started(workers, runs, progress) as cluster:
        assert cluster is not None
        progress.cluster = cluster
        for one in cells:
            for note in one.notes:
                progress.message(f"note: cell {one.cell.name!r}: {note}")
        found = Parallel(suite, cells, runs, cluster, progress, progress.show).run()
        seconds = duration(sum(cluster.built.values()))
        progress.message(f"{_counted(len(cluster.built), 'step')} built, {seconds} of work")
    failed = [cell.one.cell.name for cell in found if cell.record is None]
    _end(cells, {cell.one.cell.name: cell.record for cell in found if cell.record is not None}, failed)
    return failed


def _end(cells: Sequence[Planned], done: Mapping[str, RunRecord], failed: Sequence[str]) -> None:
    _summary(cells, done)
    for name in failed:
        click.echo(f"recbench: cell {name!r} failed; its error is above.", err=True)


def _summary(cells: Sequence[Planned], done: Mapping[str, RunRecord]) -> None:
    """What each cell reached, and how often each kind of step was shared."""
    from recbench.cells import shared
    from recbench.evaluation import seed_means

    rows = [["cell", "NDCG@10", "seeds", "run"]]
    for one in cells:
        name = one.cell.name
        if name in done:
            means = seed_means(done[name].case_results())["NDCG@10"]
            spread = f" ± {means.std(ddof=1):.4f}" if len(means) > 1 else ""
            rows.append([name, f"{means.mean():.4f}{spread}", str(len(means)), done[name].run])
        else:
            rows.append([name, "failed", "", ""])
    click.echo(columns(rows))
    head = ["kind of step", "distinct", "uses", "most uses of one"]
    shares = [[kind, str(n), str(uses), str(most)] for kind, n, uses, most in shared(list(done.values()))]
    click.echo()
    click.echo(columns([head, *shares]))
