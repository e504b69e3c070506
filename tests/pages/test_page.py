"""The page: a pure function of the records."""

from __future__ import annotations

import itertools
import re
from typing import Any

import numpy as np
import pytest

from made_pages import page_record
from recbench.errors import UsageError
from recbench.evaluation import metric
from recbench.pages import compare_records, html_page, markdown_page, rows_of
from recbench.pages.blocks import Paragraph, Table, plain
from recbench.pages.dataset import marks
from recbench.pages.deviation import DeviationPair, deviations
from recbench.pages.readme import summary
from recbench.pages.rows import sections
from recbench.results import Labels, RunRecord
from recbench.stats import holm


def test_rows_are_ranked_tested_and_costed(records: list[RunRecord]) -> None:
    (section,) = sections(records)
    rows = {row.record.labels.method: row for row in section.rows}
    assert [row.record.labels.method for row in section.rows][0::3] == ["llara", "popularity"]
    assert section.best_traditional is rows["sasrec"]
    assert rows["llara"].best is None
    assert rows["sasrec"].traditional is None
    assert rows["llara"].traditional is not None
    assert rows["llara"].traditional.p_holm < 0.05
    assert rows["popularity"].best is not None
    assert rows["popularity"].best.comparison.difference < 0
    assert rows["llara"].training == 120.0
    assert rows["llara"].decoding == 7.0
    assert rows["popularity"].metrics["NDCG@10"][1] is None
    assert rows["llara"].metrics["NDCG@10"][1] is not None


def test_a_seed_that_was_suspended_does_not_make_its_row_slow(records: list[RunRecord]) -> None:
    first, *others = records[2].seeds
    slow = first.model_copy(update={"steps": [s.model_copy(update={"seconds": 50 * s.seconds}) for s in first.steps]})
    (section,) = sections([records[2].model_copy(update={"seeds": (slow, *others)})])
    assert (section.rows[0].training, section.rows[0].decoding) == (120.0, 7.0)


def test_the_page_says_what_a_reader_needs(records: list[RunRecord]) -> None:
    text = markdown_page(records)
    assert re.search(r"## Test set: 400 cases of 40 users \(at most 20 windows a user\), resolution 0\.0\d+\n", text)
    for needed in (
        *("picked on this test set", "The unit is the user", "over the 6 pairs", "recbench run --model llara"),
        *("p applies to these seeds", "interval over users and seeds without 0", "Row 1 stays first in 100%"),
        *("▲", "▼", " ± ", "1.5 GiB", "120 s", "0.1.0 (01234567)", "12.5%", "removed \\| kept (rows", "abab"),
    ):
        assert needed in text
    header = next(line for line in text.splitlines() if "Method | Loss" in line)
    row = next(line for line in text.splitlines() if line.startswith("| 1 | llara"))
    assert header.count("|") == row.count("|")


def test_all_pairs_of_rows_are_one_family(records: list[RunRecord]) -> None:
    (section,) = sections(records)
    ranked = [row.record for row in section.rows]
    pairs = list(itertools.combinations(range(4), 2))
    expected = dict(zip(pairs, holm([compare_records(ranked[a], ranked[b]).p_claim for a, b in pairs]), strict=True))
    for i, row in enumerate(section.rows[1:], start=1):
        assert row.best is not None
        assert row.best.p_holm == pytest.approx(expected[0, i], abs=0.01)
        assert row.best.comparison.difference == pytest.approx(
            row.metrics["NDCG@10"][0] - section.rows[0].metrics["NDCG@10"][0]
        )


def test_a_row_above_the_best_traditional_one_is_tested_against_it(records: list[RunRecord]) -> None:
    (section,) = sections(records)
    ranks = {row.record.labels.method: row for row in section.rows}
    above = ranks["llara"].traditional
    assert above is not None
    assert above.comparison.difference > 0
    assert marks(ranks["llara"]) == ("–", "▲")
    assert marks(ranks["sasrec"])[0] == "▼"


