"""Blocks as LaTeX to \\input into a paper: tables of booktabs, no other package.

Letters of other scripts stay as they are: XeLaTeX and LuaLaTeX set them, pdfLaTeX those of Latin.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from recbench.pages.blocks import Block, Bullets, Code, Heading, Paragraph, Table, plain

_SECTIONS = ("section*", "subsection*", "subsubsection*")
_WORDS = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "`": r"\textasciigrave{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\char34{}",
    "±": r"$\pm$",
    "×": r"$\times$",
    "≤": r"$\leq$",
    "≥": r"$\geq$",
    "−": "$-$",
    "–": r"\textendash{}",
    "—": r"\textemdash{}",
    "…": r"\dots{}",
    "†": r"\dag{}",
    "▲": r"$^{\uparrow}$",
    "▼": r"$^{\downarrow}$",
    # after the end of a row LaTeX takes a star or a bracket for its own
    "*": "{*}",
    "[": "{[}",
    "]": "{]}",
    **{mark: f"\\{mark}" for mark in "{}$&#_%"},
}
_MARKS = re.compile("|".join(map(re.escape, _WORDS)))


def latex(blocks: Iterable[Block], marker: str) -> str:
    """The blocks as a file whose first line is the comment ``marker``."""
    return f"% {plain(marker)}\n% needs \\usepackage{{booktabs}}\n\n{blocks_as_latex(blocks)}\n"


def blocks_as_latex(blocks: Iterable[Block]) -> str:
    """The blocks alone."""
    return "\n\n".join(map(_block, blocks))


def _block(block: Block) -> str:
    match block:
        case Heading(level, text):
            return f"\\{_SECTIONS[min(level, len(_SECTIONS)) - 1]}{{{escaped(text)}}}"
        case Paragraph(text):
            return escaped(text)
        case Bullets(items):
            return "\n".join([r"\begin{itemize}", *(f"\\item {{}}{escaped(item)}" for item in items), r"\end{itemize}"])
        case Code(lines):  # verbatim could be ended by what a record says
            return "\n".join([r"{\raggedright\ttfamily", *(f"{escaped(line)}\\par" for line in lines), "}"])
        case Table():
            return _table(block)


def _table(block: Table) -> str:
    columns = "".join("l" if column < block.words else "r" for column in range(len(block.header)))
    rows = [
        _row([_emphasised(escaped(cell), block.emphasis.get((row, column))) for column, cell in enumerate(cells)])
        for row, cells in enumerate(block.rows)
    ]
    head = _row([escaped(cell) for cell in block.header])
    begin, end = f"\\begin{{tabular}}{{{columns}}}", r"\end{tabular}"
    return "\n".join([begin, r"\toprule", head, r"\midrule", *rows, r"\bottomrule", end])


def _row(cells: Sequence[str]) -> str:
    return " & ".join(cells) + r" \\"


def _emphasised(text: str, emphasis: str | None) -> str:
    return {"best": f"\\textbf{{{text}}}", "second": f"\\underline{{{text}}}"}.get(emphasis or "", text)


def escaped(text: str) -> str:
    """Text from a record: no command, no math, no ligature of its own."""
    return re.sub(r"(?<=[-',])(?=[-',])", "{}", _MARKS.sub(lambda found: _WORDS[found[0]], plain(text)))
