"""Titles are never empty and pairwise distinct, whatever comes in."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recbench.data.titles import catalogue, clean
from recbench.errors import DataError

# Few letters, so that titles and numbered forms collide often.
nasty = st.one_of(
    st.text(),
    st.sampled_from(["", " ", "A", "A (2)", "A (3)", "a&amp;b", "a&b", "Untitled item 1", "\u200b", "\ud800"]),
)


@given(st.lists(nasty, max_size=30), st.sampled_from(["distinct", "merged"]))
def test_titles_are_distinct_and_printable(raw, namesakes):
    result = catalogue([str(i) for i in range(len(raw))], raw, namesakes)
    titles = result.catalog.titles
    assert len(set(titles)) == len(titles) == len(result.catalog.ids)
    for title in titles:
        assert title == clean(title) != ""
        title.encode()
    assert len(result.index) == len(raw)
    if namesakes == "distinct":
        assert result.index.tolist() == list(range(len(raw)))
    else:
        assert len(titles) == len(raw) - result.facts["namesake_items"]


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("Melissa &amp; Doug", "Melissa & Doug"),
        ("&amp;quot;Star Trek&amp;quot;", '"Star Trek"'),
        (" two\n lines\tand\x00a\u00a0blank ", "two lines and a blank"),
        ("Mise\u0301rables", "Mis\u00e9rables"),
        ("\u200b \n", ""),
        ("\ud800", "\ufffd"),
    ],
)
def test_clean(raw, expected):
    assert clean(raw) == expected


def test_what_is_too_long_or_too_nested_is_refused_quickly():
    begun = time.process_time()
    chain = "&amp;" + "amp;" * 20_000
    for title, message in (
        (chain, "the title of item '7' has 80,005 characters, more than 1,000; shorten it"),
        ("word " * 5000, "the title of item '7' has 25,000 characters"),
        (
            chain[:200],
            "the title of item '7' cannot be used, since its HTML entities are encoded more than 8 times over",
        ),
    ):
        with pytest.raises(DataError, match=message):
            catalogue(["6", "7"], ["A", title], "distinct")
    with pytest.raises(DataError, match="encoded more than 8 times over"):
        clean(chain)
    assert time.process_time() - begun < 1
    assert clean("&" + "amp;" * 8) == "&"
    assert len(catalogue(["6"], ["A" * 1000], "distinct").catalog.titles[0]) == 1000


def test_later_namesakes_are_numbered_around_existing_titles():
    result = catalogue(["1", "2", "3", "4"], ["A", "A", "A (2)", "A"], "distinct")
    assert result.catalog.titles == ("A", "A (3)", "A (2)", "A (4)")
    assert result.facts == {"entities_decoded": 0, "empty_titles": 0, "namesake_titles": 1, "namesake_items": 2}


def test_merged_namesakes_become_the_earliest_item():
    result = catalogue(["x", "y", "z"], ["A &amp; B", "C", "A & B"], "merged")
    assert result.catalog.ids == ("x", "y")
    assert result.index.tolist() == [0, 1, 0]
    assert result.facts["entities_decoded"] == 1


def test_an_empty_title_is_named_after_its_item_and_stays_its_own():
    result = catalogue(["7", "8", "9"], ["", "Untitled item 7", " "], "merged")
    assert result.catalog.titles == ("Untitled item 7 (2)", "Untitled item 7", "Untitled item 9")
    assert result.facts["empty_titles"] == 2


def test_many_namesakes_cost_no_quadratic_time():
    result = catalogue([str(i) for i in range(30_000)], ["Same"] * 30_000, "distinct")
    assert result.catalog.titles[-1] == "Same (30000)"
