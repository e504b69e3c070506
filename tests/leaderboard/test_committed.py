"""The committed pages are what the committed records say, and popularity is where it has to be."""

from __future__ import annotations

from pathlib import Path

import pytest

from recbench.evaluation import evaluate
from recbench.leaderboard import check, load_records

BOARDS = Path(__file__).parents[2] / "leaderboards"


def test_pages_are_generated_from_the_records() -> None:
    assert check(BOARDS / "records", BOARDS) == []


def test_popularity_over_all_test_windows() -> None:
    records = load_records(BOARDS / "records")
    whole = [r for r in records if r.labels.method == "popularity" and len(r.cases.users) == 8986]
    assert len(whole) == 1
    assert evaluate(whole[0].case_results().ranks)["NDCG@10"] == pytest.approx(0.0161, abs=0.00015)
