"""``recbench data``: prepare a data set and print what is in it; stores nothing."""

from __future__ import annotations

from typing import Any

import click

from recbench.cli.places import dataset_options, dataset_sets
from recbench.cli.text import columns
from recbench.data.prepare import entry, prepare
from recbench.progress import reporter


@click.command()
@click.argument("name")
@click.option("--data-dir", metavar="PATH", help="Folder (or file, for csv) of one's own data.")
@click.option("--set", "sets", multiple=True, metavar="dataset.OPTION=VALUE", help="An option of the data set.")
def data(name: str, data_dir: str | None, sets: tuple[str, ...]) -> None:
    """Prepare the data set NAME, check it, and print its facts."""
    found = entry(name)
    options = {**dataset_options(name, data_dir), **dataset_sets(sets)}
    with reporter() as progress:
        split = prepare(name, options, progress)
    rows = [("data set", f"{name}: {found.title}"), ("source", found.source), ("licence", found.licence)]
    rows += [("preparation", " ".join(found.preparation.split()))]
    rows += [(key.replace("_", " "), _text(key, value)) for key, value in split.facts.items()]
    rows += [(f"sha256 of {file}", digest) for file, digest in split.sources.items()]
    click.echo(columns(rows))


def _text(key: str, value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{k.replace('_', ' ')} {_text(k, v)}" for k, v in value.items())
    if key.endswith("_share"):
        return f"{value:.1%}"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)
