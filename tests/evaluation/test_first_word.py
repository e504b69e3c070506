"""Targets by how many titles begin with their first word."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from recbench.data.first_words import sharing_first_word
from recbench.lists import results_of
from recbench.testing import tiny_split
from recbench.types import Catalog
from recbench_plugins.slices.first_word import plugin

slicer = plugin.implementation(plugin.options())


@given(st.lists(st.text(alphabet="ab ", min_size=1, max_size=5).filter(str.strip), min_size=1, max_size=12))
def test_titles_are_counted_one_by_one(titles: list[str]) -> None:
    firsts = [title.split()[0] for title in titles]
    assert sharing_first_word(titles).tolist() == [firsts.count(word) for word in firsts]


def test_parts_divide_the_cases() -> None:
    split = tiny_split()
    n = len(split.catalog)
    words = ["One", *["Few"] * 4, *["Many"] * (n - 5)]
    split = replace(split, catalog=Catalog(split.catalog.ids, tuple(f"{word} {i}" for i, word in enumerate(words))))
    results = results_of([[split.catalog.ids[0]]] * len(split.test), split, split.test)
    found = dict(slicer.masks(results))
    for part, word in (("first word 1", "One"), ("first word 2-9", "Few"), ("first word 10+", "Many")):
        assert found[part].tolist() == [words[item] == word for item in split.test.target]
    assert np.sum(list(found.values()), axis=0).tolist() == [1] * len(split.test)
    assert slicer.masks(replace(results, sharing=None)) == {}
    some = np.arange(len(split.test)) < 3
    assert dict(slicer.masks(results.take(some)))["first word 10+"].tolist() == found["first word 10+"][:3].tolist()
