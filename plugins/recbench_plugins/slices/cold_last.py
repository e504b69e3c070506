"""Cold targets by whether the last item of the history is cold too.

Why they are told apart: a recommender of items never trains the vector of an item that training lacks. All such vectors
drift the same way (on ml-100k with SASRec the cosine of any two of them is above .93), so they rise and fall together:
if the history ends with a cold item, its state points in the same direction, and all cold items rise to the top,
including the target. Such a hit shows that a new item follows a new item, not that the model knows which. A cold target
behind a warm last item cannot be hit that way.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from recbench.interfaces import Options, SlicePlugin, Slicer
from recbench.types import CaseResults


class ColdLast(Slicer[Options]):
    """Cold targets, by the item before them."""

    def masks(self, results: CaseResults) -> Mapping[str, npt.NDArray[np.bool_]]:
        """See :class:`recbench.interfaces.Slicer`; nothing where a record does not hold the last items."""
        if results.last is None or results.item_popularity is None:
            return {}
        cold, last = np.asarray(results.cold, dtype=bool), results.item_popularity[results.last] == 0
        return {"cold, last item warm": cold & ~last, "cold, last item cold": cold & last}


plugin = SlicePlugin(
    summary="cold targets, by whether the last item of the history is in a training window",
    implementation=ColdLast,
    order=11,
)
