"""Mean popularity of what is recommended.

Paper: average recommendation popularity (ARP) of Yin et al., VLDB 2012, as in Abdollahpouri, Burke and Mobasher, FLAIRS
2019: the mean training count of the items of a case's list, averaged over cases.
"""

from __future__ import annotations

from recbench.evaluation import mean_of_items
from recbench.interfaces import ListMetric, MetricPlugin, Options, TopLists
from recbench.types import Floats


class Popularity(ListMetric[Options]):
    """Mean training count of a list's items."""

    def values(self, lists: TopLists) -> Floats:
        """See :class:`recbench.interfaces.ListMetric`; 0 for an empty list."""
        return mean_of_items(lists.items, lists.popularity)


plugin = MetricPlugin(
    summary="mean number of training interactions of the items in a list",
    implementation=Popularity,
    order=130,
    paper="Abdollahpouri, Burke and Mobasher, FLAIRS 2019 (https://arxiv.org/abs/1901.07555)",
)
