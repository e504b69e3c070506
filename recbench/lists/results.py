"""Ranked lists from anywhere as results that metrics can be computed from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from recbench.data.first_words import sharing_first_word
from recbench.errors import UsageError, did_you_mean
from recbench.results import KEPT
from recbench.types import PAD, CaseResults, Ints, Ranking, Sequences, Split


def results_of(rankings: Sequence[Sequence[Any]], data: Split, cases: Sequences) -> CaseResults:
    """The ranks of the cases' targets in ``rankings``, with what is known of each case.

    Args:
        rankings: [N] lists of item ids, titles or indices of the catalogue, best first; short ones are allowed.
        data: the data set.
        cases: [N] what was ranked.

    Raises:
        UsageError: another number of lists than cases, an unknown item, or an item twice in a list.
    """
    if not isinstance(rankings, Iterable) or not all(isinstance(row, Iterable) for row in rankings):
        raise UsageError("the rankings must be lists of items, one for each case.")
    if len(rankings) != len(cases):
        raise UsageError(f"{len(rankings):,} lists for {len(cases):,} cases: each case needs one, empty or not.")
    items = _indices(rankings, data)
    counts = data.train_counts()
    return CaseResults(
        users=cases.users,
        ranks=target_ranks(items, cases.target)[None],
        cold=~data.warm_items()[cases.target],
        history_length=cases.history_length,
        popularity=counts[cases.target].astype(np.int32),
        seeds=(0,),
        depth=items.shape[1],
        top=items[None, :, :KEPT],
        item_popularity=counts.astype(np.int32),
        last=cases.history[:, -1],
        sharing=sharing_first_word(data.catalog.titles)[cases.target],
    )


def target_ranks(items: Ints, target: Ints) -> Ints:
    """[N] where each case's target [N] stands in its list [N, K], 1 is best, 0 for nowhere."""
    return Ranking(items, np.zeros(items.shape, np.float32)).target_ranks(target)


def _indices(rankings: Sequence[Sequence[Any]], data: Split) -> Ints:
    known: Mapping[str, int] = {name: index for index, name in enumerate(data.catalog.ids)}
    # an item's title may be another's id: lists of ids alone are read as ids
    if any(isinstance(item, str) and item not in known for row in rankings for item in row):
        known = {**known, **{title: index for index, title in enumerate(data.catalog.titles)}}
    width = max((len(row) for row in rankings), default=0)
    if not width:
        raise UsageError("every list is empty: there is nothing to evaluate.")
    grid = np.full((len(rankings), width), PAD, np.int32)
    for number, row in enumerate(rankings):
        found = [_index(item, known, len(data.catalog), number) for item in row]
        if len(set(found)) < len(found):
            raise UsageError(f"list {number} recommends an item twice.")
        grid[number, : len(found)] = found
    return grid


def _index(item: Any, known: Mapping[str, int], items: int, number: int) -> int:
    if isinstance(item, int | np.integer) and not isinstance(item, bool):
        if not 0 <= item < items:
            raise UsageError(f"list {number}: item {item} is out of range; indices go from 0 to {items - 1}.")
        return int(item)
    if not isinstance(item, str) or item not in known:
        raise UsageError(
            f"list {number}: {item!r} is not in the catalogue; {did_you_mean(str(item), list(known)[:2000])}"
        )
    return known[item]
