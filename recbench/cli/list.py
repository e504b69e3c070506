"""``recbench list``: what is installed. Imports no method."""

from __future__ import annotations

import click

from recbench import registry
from recbench.cli.text import columns
from recbench.errors import RecbenchError, UsageError, did_you_mean
from recbench.interfaces import KINDS, PLURALS

DATASETS = "datasets"
SHOWN = {"text": "titles", "scores": "scores"}


@click.command("list")
@click.argument("what", required=False, metavar="[backbones|losses|decoders|sources|metrics|slices|datasets]")
def list_(what: str | None) -> None:
    """What is installed: name, signal (titles or scores), summary, distribution and paper."""
    kinds = dict(zip(PLURALS, KINDS, strict=True))
    if what is not None and what not in (*PLURALS, DATASETS):
        singular = dict(zip((*KINDS, "dataset"), (*PLURALS, DATASETS), strict=True))
        if what not in singular:
            raise UsageError(f"Nothing is called {what!r}: {did_you_mean(what, (*PLURALS, DATASETS))}")
        what = singular[what]
    for plural in PLURALS if what is None else [w for w in PLURALS if w == what]:
        if what is None:
            click.echo(f"{plural}:")
        click.echo(_methods(kinds[plural], "  " if what is None else ""))
    if what in (None, DATASETS):
        if what is None:
            click.echo(f"{DATASETS}:")
        click.echo(_datasets("  " if what is None else ""))


def _methods(kind: str, indent: str) -> str:
    good, broken = [], []
    for name in registry.names(kind):
        try:
            plugin = registry.get(kind, name)
            signal = SHOWN[plugin.signal] if kind in ("backbone", "loss", "decoder") else ""
            good.append([name, signal, plugin.summary, registry.origin(kind, name), plugin.paper])
        except RecbenchError as error:
            broken.append(f"{indent}{name}  BROKEN: {' '.join(str(error).split())}")
    lines = [columns(good, indent)] if good else []
    return "\n".join(lines + broken) or f"{indent}(none)"


def _datasets(indent: str) -> str:
    from recbench.data.catalog import datasets

    rows = []
    for name, entry in datasets().items():
        size = f"{entry.size / 1e6:.1f} MB" if entry.size else "your own"
        rows.append([name, f"source {entry.source}", size, entry.title])
    return columns(rows, indent)
