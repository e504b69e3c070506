"""Normalised discounted cumulative gain of a single relevant item.

Paper: Järvelin and Kekäläinen, TOIS 2002, with the log2(rank + 1) discount. With one relevant item the ideal gain is 1,
so NDCG@k is 1 / log2(rank + 1) within the depth.
"""

from __future__ import annotations

from recbench.evaluation import ndcg
from recbench.interfaces import MetricPlugin, Options, RankMetric
from recbench.types import Floats, Ints


class NDCG(RankMetric[Options]):
    """1 / log2(rank + 1) within the depth."""

    def values(self, ranks: Ints, depth: int) -> Floats:
        """See :class:`recbench.interfaces.RankMetric`."""
        return ndcg(ranks, depth)


plugin = MetricPlugin(
    summary="1 / log2(rank + 1) within the depth, the ideal list being 1",
    implementation=NDCG,
    depths=(10, 5),
    order=10,
    paper="Järvelin and Kekäläinen, TOIS 2002 (https://doi.org/10.1145/582415.582418)",
)
