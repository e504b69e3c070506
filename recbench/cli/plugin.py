"""``recbench plugin``: begin one, check one, list all."""

from __future__ import annotations

import shlex
from pathlib import Path

import click

from recbench.cli.group import LazyGroup
from recbench.interfaces import KINDS

COMMANDS = {
    "new": ("recbench.cli.plugin:new", "A package to begin with, which passes its own tests at once."),
}


@click.group(cls=LazyGroup, lazy=COMMANDS)
def plugin() -> None:
    """Write, check and list plugins: losses, backbones, decoders, sources, metrics, slices."""


@click.command()
@click.argument("kind", metavar=f"[{'|'.join(KINDS)}]")
@click.argument("name")
@click.option("--dir", "folder", type=click.Path(path_type=Path), default=".", help="Where the package's folder goes.")
def new(kind: str, name: str, folder: Path) -> None:
    """Write the package recbench-NAME: a complete small example of KIND, its test, an entry point and a README.

    Install it, run its tests, and put your own method in the example's place.
    """
    from recbench.scaffold import USES
    from recbench.scaffold import new as write

    made = write(kind, name, folder)
    for path in sorted(made.iterdir()):
        click.echo(path)
    place = shlex.quote(str(made))
    click.echo(f"\nNow:\n  pip install -e {place}\n  pytest {place}\n  {USES[kind].format(name)}")
