"""The table of a test set: every row of the page, its numbers, and where the script draws intervals."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from recbench.evaluation import Metric, metrics
from recbench.pages.blocks import NONE, figure
from recbench.pages.compare import Tested, interval, p_text
from recbench.pages.costs import name_of
from recbench.pages.rows import METRIC, Row, Section
from recbench.pages.training import LATE, label
from recbench.site.html import Child, Html, el, hidden, join, named, scrolling, short
from recbench.site.packed import rounded

BEST = "vs best"
WORDS = {"▲": "better", "▼": "worse", "=": "no difference shown", NONE: "the row itself"}


@dataclass(frozen=True)
class Column:
    """A column of the table.

    Attributes:
        key: its name for the script; ``m:NAME`` is a metric, which the script shows for parts of the test set too.
        head: what its header says.
        cell: a row's cell, and the value that it is sorted by.
        number: aligned as a number, and sorted from the highest.
        shown: before anybody has chosen.
        note: what the header means, for the pointer.
        low: sorted from the lowest, although it is a number.
    """

    key: str
    head: str
    cell: Callable[[Row], tuple[Child, float | str | None]]
    number: bool = True
    shown: bool = True
    note: str = ""
    low: bool = False


def columns(section: Section) -> list[Column]:
    """All columns that some row has something to say in."""
    rows = section.rows
    found = [
        Column("rank", "#", lambda row: (str(row.rank), row.rank), low=True),
        Column("method", "Method", _method, number=False),
        Column("loss", "Loss", lambda row: _word(row.record.labels.loss), number=False),
        Column("decoder", "Decoder", lambda row: _word(row.record.labels.decoder), number=False),
        Column(
            "llm",
            "LM",
            lambda row: _word(row.record.labels.llm),
            number=False,
            shown=_several(rows),
            note="language model",
        ),
        Column(
            "place", "Place", lambda row: (el("span", str(row.place), class_="place"), row.place), low=True, note=PLACE
        ),
    ]
    shown = [m for m in metrics() if any(m.name in row.metrics for row in rows)]
    shown.sort(key=lambda m: m.name != METRIC)
    for m in shown:
        found.append(_metric(m))
        if m.name == METRIC:
            found.append(Column(BEST, "Against the best", _against, shown=len(rows) > 1, note=AGAINST))
            found.append(Column("user", "by user", _by_user, shown=False, note=f"{METRIC} as the mean over users"))
    if section.best_traditional not in (None, rows[0]):
        found.append(Column("trad", "vs traditional", _traditional, number=False, shown=False, note=TRADITIONAL))
    found.append(Column("seeds", "Seeds", lambda row: (str(len(row.record.seeds)), len(row.record.seeds))))
    found.append(
        Column("training", "Training", lambda row: seconds(row.training), low=True, note="median seconds per seed")
    )
    found.append(
        Column(
            "decoding",
            "Decoding",
            lambda row: seconds(row.decoding),
            shown=False,
            low=True,
            note="median seconds per seed",
        )
    )
    found.append(Column("memory", "Memory", memory, shown=False, low=True, note="largest resident set over seeds"))
    if any(row.invalid_share is not None for row in rows):
        found.append(
            Column("invalid", "Invalid", _invalid, shown=False, low=True, note="generated titles not in the catalogue")
        )
    return found


PLACE = "rows that share a place are not shown to differ"
AGAINST = "NDCG@10 minus that of the best row, with its 95 % interval over users and seeds"
TRADITIONAL = "against the best row without a language model"


def board(section: Section, name: str) -> Html:
    """The table; ``name`` is its caption."""
    shown = columns(section)
    head = el("tr", _choose_head(), *(_head(column) for column in shown))
    body = Html("\n".join(_line(row, shown, section) for row in section.rows))
    inner = el("table", el("caption", name, class_="vh"), el("thead", head), el("tbody", body), class_="board")
    return scrolling(inner, name)


def chooser(section: Section) -> Html:
    """A box to tick for each column."""
    boxes = [
        el("label", el("input", type="checkbox", value=column.key, checked=column.shown), column.head)
        for column in columns(section)
        if column.key not in ("rank", "method")
    ]
    return el("details", el("summary", "Columns"), el("div", *boxes, class_="boxes"), class_="columns")


def _choose_head() -> Html:
    return el("th", hidden("Compare"), scope="col", class_="pick js")


def _head(column: Column) -> Html:
    arrow = el("span", class_="arrow", aria_hidden="true")
    button = el("button", column.head, arrow, type="button", title=column.note or None)
    kind = _kind(column)
    first = "ascending" if column.low or not column.number else "descending"
    sort = "ascending" if column.key == "rank" else None
    return el(
        "th",
        button,
        scope="col",
        class_=kind,
        data_c=column.key,
        data_first=first,
        hidden=not column.shown,
        aria_sort=sort,
    )


def _line(row: Row, shown: list[Column], section: Section) -> Html:
    spec = row.record.spec["recommender"]
    box = el("input", type="checkbox", class_="js", aria_label=f"Compare row {row.rank}, {short(name_of(row))}")
    cells = [el("td", box if len(section.rows) > 1 else None, class_="pick js")]
    for column in shown:
        child, value = column.cell(row)
        kind = _kind(column)
        data = None if value is None else f"{value:.6g}" if isinstance(value, float) else value
        name, scope = ("th", "row") if column.key == "method" else ("td", None)
        cells.append(el(name, child, scope=scope, class_=kind, data_v=data, hidden=not column.shown))
    names = {part: spec.get(part, {}).get("name", "") for part in ("backbone", "loss", "decoder")}
    opens = row.rank == row.place and row.rank > 1
    return el(
        "tr",
        *cells,
        data_row=row.rank,
        data_backbone=names["backbone"],
        data_loss=names["loss"],
        data_decoder=names["decoder"],
        class_="opens" if opens else None,
    )


def _kind(column: Column) -> str:
    """``w`` for words, ``n`` for numbers, and ``n bars`` where the script draws intervals."""
    return "w" if not column.number else "n bars" if column.key in (f"m:{METRIC}", BEST) else "n"


def address(run: str, up: str = "") -> str:
    """A run's page, from the root or from ``up``."""
    return f"{up}runs/{quote(run)}.html"


