"""``recbench run``: one experiment over its seeds, and the local page."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from recbench import processes
from recbench.cli.options import request_options, started, worker_options
from recbench.cli.request import ask
from recbench.errors import UsageError
from recbench.progress import reporter

if TYPE_CHECKING:
    from recbench.cluster import Workers


@click.command()
@request_options
@worker_options
@click.option("--again", is_flag=True, help="Recompute finished seeds.")
@click.option("--dry-run", is_flag=True, help="Print the complete spec and an estimate; compute and write nothing.")
def run(
    sets: tuple[str, ...],
    config: Path | None,
    runs: Path,
    again: bool,
    dry_run: bool,
    workers: Workers | None,
    **flags: Any,
) -> None:
    """Train a method, rank the test set and keep a record, seed by seed.

    A finished seed is not computed again while its code and data stay the same. The same command continues an
    interrupted run. With --workers or --scheduler the seeds run at once, on Dask workers.
    """
    if again and workers:
        raise UsageError("--again computes seeds in this process: leave out --workers and --scheduler.")
    request = ask(flags, sets, config)
    from recbench.description import command_of, shareable
    from recbench.experiment import run as execute
    from recbench.planning import plan

    found = plan(request)
    if dry_run:
        from recbench.cli.dry_run import describe_plan

        if processes.is_main():
            click.echo(describe_plan(found, request, runs))
        return
    from recbench.tidy import tidied

    command = shareable(command_of(request, found))
    with tidied(runs), reporter() as progress:
        for note in found.notes:
            progress.message(note)
        with started(workers, runs, progress) as cluster:
            record = execute(found, request.seeds, runs, command, progress, again, cluster)
    processes.leave()
    if processes.is_main():
        from recbench.cli.outcome import report

        report(record, runs)
