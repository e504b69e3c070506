"""Hit rate: the share of cases whose target is in the list.

With one relevant item per case, it equals recall.
"""

from __future__ import annotations

import numpy as np

from recbench.evaluation import within
from recbench.interfaces import MetricPlugin, Options, RankMetric
from recbench.types import Floats, Ints


class HR(RankMetric[Options]):
    """Whether rank <= depth."""

    def values(self, ranks: Ints, depth: int) -> Floats:
        """See :class:`recbench.interfaces.RankMetric`."""
        return within(ranks, depth, np.ones_like)


plugin = MetricPlugin(
    summary="share of cases whose target is in the list (with one target: recall)",
    implementation=HR,
    depths=(10, 5),
    order=20,
)
