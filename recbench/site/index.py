"""The first page: every data set, and who is first on it."""

from __future__ import annotations

import math

from recbench.pages.blocks import figure
from recbench.pages.compare import counted
from recbench.pages.costs import name_of
from recbench.pages.rows import METRIC, Section
from recbench.site.cards import Card
from recbench.site.dataset import verdict
from recbench.site.html import Child, Html, el, join, named
from recbench.site.plots import strips
from recbench.site.views import View

DRAWN = 12


def index_page(datasets: list[tuple[str, str, Section, View, Card | None, int]]) -> Html:
    """What the page shows.

    Args:
        datasets: for each its name, label, the test set with the most rows, its view, its card, its number of runs.
    """
    runs = sum(entry[-1] for entry in datasets)
    lead = (
        "LLM-based sequential recommendation under one protocol: any backbone, loss and decoder on the same test "
        "cases. Rows share a place until a test over users, corrected for all pairs, tells them apart."
    )
    return join(
        el("h1", "Leaderboards"),
        el("p", lead, class_="lead"),
        el("p", f"{counted(len(datasets), 'data set')}, {counted(runs, 'run')}.", class_="quiet"),
        el("div", *(_entry(*entry) for entry in datasets), class_="entries"),
    )


def _entry(name: str, label: str, section: Section, view: View, card: Card | None, runs: int) -> Html:
    facts = [f"{text} {what}" for what, text in (card.sizes if card else {}).items() if what in ("users", "items")]
    facts += [counted(section.n_cases, "test case"), counted(runs, "run")]
    if not math.isnan(section.resolution):
        facts.append(f"resolution {figure(section.resolution)}")
    first = [row for row in section.rows if row.place == 1]
    leaders: list[Child] = [
        el("li", named(name_of(row), 60), " ", el("b", figure(row.metrics[METRIC][0]))) for row in first[:3]
    ]
    if len(first) > 3:
        leaders.append(el("li", f"and {len(first) - 3} more", class_="quiet"))
    return el(
        "article",
        el(
            "div",
            el("h2", el("a", named(label), href=f"data-sets/{name}.html")),
            el("p", named(card.title, 120), class_="quiet") if card and card.title else None,
            el("p", " · ".join(facts), class_="quiet"),
            verdict(section),
            el("p", f"First place on {METRIC}", class_="over"),
            el("ol", *leaders, class_="leaders"),
        ),
        _strips(section, view),
        class_="entry",
    )


def _strips(section: Section, view: View) -> Html | None:
    rows = []
    for row, seen in zip(section.rows[:DRAWN], view.rows, strict=False):
        if seen is not None and not math.isnan(seen.interval[0]):
            rows.append((seen.interval[0], row.metrics[METRIC][0], seen.interval[1], row.place == 1))
    if not rows:
        return None
    said = f"{counted(len(rows), 'row')} from the first, with 95 % intervals; those in first place are coloured."
    return strips(f"{METRIC} of the rows", said, rows)
