"""Facts about a split, and the checks without which no result on it means anything."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from recbench.errors import DataError
from recbench.types import PAD, Sequences, Split

_WORDS = {"train": "training", "valid": "validation", "test": "test"}


def audit(split: Split) -> dict[str, Any]:
    """Check a split and count what a reader of its results should know.

    Returns:
        ``users``, ``items``; ``windows`` by part; ``test_users``; ``top_ten_users_share`` of test windows;
        ``cold_share`` of test targets that occur nowhere in training; ``repeat_share`` of test targets that stand in
        their own history.

    Raises:
        DataError: titles are empty or not distinct; a part is empty; an index is out of range; a window has no
            history; a part is not sorted in time or begins before the one before it ends; a window occurs in two
            parts; a row of the sample is no row of train.
    """
    _check_titles(split)
    parts = {"train": split.train, "valid": split.valid, "test": split.test}
    for name, windows in parts.items():
        _check_windows(split, _WORDS[name], windows)
    for (earlier, a), (later, b) in pairwise(parts.items()):
        if a.time[-1] > b.time[0]:
            raise DataError(
                f"The {_WORDS[later]} windows begin at time {b.time[0]}, before the {_WORDS[earlier]} windows end at "
                f"{a.time[-1]}: each part must come after the one before it."
            )
    for one, other in (("train", "valid"), ("train", "test"), ("valid", "test")):
        if common := len(np.intersect1d(_rows(parts[one]), _rows(parts[other]))):
            raise DataError(
                f"{common} windows occur in both the {_WORDS[one]} and the {_WORDS[other]} set (same user, items and "
                "time): remove the repeated rows."
            )
    rows = split.sample
    if rows is not None and (not len(rows) or rows.min() < 0 or rows.max() >= len(split.train)):
        raise DataError(f"The training sample is empty or names rows beyond the {len(split.train)} training windows.")

    test = split.test
    per_user = np.sort(np.unique(test.users, return_counts=True)[1])[::-1]
    return {
        "users": len(split.users),
        "items": len(split.catalog),
        "windows": {name: len(windows) for name, windows in parts.items()},
        "test_users": len(per_user),
        "top_ten_users_share": round(float(per_user[:10].sum() / len(test)), 4),
        "cold_share": round(float((~split.warm_items()[test.target]).mean()), 4),
        "repeat_share": round(float((test.history == test.target[:, None]).any(axis=1).mean()), 4),
    }


def _check_titles(split: Split) -> None:
    catalog = split.catalog
    if len(catalog.ids) != len(catalog.titles):
        raise DataError(f"The catalogue has {len(catalog.ids)} ids but {len(catalog.titles)} titles.")
    owner: dict[str, str] = {}
    for name, title in zip(catalog.ids, catalog.titles, strict=True):
        if not title.strip():
            raise DataError(f"Item {name!r} has an empty title.")
        if title in owner:
            raise DataError(f"Items {owner[title]!r} and {name!r} share the title {title!r}: titles must be distinct.")
        owner[title] = name


def _check_windows(split: Split, word: str, windows: Sequences) -> None:
    if not len(windows):
        raise DataError(f"The {word} set is empty: it needs at least one window.")
    items, history = len(split.catalog), windows.history
    checks = (
        (windows.users, 0, len(split.users), "user"),
        (windows.target, 0, items, "target"),
        (history, PAD, items, "history item"),
    )
    for values, low, high, what in checks:
        if values.min() < low or values.max() >= high:
            raise DataError(f"The {word} set has a {what} out of range: indices must lie from {low} to {high - 1}.")
    if (history[:, -1] == PAD).any() or ((history[:, 1:] == PAD) & (history[:, :-1] != PAD)).any():
        raise DataError(f"The {word} set has a history that is empty or not padded on the left.")
    if (np.diff(windows.time) < 0).any():
        raise DataError(f"The {word} windows are not sorted by time.")


def _rows(windows: Sequences) -> npt.NDArray[np.void]:
    """[N] each window's user, items and time as one comparable value."""
    columns = (windows.users[:, None], windows.history, windows.target[:, None], windows.time[:, None])
    table = np.ascontiguousarray(np.concatenate([c.astype(np.int64) for c in columns], axis=1))
    return table.view(np.dtype((np.void, table.itemsize * table.shape[1]))).ravel()
