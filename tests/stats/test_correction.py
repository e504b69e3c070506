"""Holm against its definition, and against statsmodels where that is installed."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recbench.stats import holm

PVALUES = st.lists(st.floats(0, 1), max_size=12)


def rejected(pvalues: list[float], alpha: float) -> list[bool]:
    """Holm's procedure as written: go up the sorted p-values and stop at the first failure."""
    result = [False] * len(pvalues)
    for step, i in enumerate(sorted(range(len(pvalues)), key=lambda i: pvalues[i])):
        if pvalues[i] * (len(pvalues) - step) > alpha:
            break
        result[i] = True
    return result


@given(PVALUES, st.floats(0.001, 0.999))
def test_rejects_what_the_procedure_rejects(pvalues: list[float], alpha: float) -> None:
    assert (holm(pvalues) <= alpha).tolist() == rejected(pvalues, alpha)


@given(PVALUES)
def test_never_below_the_raw_p_nor_above_one(pvalues: list[float]) -> None:
    adjusted = holm(pvalues)
    assert (adjusted >= np.array(pvalues)).all()
    assert (adjusted <= 1).all()
    if len(pvalues) == 1:
        assert adjusted.tolist() == pvalues


def test_agrees_with_statsmodels() -> None:
    multitest = pytest.importorskip("statsmodels.stats.multitest", reason="statsmodels is not installed")
    pvalues = np.random.default_rng(0).random(20) ** 3
    np.testing.assert_allclose(holm(pvalues), multitest.multipletests(pvalues, method="holm")[1])
