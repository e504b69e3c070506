"""The committed cards are what the command writes."""

from __future__ import annotations

from pathlib import Path

import pytest

from recbench.data.catalog import datasets
from recbench.diagnose.audited import audited
from recbench.diagnose.card import _of_release, write_card
from recbench.interfaces import SilentReporter
from recbench.spec.request import Request

CARDS = Path(__file__).parents[2] / "leaderboards/data"


def test_the_card_of_ml_100k_is_written_again(tmp_path: Path) -> None:
    """Page only: a picture's bytes depend on the version of matplotlib."""
    found = audited({"tiny": Request(model="bigrec", dataset="ml-100k")}, SilentReporter())
    page, picture = write_card(found, tmp_path)
    assert page.read_text() == (CARDS / "ml-100k.md").read_text()
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert found.profile.interactions == found.split.facts["interactions"] == 99_287
    assert found.found == ()


@pytest.mark.parametrize("name", ["ml-100k", "book", "toy"])
def test_every_card_has_its_picture_and_no_place_on_a_machine(name: str) -> None:
    text = (CARDS / f"{name}.md").read_text()
    assert f"]({name}.png)" in text
    assert (CARDS / f"{name}.png").is_file()
    assert "/work/" not in text
    assert "/home/" not in text


def test_the_cold_targets_of_book_are_those_that_are_known() -> None:
    """68 % against our training set, 64 % against the whole of the release's."""
    row = next(line for line in (CARDS / "book.md").read_text().splitlines() if line.startswith("| test (4,383)"))
    assert row.split(" | ")[2:4] == ["68.31%", "64.16%"]


@pytest.mark.parametrize("name", ["book", "toy"])
def test_a_card_shows_what_the_paper_says_and_why_ours_differs(name: str) -> None:
    text = (CARDS / f"{name}.md").read_text()
    published = datasets()[name].published
    assert published is not None
    assert f"| published | {published.users:,} | {published.items:,} | {published.interactions:,} |" in text
    assert " ".join(published.differs["prepared"].split()).replace("_", "\\_") in text


def test_the_paper_speaks_of_its_own_test_file_only() -> None:
    """Whatever the folder is called."""
    test = datasets()["book-msl"].raw["test.csv"].sha256
    assert test is not None
    assert _of_release({"test.csv": test}) == datasets()["book"].published
    assert _of_release({"test.csv": "0" * 64}) is _of_release({"toy.csv": test}) is None


def test_the_papers_counts_give_the_papers_density() -> None:
    """Table 4 prints both."""
    printed = {"toy": 0.000735, "book": 0.001446, "clothing": 0.000308, "office": 0.004498}
    for name, density in printed.items():
        found = datasets()[name].published
        assert found is not None
        assert round(found.interactions / found.users / found.items, 6) == density
    assert all(entry.published is None for name, entry in datasets().items() if name not in printed)
