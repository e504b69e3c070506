"""Accuracy against training time (Figure 7 of the MSL paper) and the time to build the trie (its Table 7)."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import Any

from recbench.evaluation import metric
from recbench.pages.blocks import NONE, Block, Heading, Paragraph, Table
from recbench.pages.rows import METRIC, peak_memory, seconds_of, spread
from recbench.results import RunRecord

Named = Sequence[tuple[str, RunRecord]]


def accuracy_and_time(named: Named, title: str = "") -> dict[str, Any]:
    """What Figure 7 shows of the rows that have their own language model, as plain JSON.

    Args:
        named: what to call each run, and its record.
        title: what was run.

    Returns:
        ``title``, ``metric``, and ``rows``: for each run its ``name``, the training ``seconds`` of each seed (what it
        needs trained first included) and the ``values`` of the metric by seed. Runs without recorded steps are left
        out.
    """
    rows = []
    for name, record in named:
        seconds = [seed.seconds("training") for seed in record.seeds]
        if "llm" in record.spec["recommender"] and None not in seconds:
            values = metric(METRIC).by_seed(record.case_results()).tolist()
            rows.append({"name": name, "seconds": seconds, "values": values})
    return {"title": title, "metric": METRIC, "rows": rows}


def efficiency(named: Named) -> list[Block]:
    """The same as a table, and the seconds that each trie took; nothing without text models."""
    rows = accuracy_and_time(named)["rows"]
    blocks: list[Block] = []
    if len(rows) > 1:
        blocks += [Heading(2, "Accuracy and training time"), _times(rows, dict(named)), Paragraph(TIMES)]
    if tries := trie_times([record for _, record in named]):
        head = ("data set", "language model", "items written as", "items", "tries", "seconds to build one")
        blocks += [Heading(2, "Trie"), Table(head, tuple(tries), words=3), Paragraph(TRIE)]
    return blocks


TIMES = (
    "Figure 7 of the MSL paper as a table: median wall clock of a seed's training steps, with validation and with what "
    "is trained first (the reference of S-DPO, collaborative models). A step that several rows share counts in full in "
    "each. Rows are comparable in time where the machine was equally busy, and in efficiency where they saw equally "
    "many windows. Decoding ranks the test cases. Tokens of an item are counted without the one that ends it; a choice "
    "is a token, the end included, where more than one is valid."
)
TRIE = "Table 7 of the MSL paper (0.17 to 0.81 s on its data sets); here the tokenising of all names is included."


def _written(record: RunRecord, name: str) -> str:
    """What training measured of the catalogue's names, as a mean over seeds."""
    values = [seed.watched[name] for seed in record.seeds if name in seed.watched]
    return f"{statistics.fmean(values):.1f}" if values else NONE


def _times(rows: Sequence[dict[str, Any]], records: dict[str, RunRecord]) -> Table:
    typical = {row["name"]: statistics.median(row["seconds"]) for row in rows}
    fastest = min(typical.values())
    table = []
    for row in rows:
        name, record = row["name"], records[row["name"]]
        value, sd = spread(metric(METRIC).by_seed(record.case_results()))
        decoding, memory = seconds_of(record, "decoding"), peak_memory(record)
        table.append(
            (
                name,
                *(record.budget.get(key, NONE) for key in ("training windows", "epochs", "before")),
                *(_written(record, key) for key in ("tokens_an_item", "choices_an_item")),
                f"{typical[name]:,.0f}",
                f"{typical[name] / fastest:.1f}" if fastest else NONE,
                NONE if decoding is None else f"{decoding:,.0f}",
                NONE if memory is None else f"{memory / 2**30:.1f}",
                f"{value:.4f}" + (f" ± {sd:.4f}" if sd is not None else ""),
            )
        )
    head = ("cell", "training windows", "epochs", "trained before", "tokens an item", "choices an item")
    costs = ("training seconds per seed", "times the fastest", "decoding seconds", "peak memory (GiB)", METRIC)
    return Table(head + costs, tuple(table), words=4)


def trie_times(records: Sequence[RunRecord]) -> list[tuple[str, ...]]:
    """Data set, language model, identifier, items, and number and mean seconds of the distinct tries of these runs."""
    found: dict[tuple[str, str, str, str], dict[str, float]] = {}
    for record in records:
        llm, items = record.language_model, len(record.cases.item_popularity)
        both = (record.spec["recommender"], record.spec["recommender"].get("teacher") or {})
        written = next((one["identifier"]["name"] for one in both if one.get("identifier")), "title")
        kind = (record.dataset.name, str(llm["name"]) if llm else NONE, written, f"{items:,}" if items else NONE)
        for step in (step for seed in record.seeds for step in seed.steps if step.kind == "trie"):
            found.setdefault(kind, {})[step.folder] = step.seconds
    return [
        (*kind, str(len(times)), f"{sum(times.values()) / len(times):.2f}") for kind, times in sorted(found.items())
    ]
