"""Cold targets behind a warm and behind a cold item."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from recbench.lists import results_of
from recbench.testing import tiny_split
from recbench.types import CaseResults
from recbench_plugins.slices.cold_last import plugin


def masks(results: CaseResults) -> dict[str, np.ndarray]:
    return dict(plugin.implementation(plugin.options()).masks(results))


def test_cold_targets_are_divided_by_the_item_before_them() -> None:
    split = tiny_split()
    split = replace(split, train=split.train.take(np.arange(3)))
    seen = set(split.train.target.tolist()) | set(split.train.history[split.train.history >= 0].tolist())
    cases = split.test
    lists = [[split.catalog.ids[0]]] * len(cases)
    found = masks(results_of(lists, split, cases))
    assert list(found) == ["cold, last item warm", "cold, last item cold"]
    for row in range(len(cases)):
        cold, last = int(cases.target[row]) not in seen, int(cases.history[row, -1]) not in seen
        assert found["cold, last item warm"][row] == (cold and not last)
        assert found["cold, last item cold"][row] == (cold and last)
    assert all(part.any() for part in found.values())
    assert not found["cold, last item warm"].all()


def test_a_record_without_last_items_has_no_such_slice() -> None:
    split = tiny_split()
    results = results_of([[split.catalog.ids[0]]] * len(split.test), split, split.test)
    assert masks(replace(results, last=None)) == {}
    assert len(results.take(np.arange(len(split.test)) < 3).last) == 3
