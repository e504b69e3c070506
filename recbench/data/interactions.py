"""Raw interactions to a split: identical rows, k-core, titles, then a protocol's windows and parts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np

from recbench.data.kcore import k_core
from recbench.data.options import Namesakes, ProtocolOptions
from recbench.data.protocols import protocol
from recbench.data.titles import Titles, catalogue
from recbench.errors import DataError, short
from recbench.types import PAD, Ints, Longs, Sequences, Split


@dataclass(frozen=True)
class Interactions:
    """N raw interactions in file order: original user and item ids, and times."""

    users: Sequence[str]
    items: Sequence[str]
    times: Longs


def id_order(text: str) -> tuple[bool, int, str, str]:
    """A sort key for original ids: numbers by value, of any length, before all else by text."""
    number = text.isascii() and text.isdecimal()
    digits = text.lstrip("0") if number else ""
    return (not number, len(digits), digits, text)


def encode(values: Iterable[str]) -> tuple[tuple[str, ...], Longs]:
    """Distinct ids in :func:`id_order`, and each value's index among them; independent of the order of rows."""
    values = list(values)
    ids = tuple(sorted(set(values), key=id_order))
    index = {name: i for i, name in enumerate(ids)}
    return ids, np.array([index[value] for value in values], dtype=np.int64)


def split_interactions(raw: Interactions, titles: Mapping[str, str], options: ProtocolOptions, origin: str) -> Split:
    """Identical rows, k-core, titles, then windows and parts by ``options.protocol``.

    Args:
        titles: raw title by original item id; may hold items without interactions.
        origin: the file that complaints name.

    Raises:
        DataError: the times are not of one kind, the k-core is empty, an item in it has no title, or there is too
            little to split.
    """
    if wrong := strange_times(raw.times):
        raise DataError(f"{origin}: {wrong}")
    _, all_users = encode(raw.users)
    _, all_items = encode(raw.items)
    rows, identical = _distinct(all_users, all_items, raw.times, options)
    keep = rows[k_core(all_users[rows], all_items[rows], options.core)].tolist()
    if not keep:
        raise DataError(
            f"{origin}: the {options.core}-core leaves none of {len(rows)} interactions, since it needs at least "
            f"{options.core} interactions per user and item; add data or lower the option core."
        )
    users, user = encode(raw.users[row] for row in keep)
    ids, item = encode(raw.items[row] for row in keep)
    for name in ids:
        if name not in titles:
            raise DataError(f"{origin}: item {short(name)} has no title; every item with interactions needs one.")
    try:
        named = catalogue(ids, [titles[name] for name in ids], options.namesakes)
        cut = protocol(options.protocol).cut
        if cut is None:
            raise DataError(f"the protocol {options.protocol} does not cut raw interactions.")
        parts, counts = cut(user.astype(np.int32), item.astype(np.int32), raw.times[keep], options.window)
    except DataError as error:
        raise DataError(f"{origin}: {error}") from None
    facts: dict[str, Any] = {
        "protocol": options.protocol,
        "raw_interactions": len(all_users),
        "interactions": len(keep),
        f"identical_rows_{options.identical_rows}": identical,
        "core": options.core,
        "window": options.window,
        **counts,
        **title_facts(named, options.namesakes),
    }
    train, valid, test = (merge(part, named) for part in parts)
    return Split(named.catalog, users, train, valid, test, facts=facts)


DATES = 10**8
"""From here on a time can be a date: seconds since 1970 reach it in 1973. Times that count from anything else begin
below it."""
MILLISECONDS, MICROSECONDS = 10**11, 10**14
"""From here on a time is in milliseconds or microseconds since 1970: seconds reach the first in the year 5138."""


def strange_times(times: Longs) -> str:
    """What shows that times do not say when something happened; empty if nothing does."""
    missing = (times <= 0) & (times > -1000)
    there = times[~missing]
    if len(times) > 1 and times.min() == times.max():
        return f"all timestamps are {times[0]}, so there is no order in time to split by."
    # dates lie further from 1970 than from each other; relative times may begin with a true 0
    if missing.any() and len(there) and there.min() >= max(DATES, there.max() - there.min()):
        said = f"{int(missing.sum()):,} of {len(times):,} timestamps are no dates, such as {times[missing][0]}"
        return f"{said}: leave out interactions without a time."
    large, small = there[there >= MILLISECONDS], there[(there >= DATES) & (there < MILLISECONDS)]
    if len(large) and len(small) and large.min() > 100 * small.max():
        return f"{len(large):,} of {len(times):,} timestamps are in milliseconds, the others in seconds: use one unit."
    return ""


def day(time: int) -> str:
    """The day (UTC) of a time in seconds, milli- or microseconds since 1970; empty for one that is no date."""
    unit = 10**6 if time >= MICROSECONDS else 1000 if time >= MILLISECONDS else 1
    if abs(time) < DATES:
        return ""
    try:
        return datetime.fromtimestamp(int(time) / unit, UTC).date().isoformat()
    except (OverflowError, OSError, ValueError):
        return ""


def _distinct(users: Longs, items: Longs, times: Longs, options: ProtocolOptions) -> tuple[Longs, int]:
    """The rows that are kept, in file order, and how many repeat an earlier one's user, item and time."""
    order = np.lexsort((times, items, users))  # stable: of identical rows the earliest comes first
    new = np.ones(len(users), dtype=bool)
    new[1:] = np.logical_or.reduce([column[order][1:] != column[order][:-1] for column in (users, items, times)])
    keep = np.arange(len(users)) if options.identical_rows == "kept" else np.sort(order[new])
    return keep, int((~new).sum())


def merge(windows: Sequences, titles: Titles) -> Sequences:
    """The windows in terms of the catalogue, whose namesakes may have become one item.

    Merging comes after windowing, so that both policies rank the same cases.
    """
    index: Ints = np.append(titles.index, np.int32(PAD))  # index[PAD] is PAD
    return Sequences(windows.users, index[windows.history], index[windows.target], windows.time)


def title_facts(titles: Titles, namesakes: Namesakes) -> dict[str, Any]:
    """What the preparation did to the titles, with the policy's name."""
    return {"namesakes": namesakes, **titles.facts}
