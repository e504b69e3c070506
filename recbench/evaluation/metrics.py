"""Every installed metric on a run's results: by name, by case, by seed."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from recbench import registry
from recbench.errors import RecbenchError, UsageError, did_you_mean
from recbench.interfaces import CatalogueMetric, MetricPlugin, RankMetric, TopLists
from recbench.types import CaseResults, Floats


@dataclass(frozen=True)
class Metric:
    """A metric at one depth.

    Attributes:
        family: the entry point's name.
        depth: the number after the @; 0 for a metric without one, which sees whole lists.
        plugin: its descriptor.
    """

    family: str
    depth: int
    plugin: MetricPlugin

    @property
    def name(self) -> str:
        """As in tables: ``NDCG@10``."""
        return f"{self.family}@{self.depth}" if self.depth else self.family

    @property
    def of_ranks(self) -> bool:
        """Whether it needs nothing but ranks."""
        return isinstance(self._implementation, RankMetric)

    @property
    def by_case(self) -> bool:
        """Whether it is a number for each test case, so that users can be compared."""
        return not isinstance(self._implementation, CatalogueMetric)

    @property
    def _implementation(self) -> Any:
        return self.plugin.implementation(self.plugin.options())

    def objection(self, results: CaseResults) -> str:
        """Why it cannot be computed from these results, as the end of a sentence; empty if it can."""
        if self.depth > results.depth:
            return f"{self.name} needs lists of {self.depth} items and these have {results.depth} (evaluate.depth)"
        if self.of_ranks:
            return ""
        if results.top is None or results.item_popularity is None:
            return f"{self.name} needs the top lists, which a record of an older recbench does not have"
        kept = results.top.shape[2]
        if self.depth > kept and kept < len(results.item_popularity):
            return f"{self.name} needs lists of {self.depth} items, of which records keep {kept}"
        return ""

    def values(self, results: CaseResults) -> Floats:
        """[S, N] its value for each seed and case.

        Raises:
            UsageError: it cannot be computed from these results, or is one number for a whole run.
            RecbenchError: the metric's own code fails or returns something else.
        """
        if not self.by_case:
            raise UsageError(f"{self.name} is one number for a whole run, so it cannot be tested over users.")
        self._check(results)
        if self.of_ranks:
            return self._called(results.ranks.shape, results.ranks, self.depth or results.depth)
        n = (len(results.users),)
        return np.stack([self._called(n, lists) for lists in self._lists(results)])

    def by_seed(self, results: CaseResults) -> Floats:
        """[S] its mean over cases for each seed (or the seed's one number); NaN where there are no cases.

        Raises:
            UsageError, RecbenchError: as :meth:`values`.
        """
        if not len(results.users):
            return np.full(len(results.seeds), math.nan)
        if self.by_case:
            return self.values(results).mean(axis=1)
        self._check(results)
        return np.array([float(self._called((), lists)) for lists in self._lists(results)])

    def _check(self, results: CaseResults) -> None:
        if objection := self.objection(results):
            raise UsageError(objection + ".")

    def _lists(self, results: CaseResults) -> list[TopLists]:
        assert results.top is not None
        assert results.item_popularity is not None
        cut = self.depth or results.top.shape[2]
        return [TopLists(items[:, :cut], results.users, results.item_popularity) for items in results.top]

    def _called(self, shape: tuple[int, ...], *arguments: Any) -> Floats:
        """The plugin's own method, whose mistakes are named after it."""
        implementation = self._implementation
        method = implementation.values if self.by_case else implementation.value
        try:
            found = np.asarray(method(*arguments), dtype=np.float64)
        except Exception as error:
            raise RecbenchError(f"{self._who} failed with {type(error).__name__}: {error}") from error
        if found.shape != shape or not np.isfinite(found).all():
            what = "not finite" if found.shape == shape else f"of shape {found.shape} where {shape} is expected"
            raise RecbenchError(f"{self._who} returned values {what}.")
        return found

    @property
    def _who(self) -> str:
        return f"The metric {self.family!r} of {registry.origin('metric', self.family)}"


def metrics() -> list[Metric]:
    """Every installed metric at each depth that its descriptor names, in the order of tables.

    Raises:
        RecbenchError: one cannot be imported; names it.
    """
    plugins = {name: registry.get("metric", name) for name in registry.names("metric")}
    placed = sorted(plugins.items(), key=lambda entry: (entry[1].order, entry[0]))
    return [Metric(name, depth, plugin) for name, plugin in placed for depth in plugin.depths or (0,)]


def metric(name: str) -> Metric:
    """The metric called ``name``: an installed family, @ and any depth.

    Raises:
        UsageError: there is none of that name; suggests the nearest.
    """
    family, at, digits = name.partition("@")
    if family in registry.names("metric") and (digits.isdecimal() and len(digits) < 7 and int(digits) if at else True):
        plugin = registry.get("metric", family)
        if bool(at) == bool(plugin.depths):
            return Metric(family, int(digits) if at else 0, plugin)
    raise UsageError(f"There is no metric {name!r}; {did_you_mean(name, [m.name for m in metrics()])}")


def available(results: CaseResults) -> list[Metric]:
    """The metrics of :func:`metrics` that can be computed from these results."""
    return [found for found in metrics() if not found.objection(results)]


def evaluate(results: CaseResults, by_user: bool = False) -> dict[str, float]:
    """The mean of every available metric over seeds and test cases, NaN where there are no cases.

    Args:
        results: ranks, and top lists where they were kept.
        by_user: also report each metric as ``"<metric> by user"``, the mean over users of each user's own mean (a
            different number: active users have more cases).
    """
    chosen = available(results)
    found = {m.name: float(m.by_seed(results).mean()) for m in chosen}
    if by_user and len(results.users):
        _, index = np.unique(results.users, return_inverse=True)
        for m in (m for m in chosen if m.by_case):
            means = np.bincount(index, weights=m.values(results).mean(axis=0)) / np.bincount(index)
            found[f"{m.name} by user"] = float(means.mean())
    return found


def seed_means(results: CaseResults) -> dict[str, Floats]:
    """Metric name -> [S] its value for each seed: what the spread over seeds is computed from."""
    return {m.name: m.by_seed(results) for m in available(results)}
