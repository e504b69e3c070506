"""Blocks as GitHub-flavoured Markdown."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from recbench.pages.blocks import Block, Bullets, Code, Heading, Paragraph, Table, plain

_LINKS = re.compile(r"(?i)\b((?:https?|ftp|mailto|xmpp))(:)|\b(www)(\.)|(?<=[\w.+-])(@)(?=[\w-]+\.\w)")
_STARTS = re.compile(r"^(?:([#>+=~-])|(\d+)([.)]))")


def markdown(blocks: Iterable[Block], marker: str) -> str:
    """The blocks as a page whose first line is the comment ``marker``."""
    return f"<!-- {marker} -->\n\n{blocks_as_markdown(blocks)}\n"


def blocks_as_markdown(blocks: Iterable[Block]) -> str:
    """The blocks alone, for a file that has other text too."""
    return "\n\n".join(map(_block, blocks))


def _block(block: Block) -> str:
    match block:
        case Heading(level, text):
            return f"{'#' * level} {_start(text)}"
        case Paragraph(text):
            return _start(text)
        case Bullets(items):
            return "\n".join(f"- {_start(item)}" for item in items)
        case Code(lines):
            text = "\n".join(map(plain, lines))
            fence = "`" * max([3, *(len(run) + 1 for run in re.findall("`+", text))])
            return f"{fence}bash\n{text}\n{fence}"
        case Table(header, rows, words):
            rule = ["---" if column < words else "---:" for column in range(len(header))]
            body = [[_cell(cell, block, n, column) for column, cell in enumerate(row)] for n, row in enumerate(rows)]
            return "\n".join(map(_line, ([_text(cell) for cell in header], rule, *body)))


def _cell(text: str, table: Table, row: int, column: int) -> str:
    emphasis = {"best": "**{}**", "second": "<ins>{}</ins>"}
    return emphasis.get(table.emphasis.get((row, column), ""), "{}").format(_text(text))


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _text(text: str) -> str:
    """Text from a record: no line break, cell border, tag, link or emphasis of its own."""
    text = plain(text).replace("\\", "\\\\").replace("&", "&amp;")
    for mark in "|*_`<[~$":
        text = text.replace(mark, "\\" + mark)
    return _LINKS.sub(_unlinked, text)


def _unlinked(found: re.Match[str]) -> str:
    *before, mark = [part for part in found.groups() if part]
    return "".join(before) + "\\" + mark


def _start(text: str) -> str:
    """Text that begins a line: no heading, list, quotation or rule of its own."""
    return _STARTS.sub(lambda found: f"\\{found[1]}" if found[1] else f"{found[2]}\\{found[3]}", _text(text))
