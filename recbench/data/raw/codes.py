"""Interactions as integers: all that is kept of a raw file is a number for each user, item and time."""

from __future__ import annotations

from array import array
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from recbench.data.raw.files import Raw
from recbench.data.raw.layouts import Layout
from recbench.errors import DataError
from recbench.interfaces import Reporter
from recbench.types import Ints, Longs

_SHOW = 100_000


@dataclass(frozen=True)
class Coded:
    """N interactions in file order.

    Attributes:
        users, items: original id of each code, in order of first appearance.
        user, item: [N] codes.
        time: [N] whole seconds or milliseconds.
        titles: raw title by the item's code, where the rows carry titles.
        counts: ``raw_interactions``, ``incomplete_rows_dropped``, ``lower_ratings_dropped``.
    """

    users: list[str]
    items: list[str]
    user: Ints
    item: Ints
    time: Longs
    titles: dict[int, str] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)


def coded(layout: Layout, files: list[Raw], minimum_rating: float | None, reporter: Reporter) -> Coded:
    """Read the files of interactions once; the memory grows with ids and interactions, not with the text of reviews.

    Raises:
        DataError: a file is damaged, nothing is left of it, or a time has more than 64 bits.
    """
    users: dict[str, int] = {}
    items: dict[str, int] = {}
    user, item, time = array("i"), array("i"), array("q")
    titles: dict[int, str] = {}
    counts = dict.fromkeys(("raw_interactions", "incomplete_rows_dropped", "lower_ratings_dropped"), 0)
    for raw in files:
        reporter.begin(f"reading {raw.name}")
        read = 0
        for row in layout.rows(raw):
            read += 1
            if not read % _SHOW:
                reporter.advance(read)
            if row is None:
                counts["incomplete_rows_dropped"] += 1
                continue
            if minimum_rating is not None and row.rating is not None and row.rating < minimum_rating:
                counts["lower_ratings_dropped"] += 1
                continue
            code = items.setdefault(row.item, len(items))
            user.append(users.setdefault(row.user, len(users)))
            item.append(code)
            time.append(row.time)
            if row.title:
                titles.setdefault(code, row.title)
        counts["raw_interactions"] += read
        reporter.end()
        if not read:
            raise DataError(f"{raw} has no interaction.")
    if not len(user):
        lines = f"each of {counts['raw_interactions']:,} lines is incomplete or has a lower rating"
        raise DataError(f"{', '.join(map(str, files))}: no interaction is left, since {lines}.")
    return Coded(
        list(users),
        list(items),
        np.frombuffer(user, dtype=np.int32),
        np.frombuffer(item, dtype=np.int32),
        np.frombuffer(time, dtype=np.int64),
        titles,
        counts,
    )


def distinct(user: Ints, item: Ints, time: Longs) -> npt.NDArray[np.bool_]:
    """[N] the rows that do not repeat an earlier one's user, item and time."""
    order = np.lexsort((time, item, user))  # stable: of identical rows the earliest comes first
    new = np.ones(len(user), dtype=bool)
    new[1:] = user[order[1:]] != user[order[:-1]]
    new[1:] |= item[order[1:]] != item[order[:-1]]
    new[1:] |= time[order[1:]] != time[order[:-1]]
    keep = np.empty(len(user), dtype=bool)
    keep[order] = new
    return keep
