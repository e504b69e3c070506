"""Lists from Python: what their items are called."""

from __future__ import annotations

from dataclasses import replace

import pytest

from recbench.errors import UsageError
from recbench.lists import results_of
from recbench.testing import tiny_split


def test_ids_are_ids_even_where_they_are_another_items_title() -> None:
    split = tiny_split()
    ids, titles = split.catalog.ids, list(split.catalog.titles)
    titles[1] = ids[0]  # as the game 1849 is
    split = replace(split, catalog=replace(split.catalog, titles=tuple(titles)))
    targets = split.test.target.tolist()
    assert (results_of([[ids[t]] for t in targets], split, split.test).ranks == 1).all()
    assert (results_of([[titles[t]] for t in targets], split, split.test).ranks == 1).all()


def test_an_unknown_item_is_named() -> None:
    split = tiny_split()
    with pytest.raises(UsageError, match="list 0: 'nothing' is not in the catalogue"):
        results_of([["nothing"]] * len(split.test), split, split.test)
