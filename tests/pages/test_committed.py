"""The committed pages are what the committed records say, and popularity is where it has to be."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from recbench.evaluation import evaluate
from recbench.pages import check, load_records
from recbench.pages.suite import mismatches, suite_page
from recbench.results import read
from recbench.suites import load

BOARDS = Path(__file__).parents[2] / "leaderboards"


def test_pages_are_generated_from_the_records() -> None:
    assert check(BOARDS / "records", BOARDS) == []


def test_popularity_over_all_test_windows() -> None:
    records = load_records(BOARDS / "records")
    whole = [r for r in records if r.labels.method == "popularity" and len(r.cases.users) == 8986]
    assert len(whole) == 1
    assert evaluate(whole[0].case_results().ranks)["NDCG@10"] == pytest.approx(0.0161, abs=0.00015)


@pytest.mark.parametrize("name", ["table3", "table5", "table6"])
def test_tables_are_generated_from_the_records(name: str) -> None:
    import json

    suite = load(name)
    cells = json.loads((BOARDS / f"tables/suites/{name}-ml-100k.json").read_text())["cells"]
    records = {cell: read(BOARDS / f"tables/{run}.json") for cell, run in cells.items()}
    assert not mismatches(suite, records)
    assert set(cells) == {cell.name for cell in suite.cells}
    assert suite_page(suite, records) == (BOARDS / f"{name}.md").read_text(encoding="utf-8")


def test_a_tuned_row_says_what_was_tried() -> None:
    tuned = [r for r in load_records(BOARDS / "tables") if "tuning" in r.spec]
    assert len(tuned) == 3
    for record in tuned:
        trials = np.prod([len(values) for values in record.spec["tuning"]["grid"].values()])
        assert record.spec["tuning"]["trials"] == trials
