"""The contract of metrics and slices."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from recbench import evaluation, registry
from recbench.evaluation.slices import parts_of, slice_names
from recbench.interfaces import CatalogueMetric, MetricPlugin, RankMetric, SlicePlugin, TopLists
from recbench.testing.contract import Contract
from recbench.testing.data import tiny_results
from recbench.types import PAD, CaseResults


class MetricTests(Contract):
    """A metric of any of the three kinds."""

    kind = "metric"

    @property
    def plugin(self) -> MetricPlugin:
        """The descriptor."""
        return registry.get("metric", self.name)

    def value(self, results: CaseResults) -> npt.NDArray[np.float64]:
        """What a fresh instance makes of the first seed: one value a case, or one for all."""
        metric: Any = self.make()
        depth = next(iter(self.plugin.depths), results.depth)
        if isinstance(metric, RankMetric):
            return np.asarray(metric.values(results.ranks[0], min(depth, results.depth)), np.float64)
        assert results.top is not None
        assert results.item_popularity is not None
        lists = TopLists(results.top[0][:, :depth], results.users, results.item_popularity)
        found = metric.value(lists) if isinstance(metric, CatalogueMetric) else metric.values(lists)
        return np.asarray(found, np.float64)

    def test_values(self) -> None:
        """Finite: one for each case, or one number for the whole run."""
        results = tiny_results()
        found = self.value(results)
        whole = isinstance(self.make(), CatalogueMetric)
        assert found.shape == (() if whole else results.users.shape)
        assert np.isfinite(found).all()

    def test_repeats(self) -> None:
        """The same call gives the same bits, and leaves what it was given as it was."""
        results = tiny_results()
        before = tiny_results()
        assert np.array_equal(self.value(results), self.value(results))
        for name in ("ranks", "users", "top", "item_popularity"):
            assert np.array_equal(getattr(results, name), getattr(before, name)), f"the metric changes {name}"

    def test_order_of_cases_does_not_matter(self) -> None:
        """A case's value moves with it."""
        results = tiny_results()
        order = np.random.default_rng(4).permutation(len(results.users))
        assert results.top is not None
        moved = replace(results, users=results.users[order], ranks=results.ranks[:, order], top=results.top[:, order])
        found = self.value(results)
        np.testing.assert_allclose(self.value(moved), found[order] if found.ndim else found, rtol=1e-12)

    def test_a_better_rank_is_never_worse(self) -> None:
        """Of rank metrics: values fall with the rank, and a target beyond the depth has the lowest."""
        metric: Any = self.make()
        if not isinstance(metric, RankMetric):
            pytest.skip("it is computed from lists")
        values = np.asarray(metric.values(np.array([*range(1, 11), 0]), 10), np.float64)
        assert (np.diff(values) <= 0).all(), f"the values of the ranks 1 to 10 and of none are {values}"
        assert values[0] > values[-1], "a target at the top is worth no more than a missing one"

    def test_empty_places(self) -> None:
        """Lists that end early, or hold nothing, have finite values too."""
        results = tiny_results()
        assert results.top is not None
        top = results.top.copy()
        top[:, :, 5:] = PAD
        top[:, 0] = PAD
        assert np.isfinite(self.value(replace(results, top=top, ranks=np.zeros_like(results.ranks)))).all()

    def test_stands_in_tables(self) -> None:
        """Tables find it by its name, at each depth that its descriptor names."""
        for depth in self.plugin.depths or (0,):
            metric = evaluation.metric(f"{self.name}@{depth}" if depth else self.name)
            results = tiny_results()
            if not metric.objection(results):
                assert metric.by_seed(results).shape == (len(results.seeds),)


class SliceTests(Contract):
    """A way to divide the test set."""

    kind = "slice"

    @property
    def plugin(self) -> SlicePlugin:
        """The descriptor."""
        return registry.get("slice", self.name)

    def masks(self, results: CaseResults) -> dict[str, npt.NDArray[np.bool_]]:
        """What a fresh instance makes of some results."""
        return dict(self.make().masks(results))

    def test_masks(self) -> None:
        """Boolean masks over the cases, by names of one line, at least one of which holds a case."""
        results = tiny_results()
        parts = self.masks(results)
        for name, mask in parts.items():
            assert isinstance(name, str), f"a part is called {name!r}, where text is needed"
            assert name.strip(), "a part's name is empty"
            assert name.isprintable(), f"a part's name is not one line of text: {name!r}"
            assert np.asarray(mask).dtype == np.bool_, f"the mask of {name!r} is not boolean"
            assert np.shape(mask) == results.users.shape, f"the mask of {name!r} has shape {np.shape(mask)}"
        assert any(mask.any() for mask in parts.values()), "no part holds a single case"

    def test_repeats(self) -> None:
        """The same results give the same parts."""
        first, second = (self.masks(tiny_results()) for _ in range(2))
        assert list(first) == list(second)
        assert all(np.array_equal(first[name], second[name]) for name in first)

    def test_order_of_cases_does_not_matter(self) -> None:
        """A case stays in its part, wherever it stands."""
        results = tiny_results()
        order = np.random.default_rng(4).permutation(len(results.users))
        whole, moved = self.masks(results), self.masks(_moved(results, order))
        assert whole.keys() == moved.keys()
        for name, mask in whole.items():
            assert np.array_equal(moved[name], mask[order]), f"{name!r} depends on the order of the cases"

    def test_older_records(self) -> None:
        """Records of an older recbench lack some columns: there are then other parts or none, and no error."""
        results = tiny_results()
        bare = replace(results, top=None, item_popularity=None, last=None, sharing=None)
        for mask in self.masks(bare).values():
            assert np.shape(mask) == results.users.shape

    def test_names_are_its_own(self) -> None:
        """No other installed slice has a part of the same name: tables could not tell them apart."""
        results = tiny_results()
        own = set(self.masks(results))
        for other in slice_names():
            if other != self.name:
                shared = own & parts_of(other, results).keys()
                assert not shared, f"the slice {other!r} has parts of the same name: {', '.join(sorted(shared))}"


def _moved(results: CaseResults, order: npt.NDArray[np.integer]) -> CaseResults:
    assert results.top is not None
    assert results.last is not None
    assert results.sharing is not None
    return replace(
        results,
        users=results.users[order],
        ranks=results.ranks[:, order],
        cold=results.cold[order],
        history_length=results.history_length[order],
        popularity=results.popularity[order],
        top=results.top[:, order],
        last=results.last[order],
        sharing=results.sharing[order],
    )
