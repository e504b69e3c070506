"""The same metrics on parts of the test set: cold and warm targets, head and tail, length of history."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from recbench.evaluation.metrics import evaluate
from recbench.types import CaseResults

HISTORY_BINS = ((0, 4), (5, 9), (10, None))


class Slice(NamedTuple):
    """A part of the test set: its number of cases and the metrics over them (NaN where it is empty)."""

    n_cases: int
    metrics: dict[str, float]


def head_threshold(train_counts: npt.NDArray[np.integer], share: float = 0.2) -> int:
    """The training count from which an item belongs to the head: the ``share`` most popular items.

    The usual "short head" definition (Abdollahpouri et al., RecSys 2017, take 20 % of the items): sort the catalogue
    by training count and take the top ``share`` of it. Items that tie with the last of them are in the head too, so
    that the definition does not depend on item order; an item never seen in training is never in the head.

    Args:
        train_counts: [items] occurrences in training, e.g. ``Split.train_counts()``.
        share: part of the catalogue's items, in (0, 1].
    """
    if not len(train_counts):
        return 1
    size = max(1, round(share * len(train_counts)))
    return max(1, int(np.sort(train_counts)[::-1][size - 1]))


def slices(
    results: CaseResults,
    head: int | None = None,
    history_bins: Sequence[tuple[int, int | None]] = HISTORY_BINS,
) -> dict[str, Slice]:
    """Metrics by slice, averaged over cases and seeds.

    Args:
        results: ranks of every case.
        head: smallest training count of a head item (see ``head_threshold``). None: no head and tail slices, since
            the cases alone do not tell the popularity of items that are nobody's target.
        history_bins: inclusive (shortest, longest) number of history items; None is unbounded.

    Returns:
        ``all``, ``cold``, ``warm``, ``head``, ``tail`` (everything not in the head, cold targets included) and
        ``history 5-9`` and so on, in that order.
    """
    cold = np.asarray(results.cold, dtype=bool)
    masks = {"all": np.ones_like(cold), "cold": cold, "warm": ~cold}
    if head is not None:
        masks["head"] = results.popularity >= head
        masks["tail"] = results.popularity < head
    for low, high in history_bins:
        longest = np.iinfo(np.int32).max if high is None else high
        name = f"history {low}+" if high is None else f"history {low}-{high}"
        masks[name] = (results.history_length >= low) & (results.history_length <= longest)
    return {name: Slice(int(mask.sum()), evaluate(results.ranks[:, mask])) for name, mask in masks.items()}
