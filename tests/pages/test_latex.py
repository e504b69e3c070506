"""LaTeX: what a record says is text in it, whatever it says; the best of a column is bold, the second underlined."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from recbench.pages.blocks import Bullets, Code, Heading, Paragraph, Table, emphasis
from recbench.pages.latex import escaped, latex

HOSTILE = (
    r"\input{/etc/passwd}",
    "100 % of $x_1^2$ & {braces}} # ~ ^",
    "[4pt] after the end of a row",
    "* star",
    r"\end{tabular}\end{document}",
    "``quoted'' -- and --- ?`x !`y << >> ,, |",
    "Amélie – naïve façade … ± × ≤ ≥ − † ▲ ▼",
    "x" * 10_000,
)
BLOCKS = (
    Heading(1, HOSTILE[0]),
    Heading(4, HOSTILE[1]),
    *map(Paragraph, HOSTILE),
    Bullets(HOSTILE),
    Code(HOSTILE),
    Table(("a", *HOSTILE[:3]), tuple((text, "1", "2", "3") for text in HOSTILE), 1, {(0, 1): "best", (1, 1): "second"}),
)


def unescaped(text: str) -> str:
    """What TeX typesets, by its own rules, of the few commands that may occur; anything else fails."""
    names = {
        "textbackslash": "\\", "textasciitilde": "~", "textasciicircum": "^", "textasciigrave": "`", "textless": "<",
        "textgreater": ">", "textbar": "|", "char34": '"', "textendash": "–", "textemdash": "—",
        "dots": "…", "dag": "†",
    }  # fmt: skip
    math = {"\\pm": "±", "\\times": "×", "\\leq": "≤", "\\geq": "≥", "-": "−"}
    math |= {"^{\\uparrow}": "▲", "^{\\downarrow}": "▼"}
    tokens = re.compile(r"\\([a-z]+\d*)\{\}|\\([{}$&#_%])|\$([^$]*)\$|\{([*\[\]])\}|(\{\})|([^\\{}$&#_%~^])")
    found, place = "", 0
    while place < len(text):
        match = tokens.match(text, place)
        assert match, f"TeX would not take {text[place : place + 20]!r} for text"
        command, mark, formula, grouped, _, letter = match.groups()
        found += names[command] if command else mark or (math[formula] if formula else grouped or letter or "")
        place = match.end()
    return found


@pytest.mark.parametrize("text", HOSTILE)
def test_what_is_escaped_is_typeset_as_it_was(text: str) -> None:
    assert unescaped(escaped(text)) == text
    assert not re.search(r"--|''|,,|\?`|!`|``", escaped(text))  # ligatures


def test_emphasis_marks_what_a_reader_sees() -> None:
    columns = {2: [0.12341, 0.12344, 0.11, None, 0.05], 3: [1.0, 1.0]}
    assert emphasis(columns) == {(0, 2): "best", (1, 2): "best", (2, 2): "second"}


def test_tables_are_of_booktabs_with_bold_and_underlined_cells() -> None:
    table = Table(("m", "x"), (("a", "0.5"), ("b", "0.4")), 1, {(0, 1): "best", (1, 1): "second"})
    assert latex([table], "by hand").splitlines() == [
        "% by hand", r"% needs \usepackage{booktabs}", "", r"\begin{tabular}{lr}", r"\toprule", r"m & x \\",
        r"\midrule",
        r"a & \textbf{0.5} \\", r"b & \underline{0.4} \\", r"\bottomrule", r"\end{tabular}",
    ]  # fmt: skip


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="no pdflatex")
def test_pdflatex_takes_it(tmp_path: Path) -> None:
    body = latex(BLOCKS, "a marker\nof two lines")
    head = "\\documentclass{article}\n\\usepackage{booktabs}\n\\begin{document}\n"
    (tmp_path / "page.tex").write_text(f"{head}{body}\\end{{document}}\n")
    done = subprocess.run(
        ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "-no-shell-escape", "page.tex"],
        capture_output=True, text=True, cwd=tmp_path, check=False, timeout=120, errors="replace",
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-2000:]
    assert (tmp_path / "page.pdf").stat().st_size > 1000
