"""Recall: the share of a case's relevant items that are in the list.

With one relevant item per case, Recall@k equals HR@k. It is reported at a depth at which the hit rate is not.
"""

from __future__ import annotations

import numpy as np

from recbench.evaluation import within
from recbench.interfaces import MetricPlugin, Options, RankMetric
from recbench.types import Floats, Ints


class Recall(RankMetric[Options]):
    """Whether rank <= depth."""

    def values(self, ranks: Ints, depth: int) -> Floats:
        """See :class:`recbench.interfaces.RankMetric`."""
        return within(ranks, depth, np.ones_like)


plugin = MetricPlugin(
    summary="share of relevant items in the list; with one target it is HR",
    implementation=Recall,
    depths=(20,),
    order=40,
)
