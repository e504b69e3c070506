"""Plain columns of text."""

from __future__ import annotations

import shutil
import sys
import textwrap
from collections.abc import Iterable, Sequence

GAP = "  "


def columns(rows: Iterable[Sequence[str]], indent: str = "") -> str:
    """Rows as aligned columns, two blanks apart."""
    rows = [list(row) for row in rows]
    if not rows:
        return ""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = (GAP.join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)
    return "\n".join((indent + line).rstrip() for line in lines)


def terminal_width() -> int:
    """Columns of the terminal that standard output goes to; 0 where it goes elsewhere, and no line is too long."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else 0


def table(rows: Sequence[Sequence[str]], indent: str, width: int) -> list[str]:
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


def wrapped(text: str, indent: str, width: int) -> str:
    """A paragraph within ``width`` columns (0: on one line), what follows its first line indented further."""
    if not width:
        return indent + text
    return textwrap.fill(text, width, initial_indent=indent, subsequent_indent=indent + GAP, break_long_words=False)
