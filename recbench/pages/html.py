"""Blocks as one self-contained HTML file: no script, nothing loaded from elsewhere."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

from recbench.pages.blocks import Block, Bullets, Code, Heading, Paragraph, Table, plain

_WORD = ' class="word"'
_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 78rem; padding: 0 1rem; color: #1a1a1a; }
p, li { max-width: 50rem; overflow-wrap: anywhere; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: .87rem; }
th, td { padding: .3rem .7rem; text-align: right; white-space: nowrap; border-bottom: 1px solid #ddd; }
th.word, td.word { text-align: left; }
td.word { white-space: normal; }
thead th { border-bottom: 2px solid #666; vertical-align: bottom; }
tbody tr:hover { background: #f4f6f8; }
pre { background: #f4f6f8; padding: .8rem; overflow-x: auto; }
"""


def html(blocks: Iterable[Block], marker: str) -> str:
    """The blocks as a page whose second line is the comment ``marker``; the first heading is its title."""
    blocks = list(blocks)
    title = next((_text(block.text) for block in blocks if isinstance(block, Heading)), "")
    body = "\n".join(map(_block, blocks))
    return (
        f'<!doctype html>\n<!-- {marker} -->\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{title}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n{body}\n</body>\n</html>\n"
    )


def _block(block: Block) -> str:
    match block:
        case Heading(level, text):
            return f"<h{level}>{_text(text)}</h{level}>"
        case Paragraph(text):
            return f"<p>{_text(text)}</p>"
        case Bullets(items):
            return "<ul>" + "".join(f"<li>{_text(item)}</li>" for item in items) + "</ul>"
        case Code(lines):
            return "<pre><code>" + "\n".join(map(_text, lines)) + "</code></pre>"
        case Table(header, rows, words):
            head = _row("th", header, words)
            body = "\n".join(_row("td", row, words, block, number) for number, row in enumerate(rows))
            return f'<div class="wide"><table>\n<thead>{head}</thead>\n<tbody>\n{body}\n</tbody>\n</table></div>'


def _row(tag: str, cells: Sequence[str], words: int, table: Table | None = None, row: int = 0) -> str:
    shown = []
    for column, text in enumerate(map(_text, cells)):
        inner = {"best": "b", "second": "u"}.get(table.emphasis.get((row, column), "") if table else "")
        text = f"<{inner}>{text}</{inner}>" if inner else text
        shown.append(f"<{tag}{_WORD * (column < words)}>{text}</{tag}>")
    return f"<tr>{''.join(shown)}</tr>"


def _text(text: str) -> str:
    return escape(plain(text))
