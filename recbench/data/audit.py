"""Facts about a split, and the checks without which no result on it means anything."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from recbench.data.protocols import WORDS, protocol
from recbench.errors import DataError
from recbench.types import PAD, Longs, Sequences, Split

REPEATED = 0.01
"""Largest share of a part's windows that may occur in an earlier part at another time.

Someone who plays one song again and again repeats windows legitimately; ml-100k, Book and Toy have none. Below this
share a model that knows them by heart gains less than .01 of any metric; a copied test set lies far above.
"""


def audit(split: Split, repeats: bool = False) -> dict[str, Any]:
    """Check a split and count what a reader of its results should know.

    Args:
        repeats: windows may occur in two parts at different times, however many do.

    Returns:
        ``users``, ``items``; ``windows`` by part; ``test_users``; ``top_ten_users_share`` of test windows;
        ``cold_share`` of test targets that occur nowhere in training; ``repeat_share`` of test targets that occur in
        their own history; ``test_windows_seen`` (user, history and target of a training or validation window, at
        another time); ``test_targets_seen`` (the user has the item in a training or validation window).

    Raises:
        DataError: titles are empty or not distinct; a part is empty; an index is out of range; a window has no
            history; a part is not sorted in time; the parts break the rule of the protocol that
            ``facts["protocol"]`` names (``released`` where it names none); a window occurs in two parts, at the same
            time or, beyond a share of :data:`REPEATED`, at another; a row of the sample is not a row of train.
    """
    _check_titles(split)
    parts = {"train": split.train, "valid": split.valid, "test": split.test}
    for name, windows in parts.items():
        _check_windows(split, WORDS[name], windows)
    protocol(str(split.facts.get("protocol", "released"))).check(split)
    for one, other in (("train", "valid"), ("train", "test"), ("valid", "test")):
        _check_disjoint(WORDS[one], parts[one], WORDS[other], parts[other], repeats)
    rows = split.sample
    if rows is not None and (not len(rows) or rows.min() < 0 or rows.max() >= len(split.train)):
        raise DataError(f"The training sample is empty or names rows beyond the {len(split.train)} training windows.")

    test, earlier = split.test, (split.train, split.valid)
    per_user = np.sort(np.unique(test.users, return_counts=True)[1])[::-1]
    windows_seen = np.logical_or.reduce([np.isin(_rows(test, time=False), _rows(p, time=False)) for p in earlier])
    targets_seen = np.logical_or.reduce(
        [np.isin(_pairs(split, test, history=False), _pairs(split, p)) for p in earlier]
    )
    return {
        "users": len(split.users),
        "items": len(split.catalog),
        "windows": {name: len(windows) for name, windows in parts.items()},
        "test_users": len(per_user),
        "top_ten_users_share": round(float(per_user[:10].sum() / len(test)), 4),
        "cold_share": round(float((~split.warm_items()[test.target]).mean()), 4),
        "repeat_share": round(float((test.history == test.target[:, None]).any(axis=1).mean()), 4),
        "test_windows_seen": int(windows_seen.sum()),
        "test_targets_seen": int(targets_seen.sum()),
    }


def _check_disjoint(one: str, a: Sequences, other: str, b: Sequences, repeats: bool) -> None:
    if common := len(np.intersect1d(_rows(a), _rows(b))):
        raise DataError(
            f"{common} windows occur in both the {one} and the {other} set (same user, items and time): remove the "
            "repeated rows."
        )
    seen = int(np.isin(_rows(b, time=False), _rows(a, time=False)).sum())
    if seen > REPEATED * len(b) and not repeats:
        raise DataError(
            f"{seen} of {len(b)} {other} windows are {one} windows at another time (same user and items), more than "
            f"{REPEATED:.0%}: the {one} set holds the answers. Remove the repeated rows, or set "
            "dataset.repeated_windows=counted if users do repeat themselves."
        )


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


def _rows(windows: Sequences, time: bool = True) -> npt.NDArray[np.void]:
    """[N] each window's user, items and (unless ``time`` is False) time as one comparable value."""
    columns: tuple[npt.NDArray[Any], ...]
    columns = (windows.users[:, None], windows.history, windows.target[:, None], windows.time[:, None])
    table = np.ascontiguousarray(np.concatenate([c.astype(np.int64) for c in columns[: 4 if time else 3]], axis=1))
    return table.view(np.dtype((np.void, table.itemsize * table.shape[1]))).ravel()


def _pairs(split: Split, windows: Sequences, history: bool = True) -> Longs:
    """User and item of every target and (unless ``history`` is False) every history item, as one number a pair."""
    items = np.concatenate([windows.history, windows.target[:, None]], axis=1) if history else windows.target[:, None]
    pairs = windows.users.astype(np.int64)[:, None] * len(split.catalog) + items
    return pairs[items != PAD]
