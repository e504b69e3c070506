"""``recbench leaderboard``: the committed records, their pages, and running them again."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from recbench.cli.group import LazyGroup
from recbench.cli.options import folder_option, keeps, no_examples
from recbench.errors import RecbenchError, UsageError, did_you_mean

if TYPE_CHECKING:
    from recbench.leaderboard.places import Places

COMMANDS = {
    "add": ("recbench.cli.leaderboard:add", "Add runs to the committed records."),
    "build": ("recbench.cli.leaderboard:build_pages", "Regenerate the pages from the records, or check them."),
    "verify": ("recbench.cli.verify:verify", "Recompute what records and pages state, and name what differs."),
    "merge": ("recbench.cli.merge:merge", "Join records of one run that several machines made."),
    "rerun": ("recbench.cli.leaderboard:rerun", "Run committed records again and compare."),
}
RECORDS = Path("leaderboards/records")

records_option = click.option(
    "--records",
    type=click.Path(path_type=Path),
    default=RECORDS,
    show_default=True,
    help="Folder of committed records.",
)


def place_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the flags that say where data and language models are on this machine."""
    for option in (
        click.option("--llm", "llms", multiple=True, metavar="NAME=PATH", help="Path of a row's language model."),
        click.option("--data-dir", "data_dirs", multiple=True, metavar="DATASET=PATH", help="Path of your own data."),
    ):
        command = option(command)
    return command


@click.group(cls=LazyGroup, lazy=COMMANDS)
def leaderboard() -> None:
    """Keep committed records, and build their pages."""


@click.command("add")
@click.argument("names", nargs=-1, required=True, metavar="RUN...")
@records_option
@click.option(
    "--runs", type=click.Path(path_type=Path), default=Path("runs"), show_default=True, help="Folder of runs."
)
@no_examples
def add(names: tuple[str, ...], records: Path, runs: Path, no_examples: bool) -> None:
    """Copy the records of RUNs into the committed ones; a record of the same run is replaced."""
    from recbench.leaderboard.signature import follow
    from recbench.lookup import find
    from recbench.results import copy, read

    places = [find(name, runs) for name in names]
    for record in map(read, places):
        path = records / f"{record.run}.json"
        if any(seed.environment.get("git_dirty") for seed in record.seeds):
            click.echo(f"recbench: warning: {record.run} was run with uncommitted changes in recbench.", err=True)
        if path.exists() and len(read(path).seeds) > len(record.seeds):
            click.echo(
                f"recbench: warning: {path} had {len(read(path).seeds)} seeds, now {len(record.seeds)}.", err=True
            )
    for place in places:
        target, _ = copy(place, records, keeps(place, no_examples))
        lost = follow(place, target)
        click.echo(f"added: {target}")
        if lost:
            click.echo("Its signature was not copied, since the record no longer holds examples: sign the copy.")
    click.echo("next: recbench leaderboard build")


@click.command("build")
@records_option
@click.option(
    "--out", type=click.Path(path_type=Path), default=Path("leaderboards"), show_default=True, help="Folder of pages."
)
@click.option("--html", is_flag=True, help="HTML pages too.")
@click.option("--check", "only_check", is_flag=True, help="Write nothing; exit 1 and name the pages that differ.")
@click.pass_context
def build_pages(ctx: click.Context, records: Path, out: Path, html: bool, only_check: bool) -> None:
    """Write one page for each data set, from the records and nothing else."""
    from recbench.pages import build, check

    if not records.is_dir():
        raise UsageError(f"--records {records} is not a folder.")
    formats = ("md", "html") if html else ("md",)
    if only_check:
        differing = check(records, out, formats)
        for path in differing:
            click.echo(f"recbench: {path} differs from its records: run recbench leaderboard build.", err=True)
        ctx.exit(1 if differing else 0)
    written, removed = build(records, out, formats)
    for path in written:
        click.echo(f"built: {path}")
    for path in removed:
        click.echo(f"removed, since its data set has no record: {path}")


@click.command("rerun")
@click.argument("names", nargs=-1, metavar="[NAME]...")
@records_option
@folder_option("--runs", "runs/rerun", "Where to run: a new or empty folder.")
@place_options
@click.option("--update", is_flag=True, help="Replace the committed records with the new ones.")
@click.option("--resume", is_flag=True, help="Continue an interrupted rerun in the same folder.")
@click.pass_context
def rerun(
    ctx: click.Context,
    names: tuple[str, ...],
    records: Path,
    runs: Path,
    data_dirs: tuple[str, ...],
    llms: tuple[str, ...],
    update: bool,
    resume: bool,
) -> None:
    """Run every committed record (or those called NAME) again, and say whether the ranks are the same.

    Everything is recomputed, in a separate folder. Exit code 1 means that a record differs or cannot be run.
    """
    from recbench.cli.again import repeat
    from recbench.results import read

    places = places_of(data_dirs, llms)
    if not resume and runs.is_dir() and any(runs.iterdir()):
        raise UsageError(f"--runs {runs} holds an earlier rerun: remove it, or continue it with --resume.")
    failed = 0
    for path in _named(names, records):
        click.echo(f"{path.stem}:")
        try:
            record = read(path)
            if record.external:
                click.echo("  made by other code: recbench cannot run it again")
                continue
            verdict = repeat(record, path, places, runs, update)
        except RecbenchError as error:
            failed += 1
            click.echo(f"recbench: skipped {path.stem}: {' '.join(str(error).split())}", err=True)
            continue
        failed += not verdict.same
        click.echo(f"  {verdict.text}")
    ctx.exit(1 if failed else 0)


def _named(names: tuple[str, ...], records: Path) -> list[Path]:
    found = {path.stem: path for path in sorted(records.glob("*.json"))}
    if not found:
        raise UsageError(f"--records {records} holds no records.")
    for name in names:
        if Path(name).stem not in found and name not in found:
            raise UsageError(f"Unknown record {name!r} in {records}: {did_you_mean(name, found)}")
    wanted = {name if name in found else Path(name).stem for name in names} or set(found)
    return [path for name, path in found.items() if name in wanted]


def places_of(data_dirs: tuple[str, ...], llms: tuple[str, ...]) -> Places:
    """What :func:`place_options` were given."""
    from recbench.leaderboard.places import Places

    return Places(_pairs("--data-dir", data_dirs), _pairs("--llm", llms))


def _pairs(flag: str, texts: tuple[str, ...]) -> dict[str, str]:
    pairs = {}
    for text in texts:
        name, equals, path = text.partition("=")
        if not (name and equals and path):
            raise UsageError(f"{flag} {text!r} must read NAME=PATH.")
        pairs[name] = path
    return pairs
