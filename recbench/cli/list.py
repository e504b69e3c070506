"""``recbench list``: what is installed."""

from __future__ import annotations

import shutil
import sys
import textwrap
from collections.abc import Sequence

import click

from recbench import registry
from recbench.errors import RecbenchError, UsageError, did_you_mean
from recbench.interfaces import KINDS, PLURALS

DATASETS = "datasets"
SHOWN = {"text": "titles", "scores": "scores"}
GAP = "  "


@click.command("list")
@click.argument("what", required=False, metavar=f"[{'|'.join((*PLURALS, DATASETS))}]")
def list_(what: str | None) -> None:
    """List what is installed: name, signal (titles or scores), summary and distribution.

    A plugin that cannot be used is listed as BROKEN, with the reason. Papers: recbench describe KIND NAME.
    """
    kinds = dict(zip(PLURALS, KINDS, strict=True))
    if what is not None and what not in (*PLURALS, DATASETS):
        singular = dict(zip((*KINDS, "dataset"), (*PLURALS, DATASETS), strict=True))
        if what not in singular:
            raise UsageError(f"Nothing is called {what!r}: {did_you_mean(what, (*PLURALS, DATASETS))}")
        what = singular[what]
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else 0
    indent = GAP if what is None else ""
    for section in (*PLURALS, DATASETS) if what is None else (what,):
        if what is None:
            click.echo(f"{section}:")
        click.echo(_datasets(indent, width) if section == DATASETS else _methods(kinds[section], indent, width))
    for sentence in registry.broken():
        click.echo(_wrapped(f"BROKEN: {sentence}", "", width))


def _methods(kind: str, indent: str, width: int) -> str:
    good: list[list[str]] = []
    broken = []
    for name in registry.names(kind):
        try:
            plugin = registry.get(kind, name)
        except RecbenchError as error:
            broken.append(_wrapped(f"{name}  BROKEN: {' '.join(str(error).split())}", indent, width))
        else:
            good.append([name, SHOWN.get(plugin.signal, ""), registry.origin(kind, name), plugin.summary])
    return "\n".join([*_table(good, indent, width), *broken]) or f"{indent}(none)"


def _datasets(indent: str, width: int) -> str:
    from recbench.data.catalog import datasets

    rows = []
    for name, entry in datasets().items():
        size = f"{entry.size / 1e6:.1f} MB" if entry.size else "to prepare" if entry.raw else "your own"
        rows.append([name, f"source {entry.source}", size, entry.title])
    return "\n".join(_table(rows, indent, width))


def _table(rows: Sequence[Sequence[str]], indent: str, width: int) -> list[str]:
    """Lines of left-aligned columns; the last one is wrapped where the lines would exceed ``width`` (0: never)."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        cells = [cell.ljust(size) for cell, size in zip(row[:-1], widths, strict=False) if size]
        start = indent + "".join(cell + GAP for cell in cells)
        room = max(width - len(start), 20) if width else sys.maxsize
        first, *more = textwrap.wrap(row[-1], room) or [""]
        lines += [(start + first).rstrip(), *(" " * len(start) + line for line in more)]
    return lines


def _wrapped(text: str, indent: str, width: int) -> str:
    if not width:
        return indent + text
    return textwrap.fill(text, width, initial_indent=indent, subsequent_indent=indent + GAP, break_long_words=False)
