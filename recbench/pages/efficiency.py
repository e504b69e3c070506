"""Accuracy against training time (Figure 7 of the MSL paper) and the time to build the trie (its Table 7)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from recbench.evaluation import metric
from recbench.pages.blocks import NONE, Block, Heading, Paragraph, Table
from recbench.pages.code import Named
from recbench.pages.rows import METRIC, peak_memory, seconds_of, spread
from recbench.pages.training import written
from recbench.results import RunRecord

BUDGET = {"training windows": "training windows", "epochs": "epochs", "before": "trained before"}


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
    """What each trained row took, next to its accuracy, and the seconds of each trie; nothing of a single row."""
    trained = [(name, record) for name, record in named if any(seed.validation for seed in record.seeds)]
    known = [(name, record) for name, record in trained if seconds_of(record, "training") is not None]
    blocks: list[Block] = []
    if len(known) > 1:
        blocks += [Heading(2, "Accuracy and training time"), _costs(known), Paragraph(TIMES)]
    if tries := trie_times([record for _, record in named]):
        head = ("data set", "language model", "items written as", "items", "tries", "seconds to build one")
        blocks += [Heading(2, "Trie"), Table(head, tuple(tries), words=3), Paragraph(TRIE)]
    return blocks


TIMES = (
    "Figure 7 of the MSL paper as a table: median wall clock of a seed's training steps, with validation and with what "
    "is trained first (the reference of S-DPO, collaborative models). A step that several rows share counts in full in "
    "each. Rows are comparable in time where the machine was equally busy, and in efficiency where they saw equally "
    "many windows. Decoding ranks the test cases. Memory is what the largest of a row's steps used. In records of "
    "versions before 0.11.0, it is what the whole process had used until then, for other rows too. Tokens of an item "
    "are counted without the one that ends it. A choice is a token, the end included, where more than one is valid."
)
TRIE = "Table 7 of the MSL paper (0.17 to 0.81 s on its data sets); here the tokenising of all names is included."


def _costs(named: Named) -> Table:
    """A line for each row; a column that is empty in all of them is left out."""
    typical = {name: seconds_of(record, "training") or 0.0 for name, record in named}
    fastest = min(typical.values())
    columns: dict[str, list[str]] = {}

    def put(column: str, value: float | None, form: str) -> None:
        columns.setdefault(column, []).append(NONE if value is None else format(value, form))

    for name, record in named:
        columns.setdefault("cell", []).append(name)
        for key, column in BUDGET.items():
            columns.setdefault(column, []).append(record.budget.get(key, NONE))
        tokens, choices = written(record)
        put("tokens an item", tokens, ".1f")
        put("choices an item", choices, ".1f")
        put("training seconds per seed", typical[name], ",.0f")
        put("times the fastest", typical[name] / fastest if fastest else None, ".1f")
        put("decoding seconds", seconds_of(record, "decoding"), ",.1f")
        memory = peak_memory(record)
        put("peak memory (GiB)", None if memory is None else memory / 2**30, ".1f")
        value, sd = spread(metric(METRIC).by_seed(record.case_results()))
        columns.setdefault(METRIC, []).append(f"{value:.4f}" + (f" ± {sd:.4f}" if sd is not None else ""))
    shown = {column: values for column, values in columns.items() if set(values) != {NONE}}
    words = 1 + sum(column in shown for column in BUDGET.values())
    return Table(tuple(shown), tuple(zip(*shown.values(), strict=True)), words=words)


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
