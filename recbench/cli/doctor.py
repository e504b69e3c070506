"""``recbench doctor``: what is installed, what is missing, and how to fix it."""

from __future__ import annotations

from pathlib import Path

import click

from recbench.cli.options import folder_option
from recbench.cli.text import table, terminal_width


@click.command()
@folder_option("--runs", "runs", "Folder of runs.")
@click.pass_context
def doctor(ctx: click.Context, runs: Path) -> None:
    """Look at this machine: versions, device, threads, store, data, language models, plugins, extras.

    Missing parts are needed only for some requests. BROKEN parts must be fixed; if there are any, the exit code is 1.
    An arrow marks the command that helps.
    """
    from recbench.doctor import examine

    found = list(examine(runs))
    rows = [[one.what, one.state, one.found + (f" → {one.mend}" if one.mend else "")] for one in found]
    click.echo("\n".join(table(rows, "", terminal_width())))
    broken = [one.what for one in found if one.state == "BROKEN"]
    if broken:
        click.echo(f"broken: {', '.join(broken)}")
        ctx.exit(1)
    click.echo("recbench can run")
