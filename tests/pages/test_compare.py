"""Comparisons of records as text, and which ones are refused."""

from __future__ import annotations

from typing import Any

import pytest

from made_pages import page_record
from recbench.errors import UsageError
from recbench.pages import compare_records, family, markdown_page, rows_of
from recbench.pages.code import unlike
from recbench.results import RunRecord


def test_comparison_as_text(records: list[RunRecord]) -> None:
    tested = family([(other, records[0]) for other in records[1:]])
    assert all(t.p_holm >= t.comparison.p for t in tested)
    lines = dict(rows_of(tested[1].comparison, "llara", "popularity", tested[1].p_holm, len(tested)))
    assert lines["p after Holm"].endswith("(larger p; 3 comparisons declared)")
    assert lines["verdict"].startswith("different")
    assert lines["llara minus popularity"].startswith("+0.")
    assert lines["test set"] == "400 cases of 40 users"
    alone: dict[str, Any] = dict(rows_of(compare_records(records[0], records[1], "HR@5")))
    assert alone["p after Holm"].endswith("(larger p; 1 comparison declared)")
    assert alone["difference by user"].startswith("-0.")
    assert alone["HR@5 of A"].endswith("over seed 1")


def test_comparisons_that_make_no_sense_are_refused(records: list[RunRecord]) -> None:
    with pytest.raises(UsageError, match=r"no metric 'NDGC@10'; did you mean 'NDCG@10'\?"):
        compare_records(records[0], records[1], "NDGC@10")
    with pytest.raises(UsageError, match=r"ml-100k-popularity-400: NDCG@11 needs lists of 11 items and these have 10"):
        compare_records(records[0], records[1], "NDCG@11")
    with pytest.raises(UsageError, match="coverage@10 is one number for a whole run"):
        compare_records(records[0], records[1], "coverage@10")
    others = (
        r"protocol sliding, 400 cases.* and .* 100 cases.* were evaluated on different test cases; compare runs of one"
    )
    with pytest.raises(UsageError, match=others):
        compare_records(records[0], page_record("sasrec", 0.3, limit=100))


def test_a_family_counts_what_was_declared_and_not_made(records: list[RunRecord]) -> None:
    pairs = [(records[2], records[0])]
    assert family(pairs, declared=5)[0].p_holm == pytest.approx(5 * family(pairs)[0].p_holm)


def test_a_list_metric_is_compared_over_users(records: list[RunRecord]) -> None:
    found = compare_records(records[0], records[1], "popularity@10")
    assert found.mean_a == pytest.approx(records[0].cases.item_popularity[records[0].seeds[0].top].mean())
    assert 0 < found.p <= 1


def test_other_names_and_other_files(records: list[RunRecord]) -> None:
    """The test cases decide, not what a file is called; a file of another content is named."""
    a, b = records[0], records[1]
    renamed = b.model_copy(update={"dataset": b.dataset.model_copy(update={"name": "renamed"})})
    assert compare_records(a, renamed) == compare_records(a, b)
    other = b.model_copy(
        update={"dataset": b.dataset.model_copy(update={"name": "other", "sources": {"other.csv": "3" * 64}})}
    )
    with pytest.raises(UsageError, match="ml-100k and other are not the same data"):
        compare_records(a, other)

    def reading(record: RunRecord, checksum: str) -> RunRecord:
        return record.model_copy(
            update={"dataset": record.dataset.model_copy(update={"sources": {"own.csv": checksum, "x": "9" * 64}})}
        )

    assert unlike([("A", reading(a, "1" * 64)), ("B", reading(b, "1" * 64))]) == []
    (said,) = unlike([("A", reading(a, "1" * 64)), ("B", reading(b, "2" * 64)), ("C", reading(b, "1" * 64))])
    assert said == "own.csv was not the same file: sha256 11111111 was read by A, C; sha256 22222222 was read by B"
    page = markdown_page([reading(a, "1" * 64), reading(b, "2" * 64)])
    assert f"own.csv was not the same file: sha256 11111111 was read by {a.run}; sha256 22222222" in page
    assert "was not the same file" not in markdown_page([reading(a, "1" * 64), reading(b, "1" * 64)])
