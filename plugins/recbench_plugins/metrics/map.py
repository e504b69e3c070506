"""Mean average precision.

Average precision is the mean, over a case's relevant items, of the precision at each one's rank (Buckley and Voorhees,
SIGIR 2000). With one relevant item that is 1 / rank: MAP@k equals MRR@k.
"""

from __future__ import annotations

import numpy as np

from recbench.evaluation import within
from recbench.interfaces import MetricPlugin, Options, RankMetric
from recbench.types import Floats, Ints


class MAP(RankMetric[Options]):
    """1 / rank within the depth: the precision at the only relevant item."""

    def values(self, ranks: Ints, depth: int) -> Floats:
        """See :class:`recbench.interfaces.RankMetric`."""
        return within(ranks, depth, np.reciprocal)


plugin = MetricPlugin(
    summary="mean precision at the relevant items' ranks; with one target it equals MRR",
    implementation=MAP,
    depths=(10,),
    order=50,
    paper="Buckley and Voorhees, SIGIR 2000 (https://doi.org/10.1145/345508.345543)",
)
