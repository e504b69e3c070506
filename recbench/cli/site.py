"""``recbench site``: the committed records as a static site."""

from __future__ import annotations

from pathlib import Path

import click

from recbench.cli.group import LazyGroup
from recbench.cli.options import folder_option
from recbench.errors import UsageError

COMMANDS = {"build": ("recbench.cli.site:build_site", "Write the site, or check that it is up to date.")}


@click.group(cls=LazyGroup, lazy=COMMANDS)
def site() -> None:
    """The committed records as a static site."""


@click.command("build")
@folder_option(
    "--records",
    "leaderboards/records",
    "Folder of committed records. The cards of data sets are in the folder data next to it.",
)
@folder_option("--out", "site", "Folder of the site; other files in it are kept.")
@click.option("--check", "only_check", is_flag=True, help="Write nothing; exit 1 and name the files that differ.")
@click.pass_context
def build_site(ctx: click.Context, records: Path, out: Path, only_check: bool) -> None:
    """Write a page for each data set and run, from the records and nothing else.

    The site needs no server and no network: open OUT/index.html, or publish the folder as it is.
    """
    from recbench.site import build, check

    if not records.is_dir():
        raise UsageError(f"--records {records} is not a folder.")
    if only_check:
        differing = check(records, out)
        for path in differing:
            click.echo(f"recbench: {path} differs from its records: run recbench site build.", err=True)
        ctx.exit(1 if differing else 0)
    found = build(records, out)
    for path in found.removed:
        click.echo(f"removed, since no record asks for it: {path}")
    click.echo(f"built: {out / 'index.html'} ({found.files:,} files, {found.written:,} of them new or changed)")
