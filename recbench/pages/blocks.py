"""What pages are made of: blocks that Markdown and HTML show alike.

All text in them is plain: the renderers make harmless what a record's text may hold.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

NONE = "–"


@dataclass(frozen=True)
class Heading:
    """A title; level 1 is the page's."""

    level: int
    text: str


@dataclass(frozen=True)
class Paragraph:
    """Running text."""

    text: str


@dataclass(frozen=True)
class Bullets:
    """A list of short texts."""

    items: tuple[str, ...]


@dataclass(frozen=True)
class Table:
    """A header and rows of cells, all text; the first ``words`` columns are words, the others numbers.

    ``emphasis`` says of a cell, by row and column, that it is the best or the second of its column.
    """

    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    words: int
    emphasis: Mapping[tuple[int, int], Literal["best", "second"]] = field(default_factory=dict)


@dataclass(frozen=True)
class Code:
    """Commands to copy, a line each."""

    lines: tuple[str, ...]


Block = Heading | Paragraph | Bullets | Table | Code


def emphasis(
    columns: Mapping[int, Sequence[float | None]],
) -> dict[tuple[int, int], Literal["best", "second"]]:
    """The best and second best cells of columns of which more is better, as a reader sees them: ties share.

    Args:
        columns: a column's place -> its value in each row; None where a row has none.
    """
    found: dict[tuple[int, int], Literal["best", "second"]] = {}
    for column, values in columns.items():
        seen = [None if value is None else round(value, 4) for value in values]
        ordered = sorted({value for value in seen if value is not None}, reverse=True)
        for row, value in enumerate(seen):
            if value is not None and value in ordered[:2] and len(ordered) > 1:
                found[row, column] = "best" if value == ordered[0] else "second"
    return found


def plain(text: str) -> str:
    """Text on one line, without control characters and those that reorder what a reader sees."""
    text = " ".join(text.split())
    if text.isascii() and text.isprintable():  # nearly all of a page
        return text
    return "".join(c for c in text if unicodedata.category(c) not in ("Cc", "Cs") and not _reorders(c))


def figure(value: float) -> str:
    """A metric for reading: four decimals, one where it is 10 or more (a mean popularity)."""
    return f"{value:.4f}" if abs(value) < 10 else f"{value:,.1f}"


def _reorders(character: str) -> bool:
    return character in "\u061c\u200e\u200f" or "\u202a" <= character <= "\u202e" or "\u2066" <= character <= "\u2069"
