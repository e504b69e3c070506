"""``recbench suite``: a grid of runs, and its report."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from recbench.cli.group import LazyGroup
from recbench.cli.text import columns
from recbench.errors import DataError, RecbenchError, UsageError

if TYPE_CHECKING:
    from recbench.results import RunRecord
    from recbench.suites import Suite

COMMANDS = {
    "list": ("recbench.cli.suite:list_", "The suites that come with recbench."),
    "run": ("recbench.cli.suite_run:run", "Run every cell of a suite; what is finished is not run again."),
    "plan": (
        "recbench.cli.suite_run:plan",
        "Every distinct step of a suite, whether it is there, and how to build it.",
    ),
    "report": ("recbench.cli.suite:report", "Measured beside published, with tests."),
    "add": ("recbench.cli.suite:add", "Take a finished suite into the committed records."),
}
FOLDER = "suites"
_runs = click.option(
    "--runs", type=click.Path(path_type=Path), default=Path("runs"), show_default=True, help="Folder of runs."
)


@click.group(cls=LazyGroup, lazy=COMMANDS)
def suite() -> None:
    """Grids of runs, such as the tables of the MSL paper."""


@click.command("list")
def list_() -> None:
    """Name the suites, with their cells."""
    from recbench.suites import load, names

    click.echo(columns([(name, f"{len(load(name).cells)} cells", load(name).title) for name in names()]))


@click.command("report")
@click.argument("name", metavar="NAME|FILE.yaml")
@click.option("--dataset", metavar="NAME", help="Where the suite ran on several data sets.")
@click.option("--records", type=click.Path(path_type=Path), metavar="DIR", help="Committed records instead of runs.")
@click.option("--out", type=click.Path(path_type=Path), metavar="FILE.md", help="Write the page there.")
@click.option("--check", "only_check", is_flag=True, help="Write nothing; exit 1 if --out differs.")
@_runs
@click.pass_context
def report(
    ctx: click.Context,
    name: str,
    dataset: str | None,
    records: Path | None,
    out: Path | None,
    only_check: bool,
    runs: Path,
) -> None:
    """Print each cell's figures beside the published ones, and the suite's comparisons with their tests."""
    from recbench.files import write_atomic
    from recbench.pages.suite import suite_page
    from recbench.suites import load

    found = load(name)
    manifest = _manifest(found, dataset, records or runs)
    text = suite_page(found, _records(manifest, records, runs))
    if only_check:
        if out is None:
            raise UsageError("--check needs --out, the page to compare with.")
        if not out.is_file() or out.read_text(encoding="utf-8") != text:
            click.echo(
                f"recbench: {out} differs from its records: run recbench suite report without --check.", err=True
            )
            ctx.exit(1)
        return
    if out is None:
        click.echo(text.rstrip())
        return
    write_atomic(out, text.encode())
    click.echo(f"built: {out}")


@click.command("add")
@click.argument("name", metavar="NAME|FILE.yaml")
@click.option("--dataset", metavar="NAME", help="Where the suite ran on several data sets.")
@click.option(
    "--records",
    type=click.Path(path_type=Path),
    default=Path("leaderboards/records"),
    show_default=True,
    help="Folder of committed records.",
)
@_runs
def add(name: str, dataset: str | None, records: Path, runs: Path) -> None:
    """Copy the records of a suite's cells, and the list of which cell each is, into the committed ones."""
    from recbench.files import write_atomic
    from recbench.results import write
    from recbench.suites import load

    found = load(name)
    path = _manifest(found, dataset, runs)
    for record in _records(path, None, runs).values():
        if any(seed.environment.get("git_dirty") for seed in record.seeds):
            click.echo(f"recbench: warning: {record.run} was run with uncommitted changes in recbench.", err=True)
        write(record, records / f"{record.run}.json")
        click.echo(f"added: {records / f'{record.run}.json'}")
    write_atomic(records / FOLDER / path.name, path.read_bytes())
    click.echo(
        f"next: recbench suite report {found.source} --records {records} --out FILE.md; recbench leaderboard build"
    )


def _manifest(found: Suite, dataset: str | None, folder: Path) -> Path:
    """The file that says which run each cell is."""
    there = sorted((folder / FOLDER).glob(f"{found.name}-{dataset or '*'}.json"))
    if not there:
        raise UsageError(
            f"Suite {found.name} has no finished cell in {folder}: recbench suite run {found.source} first."
        )
    if len(there) > 1:
        names = ", ".join(path.stem.removeprefix(f"{found.name}-") for path in there)
        raise UsageError(f"Suite {found.name} ran on several data sets: choose one with --dataset ({names}).")
    return there[0]


def _records(manifest: Path, records: Path | None, runs: Path) -> dict[str, RunRecord]:
    from recbench.experiment import RECORD
    from recbench.results import read

    try:
        cells: dict[str, Any] = json.loads(manifest.read_bytes())["cells"]
        if not cells:
            raise ValueError("it names no cell")
        places = {
            cell: (records / f"{run}.json") if records is not None else (runs / run / RECORD)
            for cell, run in cells.items()
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(f"{manifest} is truncated or damaged: run the suite again.") from error
    missing = [cell for cell, path in places.items() if not path.is_file()]
    if missing:
        raise RecbenchError(f"{places[missing[0]]} is missing, the record of cell {missing[0]!r}: run the suite again.")
    return {cell: read(path) for cell, path in places.items()}
