"""What a split lets a model see of its own test: windows, interactions and times that two parts share.

:func:`recbench.data.audit.audit` refuses a split at its first fault, before anything trains on it. Here every fault is
counted, so that its author can fix the split.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from recbench.data.audit import REPEATED
from recbench.data.protocols import WORDS
from recbench.types import PAD, Longs, Sequences, Split

Bools = npt.NDArray[np.bool_]

HABIT = 10
"""How many times as often as among training targets an item may come back among test targets.

A test user's past is longer than that of a training window, so habits show more often there. In a random split of Book
the test targets come back 34 times as often.
"""


@dataclass(frozen=True)
class Overlap:
    """What of a later part an earlier part shows.

    Attributes:
        earlier, later: the parts, in words.
        size: windows of the later part.
        windows: of the later part that are in the earlier one, too (same user, items and time).
        windows_again: those that are there at other times only.
        targets: targets of the later part that are targets of the earlier one (same user, item and time).
        targets_again: targets that are targets there for the same user at other times only.
        in_histories: targets that are in a history there for the same user.
    """

    earlier: str
    later: str
    size: int
    windows: int
    windows_again: int
    targets: int
    targets_again: int
    in_histories: int


@dataclass(frozen=True)
class Boundary:
    """Where one part ends and a later one begins: for all users at once, under leave_one_out for each user.

    Attributes:
        earlier, later: the parts, in words.
        late: windows of the earlier part after the later part has begun.
        tied_before, tied_after: windows of the earlier part at the time at which the later begins, and of the later
            at the time at which the earlier ends.
        tied_users: users with windows on both sides at that time: only the order in the file puts them there.
    """

    earlier: str
    later: str
    late: int
    tied_before: int
    tied_after: int
    tied_users: int


@dataclass(frozen=True)
class Leaks:
    """What the parts of a split share.

    Attributes:
        overlaps: training and validation, training and test, validation and test.
        boundaries: of the same pairs.
        met: share of the test targets that their user had in a training window.
        met_in_training: share of the training targets that their user had in a training window of an earlier time, or
            that are in their own history: how often these users repeat themselves.
    """

    overlaps: tuple[Overlap, ...]
    boundaries: tuple[Boundary, ...]
    met: float
    met_in_training: float

    def sentences(self, repeats: bool = False) -> list[str]:
        """What the protocol forbids, a sentence each; empty for a split without a leak.

        Histories overlap by design, so a history by itself is no leak. A window or target at the same time is. At
        another time it is one where it cannot be a habit: see :data:`recbench.data.audit.REPEATED` and :data:`HABIT`.

        Args:
            repeats: users do repeat themselves (``dataset.repeated_windows=counted``): other times are no leak.
        """
        found = [text for overlap in self.overlaps for text in _told(overlap, repeats)]
        if self.met > max(REPEATED, HABIT * self.met_in_training) and not repeats:
            found.append(
                f"The users had {self.met:.1%} of the test targets in training, but repeat only "
                f"{self.met_in_training:.1%} of the training targets."
            )
        found += [
            f"{b.late:,} {b.earlier} windows lie after the beginning of the {b.later} set."
            for b in self.boundaries
            if b.late
        ]
        return found


def leaks(split: Split) -> Leaks:
    """Count what the parts share.

    Args:
        split: no part may be empty.
    """
    parts = {name: getattr(split, name) for name in WORDS}
    pairs = [("train", "valid"), ("train", "test"), ("valid", "test")]
    own = split.facts.get("protocol") == "leave_one_out"
    keys = _Keys(split)
    return Leaks(
        overlaps=tuple(_overlap(keys, a, b) for a, b in pairs),
        boundaries=tuple(_boundary(a, parts[a], b, parts[b], own) for a, b in pairs),
        met=float(np.isin(keys.targets["test"], keys.pairs["train"]).mean()),
        met_in_training=float(_repeated(keys, split.train).mean()),
    )


class _Keys:
    """Windows, targets and pairs of user and item as numbers that can be compared, by part."""

    def __init__(self, split: Split) -> None:
        parts = {name: getattr(split, name) for name in WORDS}
        width = max(windows.history.shape[1] for windows in parts.values())
        ends = np.cumsum([len(windows) for windows in parts.values()])[:-1]
        rows = np.concatenate([_rows(windows, width) for windows in parts.values()])
        time = np.concatenate([windows.time for windows in parts.values()])
        target = np.concatenate([_pairs(windows, windows.target) for windows in parts.values()])

        def numbered(columns: Longs) -> dict[str, Longs]:
            found = np.unique(columns, axis=0, return_inverse=True)[1].reshape(-1)
            return dict(zip(parts, np.split(found, ends), strict=True))

        self.windows = numbered(rows)
        self.timed_windows = numbered(np.column_stack([rows, time]))
        self.timed_targets = numbered(np.column_stack([target, time]))
        self.targets = dict(zip(parts, np.split(target, ends), strict=True))
        self.histories = {name: _history_pairs(windows) for name, windows in parts.items()}
        self.pairs = {name: np.concatenate([self.histories[name], self.targets[name]]) for name in parts}


def _overlap(keys: _Keys, a: str, b: str) -> Overlap:
    windows, targets = (np.isin(k[b], k[a]) for k in (keys.timed_windows, keys.timed_targets))
    return Overlap(
        earlier=WORDS[a],
        later=WORDS[b],
        size=len(windows),
        windows=int(windows.sum()),
        windows_again=int((np.isin(keys.windows[b], keys.windows[a]) & ~windows).sum()),
        targets=int(targets.sum()),
        targets_again=int((np.isin(keys.targets[b], keys.targets[a]) & ~targets).sum()),
        in_histories=int(np.isin(keys.targets[b], keys.histories[a]).sum()),
    )


def _told(overlap: Overlap, repeats: bool) -> list[str]:
    o, found = overlap, []
    if o.windows:
        found.append(f"{o.windows:,} of {o.size:,} {o.later} windows are {o.earlier} windows (same user, items, time).")
    if o.targets > o.windows:  # the others' windows have been named
        found.append(
            f"{o.targets:,} of {o.size:,} {o.later} interactions are {o.earlier} targets (same user, item, time)."
        )
    if o.windows_again > REPEATED * o.size and not repeats:
        found.append(
            f"{o.windows_again:,} of {o.size:,} {o.later} windows are {o.earlier} windows at another time, more than "
            f"{REPEATED:.0%}."
        )
    return found


def _boundary(a: str, earlier: Sequences, b: str, later: Sequences, own: bool) -> Boundary:
    """``own``: each user has a boundary; a user without windows in one of the parts has none."""
    users = int(max(earlier.users.max(), later.users.max())) + 1
    begins, ends = np.full(users, np.iinfo(np.int64).max), np.full(users, np.iinfo(np.int64).min)
    if own:
        np.minimum.at(begins, later.users, later.time)
        np.maximum.at(ends, earlier.users, earlier.time)
    else:
        begins[:], ends[:] = later.time.min(), earlier.time.max()
    before, after = earlier.time == begins[earlier.users], later.time == ends[later.users]
    return Boundary(
        earlier=WORDS[a],
        later=WORDS[b],
        late=int((earlier.time > begins[earlier.users]).sum()),
        tied_before=int(before.sum()),
        tied_after=int(after.sum()),
        tied_users=len(np.intersect1d(earlier.users[before], later.users[after])),
    )


def _repeated(keys: _Keys, train: Sequences) -> Bools:
    """[N] whether the target's user had it at an earlier time, or in the window's own history.

    Of windows at one time none is earlier: releases do not always keep their order.
    """
    times = np.concatenate([np.repeat(train.time, (train.history != PAD).sum(axis=1)), train.time])
    pairs, index = np.unique(keys.pairs["train"], return_inverse=True)
    first = np.full(len(pairs), np.iinfo(np.int64).max)
    np.minimum.at(first, index, times)
    met: Bools = first[np.searchsorted(pairs, keys.targets["train"])] < train.time
    return met | (train.history == train.target[:, None]).any(axis=1)


def _rows(windows: Sequences, width: int) -> Longs:
    history = np.full((len(windows), width), PAD, np.int64)
    history[:, width - windows.history.shape[1] :] = windows.history
    return np.column_stack([windows.users, history, windows.target]).astype(np.int64)


def _pairs(windows: Sequences, items: npt.NDArray[np.integer]) -> Longs:
    return windows.users.astype(np.int64) << 32 | items.astype(np.int64)


def _history_pairs(windows: Sequences) -> Longs:
    """In the order of the windows, row by row."""
    there = windows.history != PAD
    who = np.repeat(windows.users.astype(np.int64), there.sum(axis=1))
    return who << 32 | windows.history[there].astype(np.int64)
