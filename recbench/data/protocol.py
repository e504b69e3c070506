"""Raw interactions to a split, by the protocol of the MSL paper (5.1.1)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from recbench.data.kcore import k_core
from recbench.data.options import Namesakes, ProtocolOptions
from recbench.data.split import chronological
from recbench.data.titles import Titles, catalogue
from recbench.data.windows import sliding_windows
from recbench.errors import DataError
from recbench.types import PAD, Ints, Longs, Sequences, Split


@dataclass(frozen=True)
class Interactions:
    """N raw interactions in file order: original user and item ids, and times."""

    users: Sequence[str]
    items: Sequence[str]
    times: Longs


def id_order(text: str) -> tuple[bool, int, str]:
    """A sort key for original ids: numbers by value before all else by text."""
    number = text.isascii() and text.isdecimal()
    return (not number, int(text) if number else 0, text)


def encode(values: Iterable[str]) -> tuple[tuple[str, ...], Longs]:
    """Distinct ids in :func:`id_order`, and each value's index among them; independent of the order of rows."""
    values = list(values)
    ids = tuple(sorted(set(values), key=id_order))
    index = {name: i for i, name in enumerate(ids)}
    return ids, np.array([index[value] for value in values], dtype=np.int64)


def split_interactions(raw: Interactions, titles: Mapping[str, str], options: ProtocolOptions, origin: str) -> Split:
    """k-core, sliding windows, chronological 8:1:1.

    Args:
        titles: raw title by original item id; may hold items without interactions.
        origin: the file that complaints name.

    Raises:
        DataError: the k-core is empty, an item in it has no title, or there are too few windows to split.
    """
    _, all_users = encode(raw.users)
    _, all_items = encode(raw.items)
    keep = np.flatnonzero(k_core(all_users, all_items, options.core)).tolist()
    if not keep:
        raise DataError(
            f"{origin}: none of {len(all_users)} interactions is left by the {options.core}-core, which asks for at "
            f"least {options.core} interactions of each user and item: add data or lower the option core."
        )
    users, user = encode(raw.users[row] for row in keep)
    ids, item = encode(raw.items[row] for row in keep)
    for name in ids:
        if name not in titles:
            raise DataError(f"{origin}: item {name!r} has no title; every item with interactions needs one.")
    named = catalogue(ids, [titles[name] for name in ids], options.namesakes)
    windows = sliding_windows(user.astype(np.int32), item.astype(np.int32), raw.times[keep], options.window)
    try:
        train, valid, test = chronological(merge(windows, named))
    except DataError as error:
        raise DataError(f"{origin}: {error}") from None
    facts: dict[str, Any] = {
        "raw_interactions": len(all_users),
        "interactions": len(keep),
        "core": options.core,
        "window": options.window,
        **title_facts(named, options.namesakes),
    }
    return Split(named.catalog, users, train, valid, test, facts=facts)


def merge(windows: Sequences, titles: Titles) -> Sequences:
    """The windows in terms of the catalogue, whose namesakes may have become one item.

    Merging comes after windowing, so that both policies rank the same cases.
    """
    index: Ints = np.append(titles.index, np.int32(PAD))  # index[PAD] is PAD
    return Sequences(windows.users, index[windows.history], index[windows.target], windows.time)


def title_facts(titles: Titles, namesakes: Namesakes) -> dict[str, Any]:
    """What the preparation did to the titles, with the policy's name."""
    return {"namesakes": namesakes, **titles.facts}
