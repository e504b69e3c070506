"""Sliding windows over each user's interactions."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from recbench.types import PAD, Ints, Longs, Sequences


def sliding_windows(users: Ints, items: Ints, times: Longs, size: int) -> Sequences:
    """Cut every user's history into windows of ``size`` items, the last one the target (MSL paper, 5.1.1).

    A user with more than ``size`` interactions gives one window for each place the window fits; a user with as many or
    fewer gives a single, shorter one. A user with a single interaction gives none, having no history.

    Args:
        users, items, times: [N] the interactions, in file order. They are put in order by user, then time, then
            position in the file, which decides every tie in the same way on every machine.

    Returns:
        The windows, sorted by the target's time, then user, then position.
    """
    order = np.lexsort((np.arange(len(users)), times, users))
    users, items, times = users[order], items[order], times[order]
    known, start, length = np.unique(users, return_index=True, return_counts=True)
    known, start, length = known[length > 1], start[length > 1], length[length > 1]
    count = np.maximum(length - size + 1, 1)
    first_target = start + np.minimum(length, size) - 1
    # Row r is the k-th window of its user, and its target is k places after the first window's.
    nth = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count)
    target = np.repeat(first_target, count) + nth
    places = target[:, None] + np.arange(1 - size, 0)
    inside = places >= np.repeat(start, count)[:, None]  # before the user's first interaction there is nothing
    history = np.where(inside, items[np.maximum(places, 0)], PAD)
    windows = Sequences(
        users=np.repeat(known, count).astype(np.int32),
        history=history.astype(np.int32),
        target=items[target].astype(np.int32),
        time=times[target].astype(np.int64),
    )
    return in_time_order(windows)


def in_time_order(windows: Sequences) -> Sequences:
    """The same windows sorted by time; ties by user, then by their present order."""
    return windows.take(time_order(windows.users, windows.time))


def time_order(users: Ints, times: Longs) -> Longs:
    """[N] the rows sorted by time, then user, then position."""
    return np.lexsort((np.arange(len(users)), users, times))


@dataclass(frozen=True)
class Targets:
    """How often the interactions of training windows are targets when every title of a window but its first is one.

    Attributes:
        total: targets in an epoch.
        seen, known: interactions that are targets, and all that the training windows of the data set hold. An
            interaction is a pair of user and item.
    """

    total: int
    seen: int
    known: int

    def words(self) -> str:
        """As a page says it."""
        return (
            f"{self.total:,}, covering {self.seen / self.known:.0%} of the {self.known:,} training interactions, each "
            f"{self.total / self.seen:.1f} times an epoch on average"
        )


def targets_seen(windows: Sequences, known: Sequences) -> Targets:
    """Count the targets of ``windows``, which are some of the windows ``known``."""
    found = interactions(windows, first=False)
    return Targets(len(found), len(np.unique(found)), len(np.unique(interactions(known))))


def interactions(windows: Sequences, first: bool = True) -> Longs:
    """Every interaction of the windows, histories included, as one number for its user and item.

    Args:
        windows: where they are; an interaction occurs as often as windows hold it.
        first: count each window's first item too.
    """
    rows = np.hstack([windows.history, windows.target[:, None]])
    there = rows != PAD
    if not first:
        there &= np.cumsum(there, axis=1) > 1  # nothing comes before a window's first title
    user = np.broadcast_to(windows.users[:, None], rows.shape)[there].astype(np.int64)
    return user << 32 | rows[there]
