"""The committed pages are what the committed records say, and popularity is where it has to be."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from recbench.errors import UsageError
from recbench.evaluation import evaluate
from recbench.pages import by_dataset, check, load_records, place_of
from recbench.pages.blocks import Table
from recbench.pages.build import render
from recbench.pages.suite import MARKERS, mismatches, suite_content
from recbench.results import RunRecord, read
from recbench.suites import load

BOARDS = Path(__file__).parents[2] / "leaderboards"
SUFFIX = "-ml-100k"
TABLES = sorted(path.stem.removesuffix(SUFFIX) for path in (BOARDS / "tables/suites").glob(f"*{SUFFIX}.json"))


def cells_of(name: str) -> dict[str, RunRecord]:
    """The committed records of a suite, by cell."""
    cells = json.loads((BOARDS / f"tables/suites/{name}{SUFFIX}.json").read_text())["cells"]
    return {cell: read(place_of(run, BOARDS / "tables")) for cell, run in cells.items()}


def test_pages_are_generated_from_the_records() -> None:
    assert check(BOARDS / "records", BOARDS) == []


def test_popularity_over_all_test_windows() -> None:
    records = load_records(BOARDS / "records")
    whole = [r for r in records if r.labels.method == "popularity" and len(r.cases.users) == 8986]
    assert len(whole) == 1
    assert evaluate(whole[0].case_results())["NDCG@10"] == pytest.approx(0.0161, abs=0.00015)


@pytest.mark.parametrize("name", TABLES)
def test_tables_are_generated_from_the_records(name: str) -> None:
    suite, records = load(name), cells_of(name)
    assert not mismatches(suite, records)
    assert set(records) <= {cell.name for cell in suite.cells}  # the page names those that have not run
    page = BOARDS / f"{name}.md"
    assert render(suite_content(suite, records), page, MARKERS) == page.read_text(encoding="utf-8")


def test_the_rows_of_a_page_are_of_one_version() -> None:
    for records in by_dataset(load_records(BOARDS / "records")).values():
        assert len({seed.environment["recbench"] for record in records for seed in record.seeds}) == 1


def test_a_record_is_committed_once() -> None:
    seen = [path.name for name in ("records", "tables") for path in (BOARDS / name).glob("*.json")]
    assert len(seen) == len(set(seen))


def test_a_tables_record_is_found_next_to_it_or_among_the_rows(tmp_path: Path) -> None:
    rows, table = tmp_path / "records", tmp_path / "tables"
    for place in (rows / "both.json", rows / "row.json", table / "both.json", table / "own.json"):
        place.parent.mkdir(exist_ok=True)
        place.write_text("")
    places = {run: place_of(run, table).parent.name for run in ("both", "row", "own", "none")}
    assert places == {"both": "tables", "row": "records", "own": "tables", "none": "tables"}


@pytest.mark.parametrize("name", TABLES[:1])
def test_a_report_is_markdown_or_html_by_its_suffix(name: str) -> None:
    blocks = suite_content(load(name), cells_of(name))
    html = render(blocks, Path("x.html"), MARKERS)
    text = render(blocks, Path("x.md"), MARKERS)
    assert html.startswith("<!doctype html>")
    tables = sum(isinstance(block, Table) for block in blocks)
    assert html.count("<table>") == text.count("\n| --- |") == tables >= 4
    assert html.count("<tr>") == sum(line.startswith("| ") for line in text.splitlines()) - tables  # less the rules
    with pytest.raises(UsageError, match=r"A page ends in \.md or \.html or \.tex, and x\.pdf does not"):
        render(blocks, Path("x.pdf"), MARKERS)
