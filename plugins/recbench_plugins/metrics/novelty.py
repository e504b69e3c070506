"""Novelty: the mean self-information of what is recommended, in bits.

Paper: Zhou et al., PNAS 2010 (there "surprisal"); Vargas and Castells, RecSys 2011: the mean of -log2 p(i) over the
items of a case's list, p(i) the share of training interactions that are with item i.

Known differences: one is added to every item's count, so that an item that is not in training has a finite novelty.
"""

from __future__ import annotations

import numpy as np

from recbench.evaluation import mean_of_items
from recbench.interfaces import ListMetric, MetricPlugin, Options, TopLists
from recbench.types import Floats


class Novelty(ListMetric[Options]):
    """Mean self-information of a list's items."""

    def values(self, lists: TopLists) -> Floats:
        """See :class:`recbench.interfaces.ListMetric`; 0 for an empty list."""
        counts = lists.popularity.astype(np.float64) + 1.0
        return mean_of_items(lists.items, -np.log2(counts / counts.sum()))


plugin = MetricPlugin(
    summary="mean self-information of the items in a list, in bits: rare items are novel",
    implementation=Novelty,
    order=140,
    paper="Zhou et al., PNAS 107(10), 2010 (https://doi.org/10.1073/pnas.1000488107)",
)
