"""Correction for several comparisons made at once."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from recbench.types import Floats


def holm(pvalues: Sequence[float] | Floats) -> Floats:
    """Holm's step-down adjusted p-values, in the order given (Holm, Scand. J. Stat. 1979).

    The i-th smallest of m p-values is multiplied by m - i + 1; adjusted values never decrease along the order and
    never exceed 1. Rejecting where the result is <= alpha keeps the family-wise error at alpha under any dependence.

    Args:
        pvalues: [m] p-values of one declared family; may be empty.
    """
    p = np.asarray(pvalues, dtype=np.float64)
    order = np.argsort(p, kind="stable")
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(1.0, np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1)))
    return adjusted
