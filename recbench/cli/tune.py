"""``recbench tune``: choose options on validation, and run the choice."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from recbench import processes
from recbench.cli.options import request_options, started, worker_options
from recbench.cli.request import ask
from recbench.cli.text import columns
from recbench.errors import UsageError
from recbench.progress import reporter

if TYPE_CHECKING:
    from recbench.cluster import Workers
    from recbench.tuning import Trial


@click.command()
@request_options
@worker_options
@click.option("--grid", "grids", multiple=True, metavar="GROUP.OPTION=A,B,...", help="Values to try; all combinations.")
@click.option("--tune-seed", type=click.IntRange(min=0), default=1, show_default=True, help="Seed of every trial.")
@click.option("--run", "run_best", is_flag=True, help="Then run the best setting over --seeds and record it.")
@click.option("--again", is_flag=True, help="With --run: compute its finished seeds anew.")
def tune(
    sets: tuple[str, ...],
    config: Path | None,
    runs: Path,
    grids: tuple[str, ...],
    tune_seed: int,
    run_best: bool,
    again: bool,
    workers: Workers | None,
    **flags: Any,
) -> None:
    """Train every setting of a grid, and choose by NDCG@10 on validation.

    A setting must lead by more than one standard error of the difference (over users); otherwise the first setting that
    close to the best is chosen. Of several decoders of one model the best is taken. No trial ranks the test set. The
    record that --run makes says what was tried, since the grid is part of its spec.
    """
    if again and workers:
        raise UsageError("--again computes seeds in this process: leave out --workers and --scheduler.")
    if again and not run_best:
        raise UsageError("--again goes with --run: a trial that is finished is never computed anew.")
    request = ask(flags, sets, config)
    from recbench.description import command_of, shareable
    from recbench.experiment import run as execute
    from recbench.planning import plan
    from recbench.spec.request import seeds_text
    from recbench.tidy import tidied
    from recbench.tuning import parse_grid
    from recbench.tuning import tune as search

    grid = parse_grid(grids)
    with tidied(runs), reporter() as progress, started(workers, runs, progress) as cluster:
        best, trials = search(request, grid, tune_seed, runs, progress, cluster)
    found = plan(best)
    if processes.is_main():
        click.echo(columns(_table(list(grid), trials)))
    command = command_of(best, found)
    if not run_best:
        if processes.is_main():
            place = "" if runs == Path("runs") else f" --runs {shlex.quote(str(runs))}"
            click.echo(f"to run it: {command} --seeds {seeds_text(request.seeds)}{place}")
        processes.leave()
        return
    with tidied(runs), reporter() as progress, started(workers, runs, progress) as cluster:
        record = execute(found, request.seeds, runs, shareable(command), progress, again, cluster)
    processes.leave()
    if processes.is_main():
        from recbench.cli.run import report

        report(record, runs)


def _table(options: list[str], trials: Sequence[Trial]) -> list[list[str]]:
    """Every trial with its score, how far it is behind the best, and which was chosen."""
    from recbench.tuning import choose

    best, chosen = max(trials, key=lambda trial: trial.score), choose(trials)
    rows = [[*options, "validation NDCG@10", "behind the best", ""]]
    for trial in trials:
        score, lost = trial.score, trial.behind(best)
        words = "" if trial is best else f"{lost:.4f} ± {lost.error:.4f}"
        if trial is chosen:
            mark = "chosen" if trial is best else "chosen: the first within the error of the best"
        else:
            mark = "best" if trial is best else ""
        rows.append([*(str(trial.values[name]) for name in options), f"{score:.4f} ± {score.error:.4f}", words, mark])
    return rows
