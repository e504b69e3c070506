"""``recbench list``: what is installed."""

from __future__ import annotations

import click

from recbench import registry
from recbench.cli.text import GAP, table, terminal_width, wrapped
from recbench.errors import RecbenchError, UsageError, did_you_mean
from recbench.interfaces import KINDS, PLURALS

DATASETS = "datasets"
OURS = "recbench-toolkit"
SHOWN = {"text": "titles", "scores": "scores"}


@click.command("list")
@click.argument("what", required=False, metavar=f"[{'|'.join((*PLURALS, DATASETS))}]")
def list_(what: str | None) -> None:
    """List what is installed: name, signal (titles or scores) and summary.

    A plugin that cannot be used is listed as BROKEN, with the reason. Papers: recbench describe KIND NAME. Files and
    distributions: recbench plugin list.
    """
    kinds = dict(zip(PLURALS, KINDS, strict=True))
    if what is not None and what not in (*PLURALS, DATASETS):
        singular = dict(zip((*KINDS, "dataset"), (*PLURALS, DATASETS), strict=True))
        if what not in singular:
            raise UsageError(f"Nothing is called {what!r}: {did_you_mean(what, (*PLURALS, DATASETS))}")
        what = singular[what]
    width = terminal_width()
    indent = GAP if what is None else ""
    for section in (*PLURALS, DATASETS) if what is None else (what,):
        if what is None:
            click.echo(f"{section}:")
        click.echo(_datasets(indent, width) if section == DATASETS else _methods(kinds[section], indent, width))
    if what != DATASETS:
        click.echo(wrapped(f"(of {OURS}, unless another distribution is named)", "", width))
    for sentence in registry.broken():
        click.echo(wrapped(f"BROKEN: {sentence}", "", width))


def _methods(kind: str, indent: str, width: int) -> str:
    good: list[list[str]] = []
    broken = []
    for name in registry.names(kind):
        try:
            plugin = registry.get(kind, name)
        except RecbenchError as error:
            broken.append(wrapped(f"{name}  BROKEN: {' '.join(str(error).split())}", indent, width))
        else:
            owner, version = registry.distribution(kind, name)
            by = "" if owner == OURS else f" ({owner} {version})".replace(" )", ")")
            good.append([name, SHOWN.get(plugin.signal, ""), plugin.summary + by])
    return "\n".join([*table(good, indent, width), *broken]) or f"{indent}(none)"


def _datasets(indent: str, width: int) -> str:
    from recbench.data.catalog import datasets

    rows = []
    for name, entry in datasets().items():
        size = f"{entry.size / 1e6:.1f} MB" if entry.size else "to prepare" if entry.raw else "your own"
        rows.append([name, f"source {entry.source}", size, entry.title])
    return "\n".join(table(rows, indent, width))
