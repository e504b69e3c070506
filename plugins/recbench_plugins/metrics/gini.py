"""Gini index of how unequally items are recommended.

Paper: Fleder and Hosanagar, Management Science 2009. With c_(1) <= ... <= c_(n) how often each of the n items of the
catalogue is in a list, G = sum_i (2 i - n - 1) c_(i) / (n sum_i c_(i)): 0 where all items are recommended equally
often, 1 - K / n where the same K items are recommended to everybody.
"""

from __future__ import annotations

import numpy as np

from recbench.interfaces import CatalogueMetric, MetricPlugin, Options, TopLists
from recbench.types import PAD


class Gini(CatalogueMetric[Options]):
    """Gini index of the items' counts in the lists."""

    def value(self, lists: TopLists) -> float:
        """See :class:`recbench.interfaces.CatalogueMetric`; 0 where nothing was recommended."""
        n = len(lists.popularity)
        counts = np.sort(np.bincount(lists.items[lists.items != PAD], minlength=n)).astype(np.float64)
        total = counts.sum()
        return float((2 * np.arange(1, n + 1) - n - 1) @ counts / (n * total)) if total else 0.0


plugin = MetricPlugin(
    summary="Gini index of the items' counts in the lists: 0 if all are equal, near 1 if few items dominate",
    implementation=Gini,
    order=120,
    paper="Fleder and Hosanagar, Management Science 55(5), 2009 (https://doi.org/10.1287/mnsc.1080.0974)",
)
