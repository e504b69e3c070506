"""The best items by their scores."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from recbench.errors import RecbenchError
from recbench.types import PAD, Histories, Ranking


def top(scores: npt.NDArray[np.floating], cases: Histories, depth: int, exclude_history: bool) -> Ranking:
    """The ``depth`` best-scored items of each case; equal scores in catalogue order.

    Args:
        scores: [N, items], higher is better; -inf leaves an item out.
        cases: N histories.
        depth: length of the lists; places without an item hold ``PAD``.
        exclude_history: leave out the items of each history.

    Raises:
        RecbenchError: a score is NaN.
    """
    if np.isnan(scores).any():
        raise RecbenchError(
            f"{np.isnan(scores).sum():,} of {scores.size:,} scores are not numbers (NaN), so the catalogue cannot be "
            "sorted by them: the training diverged (lower train.learning_rate)."
        )
    if exclude_history:
        row, column = np.nonzero(cases.history != PAD)
        scores = scores.copy()
        scores[row, cases.history[row, column]] = -np.inf
    order = np.argsort(-scores, axis=1, kind="stable")[:, :depth]
    best = np.take_along_axis(scores, order, axis=1)
    items = np.full((len(scores), depth), PAD, np.int32)
    kept = np.full((len(scores), depth), -np.inf, np.float32)
    items[:, : order.shape[1]] = np.where(np.isneginf(best), PAD, order)
    kept[:, : order.shape[1]] = best
    return Ranking(items, kept)
