"""Catalogue coverage: the share of the catalogue that is recommended at least once.

Paper: Ge, Delgado-Battenfeld and Jannach, RecSys 2010: the items in at least one list, over all items. It grows with
the number of test cases, so compare it on one test set only.
"""

from __future__ import annotations

import numpy as np

from recbench.interfaces import CatalogueMetric, MetricPlugin, Options, TopLists
from recbench.types import PAD


class Coverage(CatalogueMetric[Options]):
    """Distinct items in the lists over items in the catalogue."""

    def value(self, lists: TopLists) -> float:
        """See :class:`recbench.interfaces.CatalogueMetric`."""
        found = np.unique(lists.items)
        return int((found != PAD).sum()) / len(lists.popularity)


plugin = MetricPlugin(
    summary="share of the catalogue that is in at least one list",
    implementation=Coverage,
    order=110,
    paper="Ge, Delgado-Battenfeld and Jannach, RecSys 2010 (https://doi.org/10.1145/1864708.1864761)",
)
