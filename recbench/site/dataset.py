"""The page of a data set: what its rows show, the table, the plots, and how to read them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from recbench.evaluation import metric
from recbench.pages.blocks import figure
from recbench.pages.compare import counted
from recbench.pages.costs import name_of
from recbench.pages.dataset import READING
from recbench.pages.rows import ALIKE, METRIC, Row, Section
from recbench.pages.training import footnote
from recbench.results import RunRecord
from recbench.site import board
from recbench.site.cards import Card
from recbench.site.html import Child, Html, el, folded, join, named, short, table
from recbench.site.packed import base64_of, embedded
from recbench.site.plots import Point, scatter
from recbench.site.views import View
from recbench.stats.ranking import SEEDS


def dataset_page(
    records: Sequence[RunRecord], found: Sequence[tuple[Section, View, list[View]]], card: Card | None
) -> Html:
    """What the page shows.

    Args:
        records: all of the data set.
        found: its test sets, the one with the most rows first, each with the view of all cases and of its parts.
        card: what is known of the data, if it was audited.
    """
    name = records[0].dataset.name
    several = len(found) > 1
    parts: list[Child] = [
        el("p", "Data set", class_="over"),
        el("h1", named(records[0].dataset.label)),
        el("p", named(card.title, 200), class_="lead") if card and card.title else None,
        _facts(found[0][0], card),
    ]
    if several:
        links = [el("a", _called(s), href=f"#test-{i}") for i, (s, _, _) in enumerate(found, 1)]
        parts.append(el("nav", "Test sets: ", *links, aria_label="Test sets", class_="jump"))
    for number, (section, view, pieces) in enumerate(found, 1):
        parts.append(_section(section, view, pieces, number, file_of(name, number), several))
    parts.append(_data(records, card))
    return join(*parts)


def file_of(dataset: str, number: int) -> str:
    """Where the rest of a test set's numbers is, from the site's root."""
    return f"data/{dataset}-{number}.js"


def rest(section: Section, pieces: list[View]) -> dict[str, Any]:
    """The numbers that a page loads on demand: parts of the test set, and every pair's test."""
    n = len(section.rows)
    tests = [section.tests[i, j] for i in range(n) for j in range(i + 1, n)]
    numbers = [(t.comparison.p_two_level, t.p_holm, *t.comparison.interval_two_level) for t in tests]
    return {
        "parts": [piece.plain() for piece in pieces],
        "tests": base64_of(np.array(numbers, dtype=np.float64).ravel(), "<f4"),
        "counts": base64_of(section.sums.counts, "<f8"),
    }


def values_of(section: Section, row: int) -> str:
    """A row's summed NDCG@10 of each user, averaged over seeds: what the browser compares."""
    return base64_of(section.sums.averaged[:, row], "<f8")


def _called(section: Section) -> str:
    cases = counted(section.n_cases, "case")
    return f"{cases} ({short(section.label)})" if section.label else cases


def _facts(section: Section, card: Card | None) -> Html:
    facts = [(text, name) for name, text in (card.sizes if card else {}).items()]
    facts += [(f"{section.n_cases:,}", "test cases"), (f"{section.n_users:,}", "test users")]
    facts.append((f"{len(section.rows):,}", "rows" if len(section.rows) != 1 else "row"))
    if not math.isnan(section.resolution):
        facts.append((figure(section.resolution), "resolution"))
    return el("dl", *(el("div", el("dt", name), el("dd", text)) for text, name in facts), class_="facts")


def _section(section: Section, view: View, pieces: list[View], number: int, file: str, several: bool) -> Html:
    title = f"Test set: {_called(section)}" if several else "Leaderboard"
    one = len(section.rows) == 1
    return el(
        "section",
        el("h2", title),
        verdict(section),
        _tools(section, pieces),
        board.board(section, f"{METRIC} of every row, {_called(section)}"),
        el("p", class_="count js", aria_live="polite"),
        _late(section),
        None if one else _dock(),
        None if one else _plots(section),
        _reading(section, pieces),
        embedded(board.plain(section, view, f"../{file}"), "board-data"),
        id=f"test-{number}",
        class_="testset",
    )


