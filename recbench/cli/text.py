"""Plain columns of text."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def columns(rows: Iterable[Sequence[str]], indent: str = "") -> str:
    """Rows as aligned columns, two blanks apart."""
    rows = [list(row) for row in rows]
    if not rows:
        return ""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)
    return "\n".join((indent + line).rstrip() for line in lines)


def number(value: float) -> str:
    """A metric for reading: four decimals, fewer where it is 10 or more."""
    return f"{value:.4f}" if abs(value) < 10 else f"{value:,.1f}"
