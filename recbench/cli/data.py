"""``recbench data``: prepare a data set and print what is in it; stores nothing."""

from __future__ import annotations

from typing import Any

import click

from recbench.cli.request import set_layer
from recbench.cli.text import columns
from recbench.data.catalog import entry, open_source
from recbench.data.facts import fact_rows
from recbench.data.prepare import prepare
from recbench.errors import UsageError
from recbench.progress import reporter
from recbench.spec.paths import data_option
from recbench.spec.request import SET, Request


@click.command()
@click.argument("name")
@click.option("--data-dir", metavar="PATH", help="Folder or file of your own data.")
@click.option("--set", "sets", multiple=True, metavar="dataset.OPTION=VALUE", help="An option of the data set.")
def data(name: str, data_dir: str | None, sets: tuple[str, ...]) -> None:
    """Prepare the data set NAME, check it, and print its facts.

    The exit status is 1 where the data is malformed or its split is refused.
    """
    found = entry(name)
    source = open_source(name, {**_place(name, found.source, data_dir), **_options(sets)})
    with reporter() as progress:
        progress.begin(f"prepare {name}")
        split = prepare(source, progress)
    rows = [("data set", f"{name}: {found.title}"), ("source", found.source), ("licence", found.licence)]
    rows += [("preparation", " ".join(found.preparation.split())), *fact_rows(split.facts)]
    rows += [(f"sha256 of {file}", digest) for file, digest in split.sources.items()]
    click.echo(columns(rows))


def _place(name: str, source: str, data_dir: str | None) -> dict[str, str]:
    if data_dir is None:
        return {}
    return data_option(Request(model="none", dataset=name, data_dir=data_dir), source)


def _options(sets: tuple[str, ...]) -> dict[str, Any]:
    groups = set_layer(sets).values[SET]
    for group, given in groups.items():
        if group != "dataset":
            raise UsageError(
                f"--set {group}.{next(iter(given))} does not apply: recbench data takes options of the data set only, "
                "such as dataset.core=5."
            )
    options: dict[str, Any] = groups.get("dataset", {})
    return options
