"""Protocols by name: how interactions become windows, which part each belongs to, and what must then hold."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from recbench.data.split import chronological
from recbench.data.windows import in_time_order, sliding_windows
from recbench.errors import DataError
from recbench.types import PAD, Ints, Longs, Sequences, Split

Parts = tuple[Sequences, Sequences, Sequences]
WORDS = {"train": "training", "valid": "validation", "test": "test"}


@dataclass(frozen=True)
class Protocol:
    """Windows, split and audit rule.

    Attributes:
        summary: one line for people.
        cut: (users, items, times, window) of N interactions in file order to the three parts, each sorted by time, then
            user, then position, and what the cut counted, for the split's facts; None where a release has its own.
        check: raises DataError where a split breaks the protocol's rule about time.
    """

    summary: str
    cut: Callable[[Ints, Ints, Longs, int], tuple[Parts, dict[str, Any]]] | None
    check: Callable[[Split], None]


def protocol(name: str) -> Protocol:
    """The protocol of that name.

    Raises:
        DataError: there is none.
    """
    if name not in PROTOCOLS:
        raise DataError(f"The split names the protocol {name!r}: choose from {', '.join(PROTOCOLS)}.")
    return PROTOCOLS[name]


def _sliding(users: Ints, items: Ints, times: Longs, window: int) -> tuple[Parts, dict[str, Any]]:
    return chronological(sliding_windows(users, items, times, window)), {}


def _leave_one_out(users: Ints, items: Ints, times: Longs, window: int) -> tuple[Parts, dict[str, Any]]:
    """The last item of each user for the test, the one before it for validation, windows of the rest for training.

    A user with fewer than 4 interactions would have no training window, and is left out.
    """
    order = np.lexsort((np.arange(len(users)), times, users))
    users, items, times = users[order], items[order], times[order]
    count = np.bincount(users)
    enough = count[users] >= 4
    left_out = int(((count > 0) & (count < 4)).sum())
    users, items, times = users[enough], items[enough], times[enough]
    if not len(users):
        raise DataError("no user has the 4 interactions that the protocol leave_one_out needs.")
    last = np.flatnonzero(np.append(users[1:] != users[:-1], True))
    rest = np.ones(len(users), dtype=bool)
    rest[last] = rest[last - 1] = False
    train = sliding_windows(users[rest], items[rest], times[rest], window)
    valid, test = (_windows_at(users, items, times, last - back, window) for back in (1, 0))
    return (train, valid, test), {"users_left_out": left_out}


def _windows_at(users: Ints, items: Ints, times: Longs, target: Longs, window: int) -> Sequences:
    """The window that ends at each row of ``target``; the rows are sorted by user, then time."""
    places = target[:, None] + np.arange(1 - window, 0)
    inside = (places >= 0) & (users[places.clip(0)] == users[target][:, None])
    history = np.where(inside, items[places.clip(0)], PAD).astype(np.int32)
    return in_time_order(Sequences(users[target], history, items[target], times[target]))


def _parts_follow_one_another(split: Split) -> None:
    for (earlier, a), (later, b) in pairwise((name, getattr(split, name)) for name in WORDS):
        if a.time[-1] > b.time[0]:
            raise DataError(
                f"The {WORDS[later]} windows begin at time {b.time[0]}, before the {WORDS[earlier]} windows end at "
                f"{a.time[-1]}: each part must come after the one before it."
            )


def _each_users_last_two(split: Split) -> None:
    """Every user's training windows come before the validation window, which comes before the test window."""
    latest = np.full(len(split.users), np.iinfo(np.int64).min)
    np.maximum.at(latest, split.train.users, split.train.time)
    for name, windows in (("valid", split.valid), ("test", split.test)):
        users, count = np.unique(windows.users, return_counts=True)
        if (count > 1).any():
            who = split.users[users[count.argmax()]]
            raise DataError(f"User {who!r} has {count.max()} {WORDS[name]} windows; leave_one_out allows one.")
        early = windows.time < latest[windows.users]
        if early.any():
            who = split.users[windows.users[early.argmax()]]
            raise DataError(
                f"User {who!r} has a {WORDS[name]} window before the end of an earlier part; leave_one_out holds out "
                "each user's last two interactions."
            )
        latest[windows.users] = windows.time
    held_out = np.full(len(split.users), PAD)
    held_out[split.valid.users] = split.valid.target
    wrong = split.test.history[:, -1] != held_out[split.test.users]
    if wrong.any():
        who = split.users[split.test.users[wrong.argmax()]]
        raise DataError(f"The test history of user {who!r} does not end with the validation target (leave_one_out).")


PROTOCOLS = {
    "sliding": Protocol(
        "sliding windows over each user's history, sorted by time, 8:1:1 (MSL paper, 5.1.1)",
        _sliding,
        _parts_follow_one_another,
    ),
    "leave_one_out": Protocol(
        "each user's last item for the test, the one before it for validation, windows of the rest for training",
        _leave_one_out,
        _each_users_last_two,
    ),
    "released": Protocol("the windows of a release, part by part in time", None, _parts_follow_one_another),
}
"""By name; ``facts["protocol"]`` of a split says which holds for it."""
