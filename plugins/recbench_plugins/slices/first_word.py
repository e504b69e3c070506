"""How many titles of the catalogue begin with the first word of the target's: 1, 2 to 9, 10 or more.

A model that writes titles chooses among these once it has written the first word. It counts words, not tokens, so that
the parts are the same for every tokenizer and two models can be compared within a part.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from recbench.interfaces import Options, SlicePlugin, Slicer
from recbench.types import CaseResults


class FirstWord(Slicer[Options]):
    """By the fan-out of the target's first word."""

    def masks(self, results: CaseResults) -> Mapping[str, npt.NDArray[np.bool_]]:
        """See :class:`recbench.interfaces.Slicer`; nothing where a record does not hold the numbers of titles."""
        if results.sharing is None:
            return {}
        alone, many = results.sharing == 1, results.sharing >= 10
        return {"first word 1": alone, "first word 2-9": ~alone & ~many, "first word 10+": many}


plugin = SlicePlugin(
    summary="by how many titles begin with the same word as the target's title: 1, 2-9, 10 or more",
    implementation=FirstWord,
    order=40,
)
