"""Head and tail targets.

The usual "short head" (Abdollahpouri et al., RecSys 2017): the fifth of the catalogue's items that occurs most often in
training. Items that tie with the last of them are in the head too, so that the definition does not depend on item
order; an item that is not in training is never in the head.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
from pydantic import Field

from recbench.interfaces import Options, SlicePlugin, Slicer
from recbench.types import CaseResults


class HeadOptions(Options):
    """Options of the slice ``head``."""

    share: float = Field(0.2, gt=0, le=1, description="part of the catalogue's items that is the head")


class Head(Slicer[HeadOptions]):
    """By how popular the target is."""

    def masks(self, results: CaseResults) -> Mapping[str, npt.NDArray[np.bool_]]:
        """See :class:`recbench.interfaces.Slicer`; nothing where the items' popularity was not kept."""
        if results.item_popularity is None:
            return {}
        head = results.popularity >= threshold(results.item_popularity, self.options.share)
        return {"head": head, "tail": ~head}


def threshold(counts: npt.NDArray[np.integer], share: float) -> int:
    """The training count from which an item belongs to the head.

    Args:
        counts: [items] occurrences in training.
        share: part of the catalogue's items, in (0, 1].
    """
    if not len(counts):
        return 1
    size = max(1, round(share * len(counts)))
    return max(1, int(np.sort(counts)[::-1][size - 1]))


plugin = SlicePlugin(
    summary="by whether the target is among the most popular fifth of the items (head) or not (tail)",
    implementation=Head,
    options=HeadOptions,
    order=20,
    paper="Abdollahpouri, Burke and Mobasher, RecSys 2017 (https://doi.org/10.1145/3109859.3109912)",
)
