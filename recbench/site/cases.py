"""Ten cases of a run: what somebody had seen, what came next, and the ten best that the run recommended."""

from __future__ import annotations

from recbench.results import RunRecord
from recbench.results.examples import chosen_cases
from recbench.site.html import Child, Html, el, folded, named
from recbench.types import PAD

SAID = (
    "Up to five hits and five misses of the first seed, the hits from the best rank to the worst: chosen to show both, "
    "not in proportion."
)
UNTITLED = (
    "This record holds no histories and titles: a licence forbids them, they were left out, or recbench 0.6 or older "
    "made it. Items are shown by their numbers."
)


def cases(record: RunRecord) -> Html | None:
    """The section; nothing for a record without lists."""
    seed = record.seeds[0]
    if seed.top is None:
        return el("section", el("h2", "Examples"), el("p", "This record is too old to hold lists.", class_="note"))
    kept = record.examples
    titles = kept.titles if kept else {}
    chosen = kept.cases if kept else chosen_cases(seed.ranks)
    entries = []
    for place, case in enumerate(chosen):
        target, rank = int(record.cases.target[case]), int(seed.ranks[case])
        history = kept.histories[place] if kept else tuple(int(i) for i in record.cases.last[case : case + 1])
        best = [int(item) for item in seed.top[case] if item != PAD]
        entries.append(
            _case(case, record, history, target, rank, best, titles, whole=kept is not None, first=not place)
        )
    note = SAID if kept else f"{SAID} {UNTITLED}"
    return el("section", el("h2", "Examples"), el("p", note, class_="note"), *entries)


def _case(
    case: int,
    record: RunRecord,
    history: tuple[int, ...],
    target: int,
    rank: int,
    best: list[int],
    titles: dict[str, str],
    whole: bool,
    first: bool,
) -> Html:
    said = f"rank {rank}" if rank else f"not among the first {record.depth}"
    summary = el(
        "span", el("b", _title(target, titles)), " ", el("span", said, class_="badge hit" if rank else "badge")
    )
    listed = [el("li", _title(item, titles), class_="hit" if item == target else None) for item in best]
    before: Child = (
        "History, oldest first" if whole else f"Last of {record.cases.history_length[case]} items of the history"
    )
    columns = el(
        "div",
        el("div", el("h3", before), el("ol", *(el("li", _title(item, titles)) for item in history))),
        el("div", el("h3", "Recommended"), el("ol", *listed)),
        class_="pair case",
    )
    return folded(summary, columns, open_=first)


def _title(item: int, titles: dict[str, str]) -> Html:
    return named(titles.get(str(item), f"item {item}"), 160)
