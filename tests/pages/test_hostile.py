"""What somebody else's record may hold: text is inert, commands run recbench alone."""

from __future__ import annotations

import re

import pytest
from markdown_it import MarkdownIt

from recbench.pages import html_page, markdown_page
from recbench.pages.blocks import plain
from recbench.pages.records import command_of
from recbench.results import Dataset, Labels, PluginCode, RunRecord

NASTY = [
    "x\n```\n# Heading\n[link](https://evil.example)\n<script>alert(1)</script>\n````",
    "# heading",
    "- list",
    "1. list",
    "> quotation",
    "[a](https://evil.example) ![b](http://evil.example/c.png) www.evil.example me@evil.example",
    "<img src=x onerror=alert(1)> &lt;b&gt;",
    "right\u202eto left \u2066and \u200fmore\x1b[31m red\x00 \u0085 line\u2028two",
    "*bold* _it_ `code` ~~no~~ $x$ | cell \\| cell",
]


def hostile(record: RunRecord, text: str) -> RunRecord:
    return record.model_copy(
        update={
            "labels": Labels(method=text, loss=text, decoder=text, llm=text),
            "budget": {text: text},
            "policies": {text: text},
            "command": f"recbench run --model '{text}'",
            "dataset": Dataset(name="ml-100k", label=text, sources={text: text}),
            "plugins": (PluginCode(kind=text, name=text, distribution=text, version=text, code="ab"),),
            "cases": record.cases.model_copy(update={"label": text}),
            "seeds": tuple(
                s.model_copy(update={"environment": {"device": text, "recbench": text}}) for s in record.seeds
            ),
        }
    )


def structure(text: str) -> tuple[list[str], str]:
    """What another Markdown reader sees: the kind of every block and inline piece, and the text outside code."""
    tokens = MarkdownIt("commonmark").enable(["table", "strikethrough"]).parse(text)
    inline = [child for token in tokens for child in token.children or ()]
    kinds = [f"{token.type} {token.tag}" for token in tokens] + [child.type for child in inline if child.type != "text"]
    return kinds, " ".join(child.content for child in inline)


@pytest.mark.parametrize("text", NASTY)
def test_a_records_text_is_inert_on_both_pages(records: list[RunRecord], text: str) -> None:
    page, html = markdown_page([hostile(records[2], text)]), html_page([hostile(records[2], text)])
    kinds, shown = structure(page)
    assert kinds == structure(markdown_page([hostile(records[2], "x")]))[0]
    assert "link_open" not in kinds
    assert plain(text) in shown  # harmless, and still what was written
    for either in (page, html):
        for character in "\u202e\u2066\u200f\x1b\x00\u0085\u2028":
            assert character not in either
    # GitHub links bare addresses too
    outside = "".join(line for line in page.splitlines() if not line.startswith(("recbench", "# 1.")))
    assert not re.search(r"(?<!\\)://|https?:/|www\.|\w@evil", outside)
    for live in ("<script", "<img", "<a "):
        assert live not in html


@pytest.mark.parametrize("ticks", [3, 4, 9])
def test_a_fence_is_longer_than_any_inside(records: list[RunRecord], ticks: int) -> None:
    record = records[0].model_copy(update={"command": f"recbench run --model '{'`' * ticks}'"})
    text = markdown_page([record])
    assert f"\n{'`' * (ticks + 1)}bash\n" in text


@pytest.mark.parametrize(
    ("command", "shown"),
    [
        ("recbench run --model sasrec --seeds 3", "recbench run --model sasrec --seeds 3"),
        ("recbench run; rm -rf /", "recbench 'run;' rm -rf /"),
        ("recbench run $(reboot) `reboot`", "recbench run '$(reboot)' '`reboot`'"),
        ("recbench run\nrm -rf /", "recbench run rm -rf /"),
        ("recbench run 'a\nb'", "recbench run 'a b'"),
        ("rm -rf /", "# the record holds no command of recbench"),
        ("recbench run 'open", "# the record holds no command of recbench"),
        ("", "# the record holds no command of recbench"),
    ],
)
def test_a_shown_command_runs_recbench_alone(records: list[RunRecord], command: str, shown: str) -> None:
    assert command_of(records[0].model_copy(update={"command": command})) == shown


def test_a_name_cannot_leave_its_comment(records: list[RunRecord]) -> None:
    record = records[0].model_copy(update={"labels": Labels(method="x\nrm -rf /")})
    assert "\n# 1. x rm -rf /\n" in markdown_page([record])
