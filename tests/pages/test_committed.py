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
from recbench.suites import Suite, load

BOARDS = Path(__file__).parents[2] / "leaderboards"
TABLES = sorted(BOARDS.glob("*/suites/*.json"))


def suite_of(table: Path) -> tuple[Suite, str]:
    """The suite of a file that maps cells to records, and the data set that its name ends with."""
    name = json.loads(table.read_text())["suite"]
    own = BOARDS / f"{name}.yaml"
    return load(str(own) if own.is_file() else name), table.stem.removeprefix(f"{name}-")


def cells_of(table: Path) -> dict[str, RunRecord]:
    """The committed records of a suite, by cell."""
    cells = json.loads(table.read_text())["cells"]
    return {cell: read(place_of(run, table.parents[1])) for cell, run in cells.items()}


def test_pages_are_generated_from_the_records() -> None:
    assert check(BOARDS / "records", BOARDS) == []


def test_popularity_over_all_test_windows() -> None:
    records = load_records(BOARDS / "records")
    whole = [r for r in records if r.labels.method == "popularity" and len(r.cases.users) == 8986]
    assert len(whole) == 1
    assert evaluate(whole[0].case_results())["NDCG@10"] == pytest.approx(0.0161, abs=0.00015)


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.stem)
def test_tables_are_generated_from_the_records(table: Path) -> None:
    (suite, dataset), records = suite_of(table), cells_of(table)
    assert not mismatches(suite, records)
    assert set(records) <= {cell.name for cell in suite.cells}  # the page names those that have not run
    assert len({seed.environment["recbench"] for record in records.values() for seed in record.seeds}) == 1
    page = BOARDS / f"{suite.name}.md" if dataset == "ml-100k" else BOARDS / f"{suite.name}-{dataset}.md"
    assert render(suite_content(suite, records), page, MARKERS) == page.read_text(encoding="utf-8")


def test_the_rows_of_a_page_are_of_one_version() -> None:
    for records in by_dataset(load_records(BOARDS / "records")).values():
        assert len({seed.environment["recbench"] for record in records for seed in record.seeds}) == 1


def test_a_record_is_committed_once() -> None:
    """Those of ``plugins`` and ``studies`` belong to pages of other versions."""
    seen = [path.name for name in ("records", "tables") for path in (BOARDS / name).glob("*.json")]
    assert len(seen) == len(set(seen))


def test_a_tables_record_is_found_next_to_it_or_among_the_rows(tmp_path: Path) -> None:
    rows, table = tmp_path / "records", tmp_path / "tables"
    for place in (rows / "both.json", rows / "row.json", table / "both.json", table / "own.json"):
        place.parent.mkdir(exist_ok=True)
        place.write_text("")
    places = {run: place_of(run, table).parent.name for run in ("both", "row", "own", "none")}
    assert places == {"both": "tables", "row": "records", "own": "tables", "none": "tables"}


@pytest.mark.parametrize("table", TABLES[:1])
def test_a_report_is_markdown_or_html_by_its_suffix(table: Path) -> None:
    blocks = suite_content(suite_of(table)[0], cells_of(table))
    html = render(blocks, Path("x.html"), MARKERS)
    text = render(blocks, Path("x.md"), MARKERS)
    assert html.startswith("<!doctype html>")
    tables = sum(isinstance(block, Table) for block in blocks)
    assert html.count("<table>") == text.count("\n| --- |") == tables >= 4
    assert html.count("<tr>") == sum(line.startswith("| ") for line in text.splitlines()) - tables  # less the rules
    with pytest.raises(UsageError, match=r"A page ends in \.md or \.html or \.tex, and x\.pdf does not"):
        render(blocks, Path("x.pdf"), MARKERS)


def test_a_suite_is_told_apart_from_one_whose_name_begins_alike(tmp_path: Path) -> None:
    """Suites identifiers and identifiers-amazon, both in studies; neither needs --dataset."""
    from click.testing import CliRunner

    from recbench.cli import cli

    for name, page in (("identifiers", "identifiers"), ("identifiers-amazon", "identifiers-amazon-book")):
        words = ["suite", "report", name, "--records", str(BOARDS / "studies"), "--out", str(tmp_path / f"{page}.md")]
        said = CliRunner().invoke(cli, words)
        assert said.exit_code == 0, said.output
        assert (tmp_path / f"{page}.md").read_text() == (BOARDS / f"{page}.md").read_text()
