"""Pages and READMEs as files: built, checked, and never half-written."""

from __future__ import annotations

from pathlib import Path

import pytest

from made_pages import folder_of, page_record
from recbench.errors import DataError, UsageError
from recbench.pages import build, check, load_records
from recbench.pages.blocks import Bullets
from recbench.pages.readme import BEGIN, END, summary, with_results
from recbench.pages.rows import sections
from recbench.results import RunRecord, write


def test_build_then_check_and_every_difference_is_seen(tmp_path: Path, records: list[RunRecord]) -> None:
    source, out = folder_of(tmp_path / "records", records), tmp_path / "pages"
    assert check(source, out) == [out / "ml-100k.md"]
    assert not out.exists()  # checking writes nothing
    assert build(source, out) == ([out / "ml-100k.md"], [])
    assert check(source, out) == []
    (out / "README.md").write_text("by hand")
    (out / "ml-100k.md").write_text((out / "ml-100k.md").read_text().replace("0.", "0.9", 1))
    assert check(source, out) == [out / "ml-100k.md"]
    build(source, out, ("md", "html"))
    assert check(source, out, ("md", "html")) == []
    write(page_record("sasrec", 0.3, dataset="toy"), source / "toy.json")
    assert check(source, out) == [out / "toy.md"]
    build(source, out)
    (source / "toy.json").unlink()
    assert check(source, out) == [out / "toy.md"]
    assert build(source, out).removed == [out / "toy.md"]
    assert sorted(path.name for path in out.iterdir()) == ["README.md", "ml-100k.html", "ml-100k.md"]


def test_a_broken_or_repeated_record_is_named_and_nothing_is_written(tmp_path: Path, records: list[RunRecord]) -> None:
    source = folder_of(tmp_path / "records", records[:1])
    whole = next(source.glob("*.json"))
    (source / "zz.json").write_bytes(whole.read_bytes()[:500])
    with pytest.raises(DataError, match=r"zz\.json is not a complete record"):
        build(source, tmp_path / "pages")
    (source / "zz.json").write_bytes(whole.read_bytes())
    with pytest.raises(DataError, match=r"zz\.json both hold run"):
        load_records(source)
    assert not (tmp_path / "pages").exists()
    assert load_records(tmp_path / "none") == []


def test_nothing_to_build_deletes_nothing(tmp_path: Path, records: list[RunRecord]) -> None:
    source, out = folder_of(tmp_path / "records", records), tmp_path / "pages"
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

    source, out = folder_of(tmp_path / "records", records), tmp_path / "pages"
    out.mkdir()
    (out / f".0123456789ab.{socket.gethostname()}.{2**22 + 1}.recbench-tmp").write_bytes(b"half")
    build(source, out)
    assert [path.name for path in out.iterdir()] == ["ml-100k.md"]


def test_a_readme_says_no_more_than_the_tests() -> None:
    """Better or worse only with p (Holm) below .05 and an interval over users and seeds without 0."""
    records = [
        page_record("sasrec", 0.3, seeds=3),
        page_record("bigrec", 0.7, seeds=3, llm="tiny"),
        page_record("llara", 0.31, 3, llm="tiny"),
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
    (worse,) = [block for block in summary([*records, page_record("popularity", 0.01)]) if isinstance(block, Bullets)]
    assert any(line.startswith("Worse than sasrec") and "popularity" in line for line in worse.items)


def test_a_readme_next_to_the_pages_is_written_between_its_marks(tmp_path: Path) -> None:
    for record in (page_record("sasrec", 0.3, seeds=2), page_record("bigrec", 0.7, seeds=2, llm="tiny")):
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
        with_results(f"{END} {BEGIN}", [page_record("sasrec", 0.3)], readme)
