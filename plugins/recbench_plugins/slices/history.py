"""Length of the history: up to 4 items, 5 to 9, 10 or more."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from recbench.interfaces import Options, SlicePlugin, Slicer
from recbench.types import CaseResults

BINS = ((0, 4), (5, 9), (10, None))


class History(Slicer[Options]):
    """By how many items the history holds."""

    def masks(self, results: CaseResults) -> Mapping[str, npt.NDArray[np.bool_]]:
        """See :class:`recbench.interfaces.Slicer`."""
        length, found = results.history_length, {}
        for low, high in BINS:
            name = f"history {low}+" if high is None else f"history {low}-{high}"
            found[name] = (length >= low) & (length <= (np.iinfo(np.int32).max if high is None else high))
        return found


plugin = SlicePlugin(
    summary="by the number of items in the history: 0-4, 5-9, 10 or more", implementation=History, order=30
)