def verdict(section: Section) -> Html:
    """What the order of the rows is worth, in two sentences."""
    first = [row for row in section.rows if row.place == 1]
    if len(section.rows) == 1:
        return el("p", named(name_of(first[0])), " is the only row here yet.", class_="verdict")
    if section.alike:
        return el("p", ALIKE, class_="verdict")
    if len(first) == 1:
        said: list[Child] = ["Row 1, ", named(name_of(first[0])), ", is alone in first place."]
    else:
        said = [el("strong", f"Rows 1 to {len(first)} share first place"), ": no difference between them is shown."]
    kept = section.stability
    shares = [f"{kept.users:.0%} of random halves of the users"] if kept.users is not None else []
    shares += [f"{kept.seeds:.0%} of draws of the seeds"] if kept.seeds is not None else []
    stays = f" Row 1 stays first in {' and '.join(shares)}." if shares else ""
    sharp = (
        ""
        if math.isnan(section.resolution)
        else f" Differences below {section.resolution:.4f} are finer than this test set can be expected to show."
    )
    return el("p", *said, stays, sharp, class_="verdict")


def _tools(section: Section, pieces: list[View]) -> Html | None:
    if len(section.rows) == 1 and not pieces:
        return None
    found: list[Child] = []
    if pieces:
        names = [("all", section.n_cases), *((piece.name, piece.cases) for piece in pieces)]
        buttons = [
            el(
                "button",
                name,
                el("small", f"{n:,}"),
                type="button",
                aria_pressed="true" if i == 0 else "false",
                data_part=i,
            )
            for i, (name, n) in enumerate(names)
        ]
        found.append(el("div", *buttons, role="group", aria_label="Part of the test set", class_="parts"))
    if len(section.rows) > 1:
        search = el(
            "input", type="search", placeholder="Filter rows", aria_label="Filter rows by text", class_="filter"
        )
        specs = [row.record.spec["recommender"] for row in section.rows]
        chosen = [
            _select(name, sorted({str(s[name]["name"]) for s in specs if name in s}))
            for name in ("backbone", "loss", "decoder")
        ]
        found.append(el("div", search, *chosen, board.chooser(section), class_="filters"))
    return el("div", *found, class_="tools js")


def _select(name: str, values: list[str]) -> Html | None:
    if len(values) < 2:
        return None
    plural = {"loss": "losses"}.get(name, f"{name}s")
    options = [
        el("option", f"all {plural}", value=""),
        *(el("option", short(value, 60), value=value) for value in values),
    ]
    return el("select", *options, aria_label=f"Only this {name}", data_of=name)


def _late(section: Section) -> Html | None:
    said = footnote([(f"row {row.rank}", row.record) for row in section.rows])
    return el("p", said, class_="note") if said else None


def _dock() -> Html:
    hint = el("p", "Tick two rows to compare them, user by user, in your browser.", class_="hint js")
    return join(
        hint, el("div", class_="dock js", role="region", aria_label="Comparison", aria_live="polite", hidden=True)
    )


def _plots(section: Section) -> Html:
    return el("div", _pareto(section), _matrix(section), class_="pair")


