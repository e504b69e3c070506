"""``recbench suite run``: the cells of a suite, one after the other or on a cluster."""

from __future__ import annotations

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
    from recbench.cells import Planned
    from recbench.cluster import Workers
    from recbench.results import RunRecord
    from recbench.suites import Suite

FLAGS = (
    click.argument("name", metavar="NAME|FILE.yaml"),
    click.option("--only", multiple=True, metavar="CELL", help="Only the cell of this name; repeatable."),
    click.option("--seeds", metavar="N|A,B,...", help="Seeds, instead of the suite's."),
    click.option("--dataset", metavar="NAME", help="Data set, instead of the suite's."),
    click.option("--data-dir", metavar="PATH", help="Folder or file of your own data."),
    click.option("--llm", metavar="tiny|DIR|HUB_ID|FILE.gguf", help="Language model of the cells that have one."),
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

    With --workers or --scheduler, all cells run at once: each step goes to a Dask worker as soon as the steps that it
    needs are built. If a worker dies, another one continues its step from the last checkpoint. The folder of runs must
    be the same on every host.
    """
    from recbench import processes
    from recbench.cells import build_steps, suite_plan
    from recbench.tidy import tidied

    suite, cells = cells_of(flags)
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


def counted(number: int, what: str) -> str:
    """``3 cells``, ``1 cell``."""
    return f"{number} {what}{'s' * (number != 1)}"


def cells_of(flags: Mapping[str, Any]) -> tuple[Suite, list[Planned]]:
    """The suite that the flags name, and the cells of it that they choose."""
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
                if processes.world() > 1:  # not all may have failed: if they continued, they would diverge
                    raise
                failed.append(name)
                kind = "" if isinstance(error, RecbenchError) else f"{type(error).__name__}: "
                progress.message(f"cell {name!r} failed: {kind}{' '.join(str(error).split())}")
    if processes.is_main():
        _end(cells, done, failed)
    return failed


def _run_parallel(suite: Suite, cells: Sequence[Planned], runs: Path, workers: Workers) -> list[str]:
    """Like :func:`_run`, all cells at once on a cluster."""
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
        progress.message(f"{counted(len(cluster.built), 'step')} built, {seconds} of work")
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
    head = ["kind of step", "built", "uses by cells and seeds", "uses of the most shared"]
    shares = [[kind, str(n), str(uses), str(most)] for kind, n, uses, most in shared(list(done.values()))]
    click.echo()
    click.echo(columns([head, *shares]))
