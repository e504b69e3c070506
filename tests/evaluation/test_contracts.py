"""Our own metrics and slices keep the contracts that a third party's have to, and the contracts catch what is wrong."""

from __future__ import annotations

import numpy as np
import pytest

from recbench import registry, testing
from recbench.interfaces import KINDS, ListMetric, MetricPlugin, RankMetric, SlicePlugin, Slicer


class TestCoverage(testing.MetricTests):
    name = "coverage"


class TestNDCG(testing.MetricTests):
    name = "NDCG"


class TestPopularity(testing.MetricTests):
    name = "popularity"


class TestHead(testing.SliceTests):
    name = "head"
    options = {"share": 0.5}


class TestColdLast(testing.SliceTests):
    name = "cold_last"


class Rising(RankMetric):
    """Takes a bad rank for a good one."""

    def values(self, ranks, depth):
        return ranks.astype(float)


class Moving(ListMetric):
    """Depends on the place of a case among the others."""

    def values(self, lists):
        return np.arange(len(lists.items), dtype=float)


class Odd(Slicer):
    """Divides by the place of a case."""

    def masks(self, results):
        return {"odd": np.arange(len(results.users)) % 2 == 1}


class Thief(Slicer):
    """Takes the name of another slice's part."""

    def masks(self, results):
        return {"cold": results.cold}


@pytest.mark.parametrize(
    ("implementation", "method", "said"),
    [
        (Rising, "test_a_better_rank_is_never_worse", "the values of the ranks"),
        (Moving, "test_order_of_cases_does_not_matter", "Not equal"),
        (Odd, "test_order_of_cases_does_not_matter", "'odd' depends on the order"),
        (Thief, "test_names_are_its_own", "the slice 'cold' has parts of the same name: cold"),
    ],
)
def test_what_is_wrong_is_found(implementation, method: str, said: str) -> None:
    descriptor = SlicePlugin if issubclass(implementation, Slicer) else MetricPlugin
    described = descriptor(implementation=implementation, summary="wrong")
    base = testing.contract_of(described)
    wrong = type("Wrong", (base,), {"name": "wrong", "plugin": described})()
    with pytest.raises(AssertionError, match=said):
        getattr(wrong, method)()


def test_every_installed_plugin_has_a_contract() -> None:
    for kind in KINDS:
        for name in registry.names(kind):
            found = testing.contract_of(registry.get(kind, name))
            assert found.kind == kind
            assert found.signal in (None, registry.get(kind, name).signal)