def _pareto(section: Section) -> Html:
    timed = [row for row in section.rows if row.training is not None]
    if len(timed) < 2:
        return el(
            "figure", el("h3", "Accuracy and training time"), el("p", "Fewer than two rows have a training time.")
        )
    chosen = metric(METRIC)
    points = []
    for row in timed:
        by_seed = chosen.by_seed(row.record.case_results()).tolist()
        mean, labels = row.metrics[METRIC][0], row.record.labels
        said = f"{row.rank}. {short(name_of(row))}: {mean:.4f}, {row.training:,.0f} s"
        points.append(
            Point(
                row.training or 0.0,
                mean,
                min(by_seed),
                max(by_seed),
                short(labels.loss, 60) or "no loss",
                str(row.rank),
                said,
            )
        )
    best = min(timed, key=lambda row: row.training or 0.0)
    drawn = scatter(
        f"{METRIC} against training seconds",
        f"The fastest row is {best.rank}, {short(name_of(best))}; row 1 takes {_time(section.rows[0])}. "
        "The table has every number.",
        points,
        "training, seconds per seed (logarithmic)",
        METRIC,
    )
    note = (
        "Numbers are ranks, colours losses, lines the range over seeds. The dashed steps join rows that no faster row "
        "reaches. A point with an arrow lies beyond the axes. Times are comparable only between similar machines."
    )
    return el("figure", el("h3", "Accuracy and training time"), drawn, el("figcaption", note))


def _time(row: Row) -> str:
    return "an unknown time" if row.training is None else f"{row.training:,.0f} s"


def _matrix(section: Section) -> Html:
    note = (
        f"Each cell is the {METRIC} of its row minus that of its column, in units of 0.0001. ▲ and ▼ mark "
        f"differences that are shown: p below 0.05 after Holm over all {counted(section.pairs, 'pair')}, and an "
        "interval over users and seeds without 0. Click a cell to compare its two rows."
    )
    box = el("div", el("noscript", "The matrix needs JavaScript."), class_="matrix js")
    return el("figure", el("h3", "Every pair of rows"), box, el("figcaption", note))


def _reading(section: Section, pieces: list[View]) -> Html:
    items = [
        READING,
        "Place: going down, a row shares the place of the group above it unless it differs from a row in it; then it "
        "opens the next. No two rows that share a place are shown to differ; rows with different places may "
        "still not differ.",
        f"The bar in {METRIC} is the 95 % interval of the row's own mean over users and seeds, and its dots are seeds. "
        "Rows share their users, so two overlapping bars say nothing about their difference: read the column Against "
        "the best, and the matrix. An arrow stands for a bar far outside the others' scale.",
        f"Tests: two-sided permutation of whole users ({section.n_users:,}) for these seeds, and a t-test over users "
        f"and seeds; Holm corrects the larger p over all {counted(section.pairs, 'pair')}. They are about all cases; "
        "for parts of the test set the table shows numbers without a test.",
    ]
    if not math.isnan(section.resolution):
        items.append(
            f"Resolution: the smallest true difference in {METRIC} that this test set shows with 80 % power between "
            f"two typical rows with {SEEDS} seeds each, in one planned comparison."
        )
    items += [f"{name}: {summary}." for name, summary in section.slices.items()]
    policies = sorted(
        {f"{short(name)}: {short(text)}" for row in section.rows for name, text in row.record.policies.items()}
    )
    items += [f"Protocol: {'; '.join(policies)}."] if policies else []
    return folded("How to read this", el("ul", *(el("li", item) for item in items)))


def _data(records: Sequence[RunRecord], card: Card | None) -> Html:
    sources = sorted({(name, digest) for r in records for name, digest in r.dataset.sources.items()})
    parts: list[Child] = [el("h2", "The data")]
    if card:
        if card.picture:
            parts.append(
                el(
                    "img",
                    src=f"../data/{card.picture.name}",
                    alt="Popularity of the items, and cold targets over time",
                    class_="card",
                    loading="lazy",
                )
            )
        rows: list[list[Child]] = [[name, named(text, 600)] for name, text in card.facts.items()]
        parts.append(folded("Preparation", table(["what", "value"], rows, "Preparation", words=2)))
    if sources:
        parts.append(
            folded(
                "Checksums",
                table(
                    ["file", "sha256"],
                    [[named(name), el("code", digest)] for name, digest in sources],
                    "Files",
                    words=2,
                ),
            )
        )
    return el("section", *parts) if len(parts) > 1 else Html("")
