"""Cold and warm targets: those that never occur in training, and the others."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from recbench.interfaces import Options, SlicePlugin, Slicer
from recbench.types import CaseResults


class Cold(Slicer[Options]):
    """By whether the target occurs in training."""

    def masks(self, results: CaseResults) -> Mapping[str, npt.NDArray[np.bool_]]:
        """See :class:`recbench.interfaces.Slicer`."""
        cold = np.asarray(results.cold, dtype=bool)
        return {"cold": cold, "warm": ~cold}


plugin = SlicePlugin(
    summary="by whether the target is in no training window (cold) or in one (warm)", implementation=Cold, order=10
)
