"""Mean reciprocal rank.

Paper: Voorhees, TREC-8 1999.
"""

from __future__ import annotations

import numpy as np

from recbench.evaluation import within
from recbench.interfaces import MetricPlugin, Options, RankMetric
from recbench.types import Floats, Ints


class MRR(RankMetric[Options]):
    """1 / rank within the depth."""

    def values(self, ranks: Ints, depth: int) -> Floats:
        """See :class:`recbench.interfaces.RankMetric`."""
        return within(ranks, depth, np.reciprocal)


plugin = MetricPlugin(
    summary="1 / rank within the depth",
    implementation=MRR,
    depths=(10,),
    order=30,
    paper="Voorhees, TREC-8 1999",
)
