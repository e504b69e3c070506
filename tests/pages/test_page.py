"""The page: a pure function of the records."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from recbench.errors import DataError, UsageError
from recbench.pages import against, build, check, compare_records, html_page, load_records, markdown_page, rows_of
from recbench.pages.rows import sections
from recbench.results import Cases, Dataset, Labels, RunRecord, SeedResult, write


def make(
    method: str, hits: float, seeds: int = 1, llm: str = "", dataset: str = "ml-100k", limit: int = 400
) -> RunRecord:
    rng = np.random.default_rng([sum(map(ord, method)), seeds])
    who = np.sort(np.random.default_rng(0).integers(40, size=400))[:limit]
    n = len(who)
    results = tuple(
        SeedResult(
            seed=seed,
            ranks=np.where(rng.random(n) < hits, rng.integers(1, 11, size=n), 0),
            invalid_share=0.125 if llm else None,
            seconds={"prepare": 9.0, "collaborative": 20.0, "train": 100.0, "rank": 7.0},
            peak_memory_bytes=3 * 2**29,
            environment={"device": "cpu", "recbench": "0.1.0", "git_commit": "0123456789ab", "git_dirty": False},
        )
        for seed in range(1, seeds + 1)
    )
    return RunRecord(
        run=f"{dataset}-{method}-{limit}",
        spec={"backbone": {"name": method}, "llm": {"name": llm} if llm else None},
        spec_hash="0" * 16,
        command=f"recbench run --model {method} --seeds {seeds}",
        dataset=Dataset(name=dataset, label="MovieLens 100K", sources={"ml-100k.inter": "ab" * 32}),
        labels=Labels(method=method, loss="msl" if llm else "", decoder="constrained_beam", llm=llm),
        budget={"training windows": "10,000", "epochs": "3"},
        policies={"namesakes": "numbered", "history items": "may be recommended" if llm else "removed | kept"},
        cases=Cases(
            digest=f"{limit:064d}",
            label="at most 20 windows a user",
            users=who,
            cold=np.arange(n) % 50 == 0,
            history_length=np.full(n, 10),
            popularity=np.arange(n) % 50,
        ),
        seeds=results,
    )


@pytest.fixture(scope="module")
def records() -> list[RunRecord]:
    return [
        make("popularity", 0.1),
        make("sasrec", 0.3, 3),
        make("llara", 0.6, 3, "tiny"),
        make("bigrec", 0.29, 2, "tiny"),
    ]


def folder(path: Path, records: list[RunRecord]) -> Path:
    for record in records:
        write(record, path / f"{record.run}.json")
    return path


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


def test_the_page_says_what_a_reader_needs(records: list[RunRecord]) -> None:
    text = markdown_page(records)
    assert "## Test set: 400 cases of 40 users (at most 20 windows a user)" in text
    for needed in (
        *("picked on this test set", "The unit is the user", "Holm", "two families", "recbench run --model llara"),
        *("▲", "▼", " ± ", "1.5 GiB", "120 s", "0.1.0 (01234567)", "12.5%", "removed \\| kept (rows", "abab"),
    ):
        assert needed in text
    header = next(line for line in text.splitlines() if "Method | Loss" in line)
    row = next(line for line in text.splitlines() if line.startswith("| 1 | llara"))
    assert header.count("|") == row.count("|")


def test_the_page_does_not_depend_on_the_order_of_records(records: list[RunRecord]) -> None:
    pages = {markdown_page(list(order)) for order in itertools.islice(itertools.permutations(records), 0, 24, 7)}
    assert len(pages) == 1


def test_html_has_the_same_cells_and_escapes(records: list[RunRecord]) -> None:
    nasty = records[0].model_copy(update={"labels": Labels(method="<script>|x", loss="a_b")})
    page, text = html_page([nasty, *records[1:]]), markdown_page([nasty, *records[1:]])
    assert "<script>" not in page
    assert "\\<script>\\|x" in text
    assert page.count("<table>") == 3
    assert "http" not in page


def test_other_test_sets_are_sections_apart_and_one_row_stands_alone(records: list[RunRecord]) -> None:
    text = markdown_page([*records, make("sasrec", 0.3, limit=100)])
    assert text.index("Test set: 400 cases") < text.index("Test set: 100 cases")
    lone = markdown_page([make("llara", 0.5, llm="tiny")])
    assert "There is no traditional row yet" in lone
    assert "Comparisons" not in lone


def test_build_then_check_and_every_difference_is_seen(tmp_path: Path, records: list[RunRecord]) -> None:
    source, out = folder(tmp_path / "records", records), tmp_path / "pages"
    assert check(source, out) == [out / "ml-100k.md"]
    assert not out.exists()  # checking writes nothing
    assert build(source, out) == [out / "ml-100k.md"]
    assert check(source, out) == []
    (out / "README.md").write_text("by hand")
    (out / "ml-100k.md").write_text((out / "ml-100k.md").read_text().replace("0.", "0.9", 1))
    assert check(source, out) == [out / "ml-100k.md"]
    build(source, out, ("md", "html"))
    assert check(source, out, ("md", "html")) == []
    write(make("sasrec", 0.3, dataset="toy"), source / "toy.json")
    assert check(source, out) == [out / "toy.md"]
    build(source, out)
    (source / "toy.json").unlink()
    assert check(source, out) == [out / "toy.md"]
    build(source, out)
    assert sorted(path.name for path in out.iterdir()) == ["README.md", "ml-100k.html", "ml-100k.md"]


def test_a_broken_or_repeated_record_is_named_and_nothing_is_written(tmp_path: Path, records: list[RunRecord]) -> None:
    source = folder(tmp_path / "records", records[:1])
    whole = next(source.glob("*.json"))
    (source / "zz.json").write_bytes(whole.read_bytes()[:500])
    with pytest.raises(DataError, match=r"zz\.json is not a complete record"):
        build(source, tmp_path / "pages")
    (source / "zz.json").write_bytes(whole.read_bytes())
    with pytest.raises(DataError, match=r"zz\.json both hold run"):
        load_records(source)
    assert not (tmp_path / "pages").exists()
    assert load_records(tmp_path / "none") == []


def test_comparison_as_text(records: list[RunRecord]) -> None:
    tested = against(records[0], records[1:])
    assert all(t.p_holm >= t.comparison.p for t in tested)
    lines = dict(rows_of(tested[1].comparison, "llara", "popularity", tested[1].p_holm, len(tested)))
    assert lines["p after Holm"].endswith("(3 comparisons declared): different")
    assert lines["difference"].startswith("+0.")
    assert lines["test set"] == "400 cases of 40 users"
    alone: dict[str, Any] = dict(rows_of(compare_records(records[0], records[1], "HR@5")))
    assert alone["HR@5 of A"].endswith("over seed 1")


def test_comparisons_that_make_no_sense_are_refused(records: list[RunRecord]) -> None:
    with pytest.raises(UsageError, match=r"no metric 'NDCG@11'; did you mean 'NDCG@10'\?"):
        compare_records(records[0], records[1], "NDCG@11")
    with pytest.raises(UsageError, match=r"evaluated on different test cases; compare runs of one test set"):
        compare_records(records[0], make("sasrec", 0.3, limit=100))
