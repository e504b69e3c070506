"""``recbench suite``: a grid of runs, and its report."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click

from recbench.cli.group import LazyGroup
from recbench.cli.options import Place, folder_option, keeps, no_examples
from recbench.cli.text import columns
from recbench.errors import DataError, RecbenchError, UsageError
from recbench.files import read_json

if TYPE_CHECKING:
    from recbench.results import RunRecord
    from recbench.suites import Suite

COMMANDS = {
    "list": ("recbench.cli.suite:list_", "The suites that come with recbench."),
    "run": ("recbench.cli.suite_run:run", "Run the cells of a suite; what is finished is not run again."),
    "plan": (
        "recbench.cli.suite_plan:plan",
        "List every distinct step of a suite, whether it is stored, and how to build it alone.",
    ),
    "report": ("recbench.cli.suite:report", "Print measured next to published figures, with tests."),
    "add": ("recbench.cli.suite:add", "Add a finished suite to the committed records."),
}
FOLDER = "suites"
_runs = folder_option("--runs", "runs", "Folder of runs.")


@click.group(cls=LazyGroup, lazy=COMMANDS)
def suite() -> None:
    """Run and report grids of runs, such as the tables of the MSL paper."""


@click.command("list")
def list_() -> None:
    """List the suites with their number of cells and their titles."""
    from recbench.suites import load, names

    click.echo(columns([(name, f"{len(load(name).cells)} cells", load(name).title) for name in names()]))


@click.command("report")
@click.argument("name", metavar="NAME|FILE.yaml")
@click.option("--dataset", metavar="NAME", help="Data set, if the suite ran on several.")
@click.option("--records", type=Place(), metavar="DIR", help="Read committed records instead of runs.")
@click.option("--out", type=Place(), metavar="FILE.md|.html|.tex", help="Write the page to this file.")
@click.option(
    "--format", "form", type=click.Choice(["markdown", "html", "latex"]), help="How to print it.  [default: markdown]"
)
@click.option("--figure", type=Place(), metavar="FILE.png", help="Draw accuracy against training time into this file.")
@click.option("--check", "only_check", is_flag=True, help="Write nothing; exit 1 if --out differs.")
@_runs
@click.pass_context
def report(
    ctx: click.Context,
    name: str,
    dataset: str | None,
    records: Path | None,
    out: Path | None,
    form: str | None,
    figure: Path | None,
    only_check: bool,
    runs: Path,
) -> None:
    """Print each cell's figures next to the published ones, and the suite's comparisons with their tests.

    --out writes Markdown, HTML or LaTeX, as its suffix says. --figure draws Figure 7 of the paper for the cells that
    have a language model.
    """
    from recbench.pages.build import render, write_page
    from recbench.pages.suite import MARKERS, suite_content
    from recbench.suites import load

    found = load(name)
    if only_check and out is None:
        raise UsageError("--check needs --out, the page to compare with.")
    if form is not None and out is not None:
        raise UsageError("--format is for printing: the suffix of --out decides the format of that file.")
    suffix = {"html": "html", "latex": "tex"}.get(form or "", "md")
    manifest = _manifest(found, dataset, records or runs)
    known = _records(manifest, records, runs)
    text = render(suite_content(found, known), out or Path(f"page.{suffix}"), MARKERS)
    if figure is not None and not only_check:
        _draw(found, known, figure)
    if out is None:
        click.echo(text.rstrip())
    elif not only_check:
        write_page(out, text)
        click.echo(f"built: {out}")
    elif not out.is_file() or out.read_bytes() != text.encode():
        click.echo(f"recbench: {out} differs from its records: run recbench suite report without --check.", err=True)
        ctx.exit(1)


def _draw(found: Suite, records: Mapping[str, RunRecord], path: Path) -> None:
    """Figure 7 of the records that fit the suite.

    Raises:
        UsageError: the path does not end in .png, or no row has a language model and recorded steps.
        RecbenchError: it cannot be written.
    """
    from recbench.diagnose.figures import accuracy_and_time
    from recbench.files import reason
    from recbench.pages.efficiency import accuracy_and_time as measured
    from recbench.pages.fits import mismatches

    if path.suffix.lower() != ".png":
        raise UsageError(f"--figure {path} must end in .png.")
    others = mismatches(found, records)
    named = [(cell.name, records[cell.name]) for cell in found.cells if cell.name in records.keys() - others.keys()]
    data = measured(named, found.title)
    if not data["rows"]:
        raise UsageError(f"--figure: no finished cell of {found.name} trains a language model.")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        accuracy_and_time(data, path)
    except OSError as error:
        raise RecbenchError(f"{path} cannot be written: {reason(error)}.") from error
    click.echo(f"drawn: {path}", err=True)


@click.command("add")
@click.argument("name", metavar="NAME|FILE.yaml")
@click.option("--dataset", metavar="NAME", help="Data set, if the suite ran on several.")
@folder_option("--records", "leaderboards/records", "Folder of committed records.")
@_runs
@no_examples
def add(name: str, dataset: str | None, records: Path, runs: Path, no_examples: bool) -> None:
    """Copy the records of a suite's cells into the committed ones, with a file that maps cells to records.

    A record that is already committed for a data set's page is not copied again. Cells that were added before, from
    this machine or another one, stay unless they are added again.
    """
    from recbench.cells import known, manifest
    from recbench.pages.build import write_page
    from recbench.pages.records import place_of
    from recbench.results import copy, read, taken
    from recbench.suites import load

    found = load(name)
    path = _manifest(found, dataset, runs)
    for place in _places(path, None, runs).values():
        record = read(place)
        if any(seed.environment.get("git_dirty") for seed in record.seeds):
            click.echo(f"recbench: warning: {record.run} was run with uncommitted changes in recbench.", err=True)
        there = place_of(record.run, records)
        # whether it shows examples was decided when it was committed
        if there.parent != records and taken(there, False)[0] == taken(place, False)[0]:
            click.echo(f"already there: {there}")
        else:
            click.echo(f"added: {copy(place, records, keeps(place, no_examples))[0]}")
    target = records / FOLDER / path.name
    before = {cell: run for cell, run in known(target).items() if place_of(run, records).is_file()}
    write_page(target, manifest(found, {**before, **known(path)}))
    click.echo(
        f"next: recbench suite report {found.source} --records {records} --out FILE.md; recbench leaderboard build"
    )


def _manifest(found: Suite, dataset: str | None, folder: Path) -> Path:
    """The file that says which run each cell is."""
    files = sorted((folder / FOLDER).glob(f"{found.name}-{dataset or '*'}.json"))
    there = [path for path in files if _suite_of(path) in (found.name, None)]  # a-b-toy.json is of a-b, and not of a
    if not there:
        raise UsageError(
            f"Suite {found.name} has no finished cell in {folder}: run `recbench suite run {found.source}` first."
        )
    if len(there) > 1:
        names = ", ".join(path.stem.removeprefix(f"{found.name}-") for path in there)
        raise UsageError(f"Suite {found.name} ran on several data sets: choose one with --dataset ({names}).")
    return there[0]


def _suite_of(manifest: Path) -> str | None:
    """The suite that a manifest is of; None if it cannot be read; the code that reads it reports the error."""
    try:
        return str(read_json(manifest)["suite"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _records(manifest: Path, records: Path | None, runs: Path) -> dict[str, RunRecord]:
    from recbench.results import read

    return {cell: read(path) for cell, path in _places(manifest, records, runs).items()}


def _places(manifest: Path, records: Path | None, runs: Path) -> dict[str, Path]:
    """Cell -> its record's file, all of which are there."""
    from recbench.experiment import RECORD
    from recbench.pages.records import place_of

    try:
        cells: dict[str, str] = read_json(manifest)["cells"]
        if not cells:
            raise ValueError("it names no cell")
        places = {
            cell: place_of(run, records) if records is not None else runs / run / RECORD for cell, run in cells.items()
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise DataError(f"{manifest} is truncated or damaged: run the suite again.") from error
    missing = [cell for cell, path in places.items() if not path.is_file()]
    if missing:
        raise RecbenchError(f"{places[missing[0]]} is missing, the record of cell {missing[0]!r}: run the suite again.")
    return places
