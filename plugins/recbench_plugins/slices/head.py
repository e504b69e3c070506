"""Head, torso and tail targets.

The head is the usual "short head" (Abdollahpouri et al., RecSys 2017): the fifth of the catalogue's items that occurs
most often in training. Abdollahpouri et al. (FLAIRS 2019) also divide what follows, into items that collaborative
filtering can learn (here the torso) and the "distant tail" of those that it hardly sees (here the tail). Their second
border is drawn into a figure without a number; ours is half of the catalogue.

Items that tie with the last one above a border are above it too, so that the parts do not depend on item order. An item
that is not in training is always in the tail.
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

    share: float = Field(0.2, gt=0, le=1, description="share of the catalogue's items in the head")
    torso: float = Field(0.3, ge=0, le=1, description="share of the catalogue's items in the torso")


class Head(Slicer[HeadOptions]):
    """By how popular the target is."""

    def masks(self, results: CaseResults) -> Mapping[str, npt.NDArray[np.bool_]]:
        """See :class:`recbench.interfaces.Slicer`; nothing where the items' popularity was not kept."""
        if results.item_popularity is None:
            return {}
        counts, options = results.item_popularity, self.options
        head = results.popularity >= threshold(counts, options.share)
        above = results.popularity >= threshold(counts, min(options.share + options.torso, 1.0))
        return {"head": head, "torso": above & ~head, "tail": ~above}


def threshold(counts: npt.NDArray[np.integer], share: float) -> int:
    """The training count from which an item belongs to the most popular ``share``.

    Args:
        counts: [items] occurrences in training.
        share: part of the catalogue's items, in (0, 1].
    """
    if not len(counts):
        return 1
    size = max(1, round(share * len(counts)))
    return max(1, int(np.sort(counts)[::-1][size - 1]))


plugin = SlicePlugin(
    summary="by the target's popularity: the most popular fifth of the items (head), the next ones up to half "
    "of them (torso), the rest (tail)",
    implementation=Head,
    options=HeadOptions,
    order=20,
    paper="Abdollahpouri, Burke and Mobasher, RecSys 2017 (https://doi.org/10.1145/3109859.3109912)",
)