def _method(row: Row) -> tuple[Child, str]:
    said = label(row.record.labels.method, row.record)
    late = said.endswith(LATE)
    note = el("abbr", LATE, title="the best epoch was the last: more epochs might help") if late else None
    name = named(said.removesuffix(LATE).strip(), 60)
    return join(el("a", name, href=address(row.record.run, "../")), *([" ", note] if note else [])), short(said).lower()


def short_name(row: Row) -> str:
    """Method and loss."""
    labels = row.record.labels
    return short(" + ".join(part for part in (labels.method, labels.loss) if part))


def _word(text: str) -> tuple[Child, str]:
    return (named(text, 48) if text else NONE), short(text).lower()


def _several(rows: tuple[Row, ...]) -> bool:
    return len({row.record.labels.llm for row in rows} - {""}) > 1


def _metric(m: Metric) -> Column:
    def cell(row: Row) -> tuple[Child, float | None]:
        found = row.metrics.get(m.name)
        return (NONE, None) if found is None else (value_with_spread(*found), found[0])

    shown = m.name in (METRIC, "HR@10")
    note = (
        "bar: 95 % interval of the row's own mean over users and seeds; dots: seeds"
        if m.name == METRIC
        else m.plugin.summary
    )
    return Column(f"m:{m.name}", m.name, cell, shown=shown, note=note)


def value_with_spread(mean: float, sd: float | None) -> Html:
    """``0.0634 ±0.0014``."""
    return join(el("b", figure(mean)), el("small", "" if sd is None else f"±{figure(sd)}"))


def _by_user(row: Row) -> tuple[Child, float]:
    return figure(row.by_user), row.by_user


def mark_of(tested: Tested | None) -> str:
    """``▲``, ``▼``, ``=``, or a dash for nothing to compare with."""
    if tested is None:
        return NONE
    if not tested.differs:
        return "="
    return "▲" if tested.comparison.difference > 0 else "▼"


def shown_mark(tested: Tested | None) -> Html:
    """A mark, with words for those who listen."""
    mark = mark_of(tested)
    kind = {"▲": "up", "▼": "down"}.get(mark, "even")
    return el("span", el("span", mark, aria_hidden="true"), hidden(WORDS[mark]), class_=f"mark {kind}")


def _against(row: Row) -> tuple[Child, float]:
    if row.best is None:
        return el("span", "best", class_="quiet best"), 0.0
    c = row.best.comparison
    said = f"95 %: {interval(c.interval_two_level, NONE)}, p (Holm) {p_text(row.best.p_holm)}"
    value = el("b", f"{c.difference:+.4f}".replace("-", "−"), title=said)
    return join(value, " ", shown_mark(row.best), hidden(said)), c.difference


def _traditional(row: Row) -> tuple[Child, str]:
    return shown_mark(row.traditional), mark_of(row.traditional)


def seconds(value: float | None) -> tuple[Child, float | None]:
    """Seconds as a cell."""
    return (NONE, None) if value is None else (f"{value:,.0f} s", value)


def memory(row: Row) -> tuple[Child, int | None]:
    """The largest resident set as a cell."""
    return (NONE, None) if row.peak_memory is None else (f"{row.peak_memory / 2**30:.1f} GiB", row.peak_memory)


def _invalid(row: Row) -> tuple[Child, float | None]:
    return (NONE, None) if row.invalid_share is None else (f"{row.invalid_share:.1%}", row.invalid_share)


def against_best(section: Section) -> list[list[float | None] | None]:
    """For each row its difference from the best one and the interval; None for that row itself."""
    return [
        None
        if row.best is None or math.isnan(row.best.comparison.interval_two_level[0])
        else [
            rounded(row.best.comparison.difference),
            *(rounded(end) for end in row.best.comparison.interval_two_level),
        ]
        for row in section.rows
    ]


def marks_of_pairs(section: Section) -> str:
    """A character for each pair of rows, the first before all later ones: ``>``, ``<`` or ``=``."""
    n = len(section.rows)
    signs: dict[str, str] = {"▲": ">", "▼": "<", "=": "="}
    return "".join(signs[mark_of(section.tests[i, j])] for i in range(n) for j in range(i + 1, n))


def plain(section: Section, whole: Any, file: str) -> dict[str, Any]:
    """What the page's script needs from the beginning.

    Args:
        section: the test set.
        whole: the view of all cases.
        file: where the rest is, from the page.
    """
    return {
        "file": file,
        "users": section.n_users,
        "cases": section.n_cases,
        "pairs": section.pairs,
        "view": whole.plain(),
        "best": against_best(section),
        "marks": marks_of_pairs(section),
        "runs": [row.record.run for row in section.rows],
        "names": [short(name_of(row)) for row in section.rows],
        "short": [short_name(row) for row in section.rows],
        "values": [f"../data/values/{quote(row.record.run)}.js" for row in section.rows],
    }