def test_a_mark_needs_p_and_the_interval_over_users_and_seeds() -> None:
    """One seed far above, one far below: users agree on the difference of these seeds, others would differ."""
    steady, wild = page_record("steady", 0.3, 3), page_record("wild", 0.5, 3)
    low = page_record("low", 0.2, 1).seeds[0].ranks
    wild = wild.model_copy(update={"seeds": (*wild.seeds[:2], wild.seeds[2].model_copy(update={"ranks": low * 0}))})
    (section,) = sections([steady, wild])
    tested = next(row.best for row in section.rows if row.best is not None)
    assert tested.comparison.p < 0.05 < tested.p_holm
    assert tested.p_holm == pytest.approx(tested.comparison.p_two_level)
    assert tested.comparison.interval[1] < 0 or tested.comparison.interval[0] > 0
    assert tested.comparison.interval_two_level[0] < 0 < tested.comparison.interval_two_level[1]
    assert marks(section.rows[1])[0] == "="
    assert [row.place for row in section.rows] == [1, 1]


def test_places_and_means_over_users_are_on_the_page(records: list[RunRecord]) -> None:
    (section,) = sections(records)
    places = {row.record.labels.method: row.place for row in section.rows}
    assert places == {"llara": 1, "sasrec": 2, "bigrec": 2, "popularity": 4}
    text = markdown_page(records)
    header = next(line for line in text.splitlines() if "Method | Loss" in line).split("|")
    row = next(line for line in text.splitlines() if line.startswith("| 1 | llara")).split("|")
    found = section.rows[0].record.case_results()
    own = [metric("NDCG@10").values(found).mean(0)[found.users == user].mean() for user in np.unique(found.users)]
    assert row[header.index(" NDCG@10 by user ")].strip() == f"{np.mean(own):.4f}"
    assert row[header.index(" Place ")].strip() == "1"


def test_deviations_say_what_the_seeds_can_show(records: list[RunRecord]) -> None:
    llara, sasrec = records[2], records[1]
    table, note, reading = deviations([DeviationPair("L", llara, "S", sasrec, {"toy": 6.0, "book": 0.1})])
    assert isinstance(table, Table)
    values = [metric("NDCG@10").by_seed(r.case_results()) for r in (llara, sasrec)]
    ratio = values[0].std(ddof=1) / values[1].std(ddof=1)
    assert table.header[-2:] == ("toy, published", "book, published")
    assert table.rows[0][5] == f"{ratio:.2f}"
    assert table.rows[0][-1] == "0.10"
    assert isinstance(reading, Paragraph)
    assert reading.text.startswith("No difference in deviation is shown between L and S. With 3 and 3 seeds")
    assert "must exceed 6.2" in reading.text  # the square root of F(.975; 2, 2) = 39
    low, high = ratio / 39**0.5, ratio * 39**0.5
    for published, seeds, name in ((6.0, 5, "toy"), (0.1, 4, "book")):
        where = "within" if low <= published <= high else "outside"
        sentence = f"The published {published} ({name}) is {where} the interval; {seeds} seeds each show it"
        assert sentence in reading.text
    assert isinstance(note, Paragraph)
    assert deviations([]) == []
    with pytest.raises(UsageError, match="two seeds or more"):
        deviations([DeviationPair("L", llara, "P", records[0])])
    with pytest.raises(UsageError, match="different test cases"):
        deviations([DeviationPair("L", llara, "S", page_record("sasrec", 0.3, 3, limit=100))])


def test_the_page_does_not_depend_on_the_order_of_records(records: list[RunRecord]) -> None:
    pages = {markdown_page(list(order)) for order in itertools.islice(itertools.permutations(records), 0, 24, 7)}
    assert len(pages) == 1


def test_html_has_the_same_cells_and_escapes(records: list[RunRecord]) -> None:
    nasty = records[0].model_copy(update={"labels": Labels(method="<script>|x", loss="a_b")})
    page, text = html_page([nasty, *records[1:]]), markdown_page([nasty, *records[1:]])
    assert "<script>" not in page
    assert "\\<script>\\|x" in text
    assert page.count("<table>") == text.count("\n| --- |") == 6
    assert "http" not in page


def test_other_test_sets_are_sections_apart_and_one_row_stands_alone(records: list[RunRecord]) -> None:
    text = markdown_page([*records, page_record("sasrec", 0.3, limit=100)])
    assert text.index("Test set: 400 cases") < text.index("Test set: 100 cases")
    lone = markdown_page([page_record("llara", 0.5, llm="tiny")])
    assert "There is no traditional row yet" in lone
    assert "Comparisons" not in lone


