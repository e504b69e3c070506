"""Records for pages: runs whose lists hold the target as often as a test asks."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from made_records import ITEMS, record_of, results
from recbench.results import Labels, RunRecord, write


def page_record(
    method: str,
    hits: float,
    seeds: int = 1,
    llm: str = "",
    dataset: str = "ml-100k",
    limit: int = 400,
    users: int = 40,
    depth: int = 10,
    code: str = "ab12cd34ef",
) -> RunRecord:
    """A run whose lists hold the target as often as ``hits`` says."""
    who = np.sort(np.random.default_rng(0).integers(users, size=400))[:limit]
    target = np.arange(len(who)) % ITEMS
    found = results(
        [sum(map(ord, method)), seeds],
        target,
        hits,
        seeds,
        (
            ("read the files", "data", 9.0),
            ("a helper", "training", 20.0),
            ("the model", "training", 100.0),
            ("lists", "decoding", 7.0),
        ),
        invalid_share=0.125 if llm else None,
        environment={"device": "cpu", "recbench": "0.1.0", "git_commit": "0123456789ab", "git_dirty": False},
    )
    language_model = {"llm": {"name": llm, "options": {}}} if llm else {}
    return record_of(
        f"{dataset}-{method}-{limit}",
        dataset,
        {"backbone": {"name": method, "options": {}}, **language_model},
        who,
        target,
        found,
        depth=depth,
        code=code,
        plugin="beam",
        dataset_label="MovieLens 100K",
        labels=Labels(method=method, loss="msl" if llm else "", decoder="constrained_beam", llm=llm),
        budget={"training windows": "10,000", "epochs": "3"},
        policies={"namesakes": "numbered", "history items": "may be recommended" if llm else "removed | kept"},
    )


def folder_of(path: Path, records: list[RunRecord]) -> Path:
    for record in records:
        write(record, path / f"{record.run}.json")
    return path
