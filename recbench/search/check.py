"""What a decoder returned, checked before anything is computed from it."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from recbench.errors import RecbenchError
from recbench.types import PAD, Histories, Ranking

ROWS = 4096  # cases compared with their histories at a time: bounds memory


def checked(
    ranking: Ranking,
    cases: Histories,
    depth: int,
    items: int,
    exclude_history: bool,
    who: str,
    numbers: npt.NDArray[np.integer] | None = None,
) -> Ranking:
    """``ranking`` with int32 items and float32 scores, if it is one of ``cases``.

    Args:
        ranking: what ``who`` returned.
        cases: N histories that were to be ranked.
        depth: length of each list.
        items: size of the catalogue.
        exclude_history: whether items of the history were to be left out.
        who: names the plugin: ``decoder 'mine' of my-dist 0.1``.
        numbers: [N] what each case is called where a sentence names one; from 0 on by default.

    Raises:
        RecbenchError: it is not [N, depth] distinct items of the catalogue and descending scores, ``PAD`` and -inf
            behind them; names ``who`` and the first case that is wrong.
    """
    if not isinstance(ranking, Ranking):
        raise RecbenchError(f"{_upper(who)} returned {type(ranking).__name__}, where a Ranking is needed.")
    found, scores, shape = ranking.items, ranking.scores, (len(cases), depth)
    _check_arrays(found, scores, shape, who)
    scores = scores.astype(np.float32)
    called = np.arange(len(cases)) if numbers is None else numbers
    empty = found == PAD
    ordered = np.sort(found, axis=1)
    with np.errstate(invalid="ignore"):
        rising = scores[:, 1:] > scores[:, :-1]
    faults = [
        ((found < PAD) | (found >= items), f"an item outside the catalogue of {items} items"),
        (empty[:, :-1] & ~empty[:, 1:], "an empty place before an item"),
        ((ordered[:, 1:] == ordered[:, :-1]) & (ordered[:, 1:] != PAD), "an item twice"),
        (np.isnan(scores), "a score that is NaN"),
        (np.isposinf(scores), "an infinite score"),
        (empty & ~np.isneginf(scores), "a score other than -inf for an empty place"),
        (rising, "scores that do not descend"),
    ]
    for wrong, what in faults:
        _refuse(wrong.any(axis=1), what, who, called)
    if exclude_history:
        _refuse(_shown_before(found, cases.history), "an item of the history, which was to be left out", who, called)
    share = ranking.invalid_share
    if share is not None and not 0 <= share <= 1:
        raise RecbenchError(f"{_upper(who)} returned {share} as invalid_share, where a share from 0 to 1 is needed.")
    if (count := ranking.generated) is not None and (not isinstance(count, int | np.integer) or count < 0):
        raise RecbenchError(f"{_upper(who)} returned {count!r} as generated, where a number of titles is needed.")
    share = None if share is None else float(share)
    return Ranking(found.astype(np.int32), scores, share, None if count is None else int(count))


def _check_arrays(items: object, scores: object, shape: tuple[int, int], who: str) -> None:
    for name, array, kind, wanted in (("items", items, "iu", "whole numbers"), ("scores", scores, "fiu", "numbers")):
        if not isinstance(array, np.ndarray):
            raise RecbenchError(f"{_upper(who)} returned {type(array).__name__} as {name}, where an array is needed.")
        if array.dtype.kind not in kind:
            raise RecbenchError(f"{_upper(who)} returned {name} of type {array.dtype}, where {wanted} are needed.")
        if array.shape != shape:
            raise RecbenchError(
                f"{_upper(who)} returned {name} of shape {array.shape}, where {shape[0]} cases and {shape[1]} places "
                f"make {shape}."
            )


def _shown_before(items: npt.NDArray[np.integer], history: npt.NDArray[np.integer]) -> npt.NDArray[np.bool_]:
    """[N] whether a list holds an item of its case's history."""
    found = np.zeros(len(items), bool)
    for start in range(0, len(items), ROWS):
        part, past = items[start : start + ROWS], history[start : start + ROWS]
        same = (part[:, :, None] == past[:, None, :]) & (part[:, :, None] != PAD)
        found[start : start + ROWS] = same.any(axis=(1, 2))
    return found


def _refuse(wrong: npt.NDArray[np.bool_], what: str, who: str, called: npt.NDArray[np.integer]) -> None:
    if wrong.any():
        raise RecbenchError(f"{_upper(who)} returned {what}, case {int(called[wrong].min())}.")


def _upper(who: str) -> str:
    return who[:1].upper() + who[1:]
