"""The page: a pure function of the records."""

from __future__ import annotations

import itertools
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from markdown_it import MarkdownIt

from made_records import ITEMS, record_of, results
from recbench.errors import DataError, UsageError
from recbench.evaluation import metric
from recbench.pages import build, check, compare_records, family, html_page, load_records, markdown_page, rows_of
from recbench.pages.blocks import Bullets, Paragraph, Table, plain
from recbench.pages.dataset import marks
from recbench.pages.deviation import DeviationPair, deviations
from recbench.pages.readme import BEGIN, END, summary, with_results
from recbench.pages.records import command_of
from recbench.pages.rows import sections
from recbench.results import (
    Dataset,
    Labels,
    PluginCode,
    RunRecord,
    write,
)
from recbench.stats import holm


def make(
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


@pytest.fixture(scope="module")
def records() -> list[RunRecord]:
    return [
        make("popularity", 0.1),
        make("sasrec", 0.3, 3),
        make("llara", 0.6, 3, "tiny"),
        make("bigrec", 0.29, 3, "tiny"),
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


def test_a_seed_that_was_suspended_does_not_make_its_row_slow(records: list[RunRecord]) -> None:
    first, *others = records[2].seeds
    slow = first.model_copy(update={"steps": [s.model_copy(update={"seconds": 50 * s.seconds}) for s in first.steps]})
    (section,) = sections([records[2].model_copy(update={"seeds": (slow, *others)})])
    assert (section.rows[0].training, section.rows[0].decoding) == (120.0, 7.0)


def test_the_page_says_what_a_reader_needs(records: list[RunRecord]) -> None:
    text = markdown_page(records)
    assert re.search(r"## Test set: 400 cases of 40 users \(at most 20 windows a user\), resolution 0\.0\d+\n", text)
    for needed in (
        *("picked on this test set", "The unit is the user", "over all 6 pairs", "recbench run --model llara"),
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
    steady, wild = make("steady", 0.3, 3), make("wild", 0.5, 3)
    low = make("low", 0.2, 1).seeds[0].ranks
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
        deviations([DeviationPair("L", llara, "S", make("sasrec", 0.3, 3, limit=100))])


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
    text = markdown_page([*records, make("sasrec", 0.3, limit=100)])
    assert text.index("Test set: 400 cases") < text.index("Test set: 100 cases")
    lone = markdown_page([make("llara", 0.5, llm="tiny")])
    assert "There is no traditional row yet" in lone
    assert "Comparisons" not in lone


def test_build_then_check_and_every_difference_is_seen(tmp_path: Path, records: list[RunRecord]) -> None:
    source, out = folder(tmp_path / "records", records), tmp_path / "pages"
    assert check(source, out) == [out / "ml-100k.md"]
    assert not out.exists()  # checking writes nothing
    assert build(source, out) == ([out / "ml-100k.md"], [])
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
    assert build(source, out).removed == [out / "toy.md"]
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
        compare_records(records[0], make("sasrec", 0.3, limit=100))


def test_a_family_counts_what_was_declared_and_not_made(records: list[RunRecord]) -> None:
    pairs = [(records[2], records[0])]
    assert family(pairs, declared=5)[0].p_holm == pytest.approx(5 * family(pairs)[0].p_holm)


def test_a_list_metric_is_compared_over_users(records: list[RunRecord]) -> None:
    found = compare_records(records[0], records[1], "popularity@10")
    assert found.mean_a == pytest.approx(records[0].cases.item_popularity[records[0].seeds[0].top].mean())
    assert 0 < found.p <= 1


def test_lists_give_a_table_of_their_own(records: list[RunRecord]) -> None:
    text = markdown_page(records)
    table = text[text.index("### What is recommended") : text.index("### Comparisons")]
    assert "coverage@10: share of the catalogue that is in at least one list" in table
    assert "| # | Method | coverage@10 | Gini@10 | popularity@10 | novelty@10 |" in table
    assert "| 1 | llara + msl + constrained\\_beam | 1.0000 ± 0.0000 |" in table


def test_depth_20_shows_the_metric_at_20(records: list[RunRecord]) -> None:
    assert "Recall@20" not in markdown_page(records)
    text = markdown_page([*records, make("deep", 0.2, depth=20)])
    header = next(line for line in text.splitlines() if "Method | Loss" in line)
    column = header.split("|").index(" Recall@20 ")
    cells = {
        row.split("|")[2].strip(): row.split("|")[column].strip() for row in text.splitlines() if "tiny | 3 " in row
    }
    assert cells == {"llara": "–", "bigrec": "–"}
    assert next(row for row in text.splitlines() if "| deep |" in row).split("|")[column].strip() != "–"


def test_the_page_says_what_code_made_each_row(records: list[RunRecord]) -> None:
    same, other = markdown_page(records), markdown_page([*records, make("new", 0.2, code="99999999ff")])
    assert "| decoder beam: dist 1.2, code ab12cd34 |" in same
    assert "was not the same code" not in same
    assert "decoder beam was not the same code: dist 1.2, code ab12cd34 made row 1, row 2, row 3" in other
    assert "dist 1.2, code 99999999 made row" in other


@pytest.mark.parametrize("hits", [0.0, 0.5])
def test_rows_that_cannot_be_told_apart_are_not_ranked(hits: float) -> None:
    """All 0, or one run under two names."""
    one = make("a", hits, seeds=2)
    same = [one.model_copy(update={"run": name, "labels": Labels(method=name)}) for name in ("b", "c")]
    for text in (markdown_page([one, *same]), plain(summary([one, *same])[0].text)):
        assert "The rows cannot be told apart" in text
        assert "stays first" not in text
        assert ", resolution" not in text
        assert "nan" not in text
    others = [one, make("other", 0.3, seeds=2), make("third", 0.6, seeds=2)]
    assert "cannot be told apart" not in markdown_page(others)


def test_one_user_prints_no_nan(records: list[RunRecord]) -> None:
    lone = [make("sasrec", 0.3, users=1), make("llara", 0.6, llm="tiny", users=1)]
    for page in (markdown_page(lone), html_page(lone)):
        assert "nan" not in page.replace("namesake", "")
        assert "400 cases of 1 user (" in page
    lines = dict(rows_of(compare_records(*lone)))
    assert lines["95 % interval (users)"] == lines["effect size d_z"] == "undefined"
    assert "nan" not in str(lines)


# ---- what somebody else's record may hold

NASTY = [
    "x\n```\n# Heading\n[link](https://evil.example)\n<script>alert(1)</script>\n````",
    "# heading",
    "- list",
    "1. list",
    "> quotation",
    "[a](https://evil.example) ![b](http://evil.example/c.png) www.evil.example me@evil.example",
    "<img src=x onerror=alert(1)> &lt;b&gt;",
    "right\u202eto left \u2066and \u200fmore\x1b[31m red\x00 \u0085 line\u2028two",
    "*bold* _it_ `code` ~~no~~ $x$ | cell \\| cell",
]


def hostile(record: RunRecord, text: str) -> RunRecord:
    return record.model_copy(
        update={
            "labels": Labels(method=text, loss=text, decoder=text, llm=text),
            "budget": {text: text},
            "policies": {text: text},
            "command": f"recbench run --model '{text}'",
            "dataset": Dataset(name="ml-100k", label=text, sources={text: text}),
            "plugins": (PluginCode(kind=text, name=text, distribution=text, version=text, code="ab"),),
            "cases": record.cases.model_copy(update={"label": text}),
            "seeds": tuple(
                s.model_copy(update={"environment": {"device": text, "recbench": text}}) for s in record.seeds
            ),
        }
    )


def structure(text: str) -> tuple[list[str], str]:
    """What another Markdown reader sees: the kind of every block and inline piece, and the text outside code."""
    tokens = MarkdownIt("commonmark").enable(["table", "strikethrough"]).parse(text)
    inline = [child for token in tokens for child in token.children or ()]
    kinds = [f"{token.type} {token.tag}" for token in tokens] + [child.type for child in inline if child.type != "text"]
    return kinds, " ".join(child.content for child in inline)


@pytest.mark.parametrize("text", NASTY)
def test_a_records_text_is_inert_on_both_pages(records: list[RunRecord], text: str) -> None:
    page, html = markdown_page([hostile(records[2], text)]), html_page([hostile(records[2], text)])
    kinds, shown = structure(page)
    assert kinds == structure(markdown_page([hostile(records[2], "x")]))[0]
    assert "link_open" not in kinds
    assert plain(text) in shown  # harmless, and still what was written
    for either in (page, html):
        for character in "\u202e\u2066\u200f\x1b\x00\u0085\u2028":
            assert character not in either
    # GitHub links bare addresses too
    outside = "".join(line for line in page.splitlines() if not line.startswith(("recbench", "# 1.")))
    assert not re.search(r"(?<!\\)://|https?:/|www\.|\w@evil", outside)
    for live in ("<script", "<img", "<a "):
        assert live not in html


@pytest.mark.parametrize("ticks", [3, 4, 9])
def test_a_fence_is_longer_than_any_inside(records: list[RunRecord], ticks: int) -> None:
    record = records[0].model_copy(update={"command": f"recbench run --model '{'`' * ticks}'"})
    text = markdown_page([record])
    assert f"\n{'`' * (ticks + 1)}bash\n" in text


@pytest.mark.parametrize(
    ("command", "shown"),
    [
        ("recbench run --model sasrec --seeds 3", "recbench run --model sasrec --seeds 3"),
        ("recbench run; rm -rf /", "recbench 'run;' rm -rf /"),
        ("recbench run $(reboot) `reboot`", "recbench run '$(reboot)' '`reboot`'"),
        ("recbench run\nrm -rf /", "recbench run rm -rf /"),
        ("recbench run 'a\nb'", "recbench run 'a b'"),
        ("rm -rf /", "# the record holds no command of recbench"),
        ("recbench run 'open", "# the record holds no command of recbench"),
        ("", "# the record holds no command of recbench"),
    ],
)
def test_a_shown_command_runs_recbench_alone(records: list[RunRecord], command: str, shown: str) -> None:
    assert command_of(records[0].model_copy(update={"command": command})) == shown


def test_a_name_cannot_leave_its_comment(records: list[RunRecord]) -> None:
    record = records[0].model_copy(update={"labels": Labels(method="x\nrm -rf /")})
    assert "\n# 1. x rm -rf /\n" in markdown_page([record])


def test_nothing_to_build_deletes_nothing(tmp_path: Path, records: list[RunRecord]) -> None:
    source, out = folder(tmp_path / "records", records), tmp_path / "pages"
    build(source, out)
    for empty in (tmp_path / "empty", tmp_path / "none"):
        if empty.name == "empty":
            empty.mkdir()
        for command in (build, check):
            with pytest.raises(UsageError, match="holds no record"):
                command(empty, out)
    assert (out / "ml-100k.md").is_file()


def test_killed_writers_leave_nothing_beside_pages(tmp_path: Path, records: list[RunRecord]) -> None:
    import socket

    source, out = folder(tmp_path / "records", records), tmp_path / "pages"
    out.mkdir()
    (out / f".0123456789ab.{socket.gethostname()}.{2**22 + 1}.recbench-tmp").write_bytes(b"half")
    build(source, out)
    assert [path.name for path in out.iterdir()] == ["ml-100k.md"]


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


def test_a_readme_says_no_more_than_the_tests() -> None:
    """Better or worse only with p (Holm) below .05 and an interval over users and seeds without 0."""
    records = [
        make("sasrec", 0.3, seeds=3),
        make("bigrec", 0.7, seeds=3, llm="tiny"),
        make("llara", 0.31, 3, llm="tiny"),
    ]
    (section,) = sections(records)
    said = [text for block in summary(records) if isinstance(block, Bullets) for text in block.items]
    named = {}
    for line in said:
        words, _, names = line.partition(" sasrec: ")
        named |= dict.fromkeys(names.split(", "), words)
    assert set(named) == {"bigrec + msl", "llara + msl"}
    for row in section.rows:
        if row.traditional is None:
            continue
        low, high = row.traditional.comparison.interval_two_level
        shown = row.traditional.p_holm < 0.05 and (low > 0 or high < 0)
        expected = ("Better than" if low > 0 else "Worse than") if shown else "Not shown to differ from"
        assert named[f"{row.record.labels.method} + msl"] == expected
    assert set(named.values()) == {"Better than", "Not shown to differ from"}
    (worse,) = [block for block in summary([*records, make("popularity", 0.01)]) if isinstance(block, Bullets)]
    assert any(line.startswith("Worse than sasrec") and "popularity" in line for line in worse.items)


def test_a_readme_next_to_the_pages_is_written_between_its_marks(tmp_path: Path) -> None:
    for record in (make("sasrec", 0.3, seeds=2), make("bigrec", 0.7, seeds=2, llm="tiny")):
        write(record, tmp_path / "boards/records" / f"{record.run}.json")
    readme = tmp_path / "README.md"
    readme.write_text(f"# Mine\n\n{BEGIN}\nold\n{END}\n\nMore.\n", encoding="utf-8")
    assert readme in check(tmp_path / "boards/records", tmp_path / "boards")
    build(tmp_path / "boards/records", tmp_path / "boards")
    text = readme.read_text("utf-8")
    assert text.startswith(f"# Mine\n\n{BEGIN}\n\n")
    assert text.endswith(f"\n\n{END}\n\nMore.\n")
    assert "old" not in text
    assert "| bigrec" in text
    assert check(tmp_path / "boards/records", tmp_path / "boards") == []
    readme.write_text("# Mine\n", encoding="utf-8")  # without marks it is nobody's business
    assert check(tmp_path / "boards/records", tmp_path / "boards") == []
    with pytest.raises(DataError, match="once each, in this order"):
        with_results(f"{END} {BEGIN}", [make("sasrec", 0.3)], readme)
