"""``recbench run``: one experiment over its seeds, and the local page."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from recbench import processes
from recbench.cli.options import request_options, started, worker_options
from recbench.cli.request import ask
from recbench.cli.text import columns
from recbench.errors import RecbenchError, UsageError
from recbench.progress import duration, reporter

if TYPE_CHECKING:
    from recbench.cluster import Workers
    from recbench.results import RunRecord


@click.command()
@request_options
@worker_options
@click.option("--again", is_flag=True, help="Compute finished seeds anew.")
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
        report(record, runs)


def report(record: RunRecord, runs: Path) -> None:
    """Print a record's figures and rebuild the local page."""
    from recbench.cli.runs import build_page
    from recbench.experiment import RECORD

    _print_table(_rows(record))
    click.echo(f"record: {runs / record.run / RECORD}")
    try:
        pages, broken = build_page(runs, record.dataset.name)
    except RecbenchError as error:  # the record is safe: say so before failing
        raise RecbenchError(f"the run is recorded, but its page is not built: {error}") from error
    for sentence in broken:
        click.echo(f"recbench: {sentence}", err=True)
    click.echo("page:   " + "  ".join(map(str, pages)))


def _rows(record: RunRecord) -> list[tuple[str, str]]:
    from recbench.evaluation import seed_means
    from recbench.pages.blocks import figure

    several = len(record.seeds) > 1
    numbers = ", ".join(str(s.seed) for s in record.seeds)
    rows = [("run", record.run)]
    if several or record.seeds[0].seed:
        rows.append(("seeds", f"{numbers} (mean ± sd)" if several else numbers))
    rows.append(("test cases", f"{len(record.cases.users):,} ({record.cases.label})"))
    for name, means in seed_means(record.case_results()).items():
        rows.append((name, f"{figure(means.mean())}" + (f" ± {figure(means.std(ddof=1))}" if several else "")))
    invalid = [s.invalid_share for s in record.seeds if s.invalid_share is not None]
    if invalid:
        rows.append(("invalid titles", f"{sum(invalid) / len(invalid):.1%}"))
    if not record.external:
        training, decoding = (
            sum(step.seconds for s in record.seeds for step in s.steps if step.phase == phase) / len(record.seeds)
            for phase in ("training", "decoding")
        )
        rows.append(("time a seed", f"training {duration(training)}, decoding {duration(decoding)}"))
    return rows


def _print_table(rows: list[tuple[str, str]]) -> None:
    if not sys.stdout.isatty():
        click.echo(columns(rows))
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(show_header=False)
    for label, value in rows:
        table.add_row(Text(label), Text(value))
    Console().print(table)