def test_lists_give_a_table_of_their_own(records: list[RunRecord]) -> None:
    text = markdown_page(records)
    table = text[text.index("### What is recommended") : text.index("### Comparisons")]
    assert "coverage@10: share of the catalogue that is in at least one list" in table
    assert "| # | Method | coverage@10 | Gini@10 | popularity@10 | novelty@10 |" in table
    assert "| 1 | llara + msl + constrained\\_beam | 1.0000 ± 0.0000 |" in table


def test_depth_20_shows_the_metric_at_20(records: list[RunRecord]) -> None:
    assert "Recall@20" not in markdown_page(records)
    text = markdown_page([*records, page_record("deep", 0.2, depth=20)])
    header = next(line for line in text.splitlines() if "Method | Loss" in line)
    column = header.split("|").index(" Recall@20 ")
    cells = {
        row.split("|")[2].strip(): row.split("|")[column].strip() for row in text.splitlines() if "tiny | 3 " in row
    }
    assert cells == {"llara": "–", "bigrec": "–"}
    assert next(row for row in text.splitlines() if "| deep |" in row).split("|")[column].strip() != "–"


def test_the_page_says_what_code_made_each_row(records: list[RunRecord]) -> None:
    same, other = markdown_page(records), markdown_page([*records, page_record("new", 0.2, code="99999999ff")])
    assert "| decoder beam: dist 1.2, code ab12cd34 |" in same
    assert "was not the same code" not in same
    assert "decoder beam was not the same code: dist 1.2, code ab12cd34 made row 1, row 2, row 3" in other
    assert "dist 1.2, code 99999999 made row" in other


@pytest.mark.parametrize("hits", [0.0, 0.5])
def test_rows_that_cannot_be_told_apart_are_not_ranked(hits: float) -> None:
    """All 0, or one run under two names."""
    one = page_record("a", hits, seeds=2)
    same = [one.model_copy(update={"run": name, "labels": Labels(method=name)}) for name in ("b", "c")]
    for text in (markdown_page([one, *same]), plain(summary([one, *same])[0].text)):
        assert "The rows cannot be told apart" in text
        assert "stays first" not in text
        assert ", resolution" not in text
        assert "nan" not in text
    others = [one, page_record("other", 0.3, seeds=2), page_record("third", 0.6, seeds=2)]
    assert "cannot be told apart" not in markdown_page(others)


def test_one_user_prints_no_nan(records: list[RunRecord]) -> None:
    lone = [page_record("sasrec", 0.3, users=1), page_record("llara", 0.6, llm="tiny", users=1)]
    for page in (markdown_page(lone), html_page(lone)):
        assert "nan" not in page.replace("namesake", "")
        assert "400 cases of 1 user (" in page
    lines = dict(rows_of(compare_records(*lone)))
    assert lines["95 % interval (users)"] == lines["effect size d_z"] == "undefined"
    assert "nan" not in str(lines)


def test_a_third_partys_metric_and_slice_are_on_the_page_by_their_entry_points(
    records: list[RunRecord], monkeypatch: pytest.MonkeyPatch
) -> None:
    import sys
    from importlib.metadata import EntryPoint
    from types import ModuleType, SimpleNamespace

    from recbench import registry
    from recbench.interfaces import MetricPlugin, Options, RankMetric, SlicePlugin, Slicer

    class First(RankMetric[Options]):
        def values(self, ranks: Any, depth: int) -> Any:
            return (ranks == 1).astype(float)

    class Early(Slicer[Options]):
        def masks(self, results: Any) -> Any:
            return {"first ten users": results.users < 10}

    module = ModuleType("third_party")
    module.first = MetricPlugin(summary="hit at once", implementation=First, depths=())
    module.early = SlicePlugin(summary="the first users", implementation=Early)
    monkeypatch.setitem(sys.modules, "third_party", module)
    real, own = registry._entries, {"metric": "first", "slice": "early"}

    def entries(kind: str) -> Any:
        if kind not in own:
            return real(kind)
        entry = EntryPoint(own[kind], f"third_party:{own[kind]}", registry.GROUPS[kind])
        vars(entry).update(dist=SimpleNamespace(name="third-party", version="1.0"))
        return {**real(kind), own[kind]: [entry]}

    monkeypatch.setattr(registry, "_entries", entries)
    text = markdown_page(records)
    assert " | MAP@10 | first | vs best |" in text
    assert "| first ten users (" in text
    assert compare_records(records[0], records[1], "first").metric == "first"
