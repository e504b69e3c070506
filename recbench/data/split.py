"""Cutting windows in time, and selecting fewer of them without a seed."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from recbench.data.windows import interactions
from recbench.errors import DataError, UsageError
from recbench.seeds import child
from recbench.types import PAD, Ints, Sequences, Split

if TYPE_CHECKING:
    from recbench.interfaces import Reporter


def chronological(windows: Sequences) -> tuple[Sequences, Sequences, Sequences]:
    """Split windows in time order 8:1:1 into training, validation and test (MSL paper, 5.1.1).

    The cuts are at floor(8N/10) and floor(9N/10).

    Raises:
        DataError: a part would be empty.
    """
    n = len(windows)
    first, second = n * 8 // 10, n * 9 // 10
    if not 0 < first < second < n:
        raise DataError(f"{n} windows cannot be split 8:1:1 into three non-empty parts: at least 6 are needed.")
    rows = np.arange(n)
    return windows.take(rows[:first]), windows.take(rows[first:second]), windows.take(rows[second:])


def latest_tenth(n: int) -> int:
    """The row at which the latest tenth of ``n`` windows begins: floor(9n/10).

    Raises:
        DataError: nothing would come before it.
    """
    if n < 2:
        raise DataError(f"{n} training window cannot give up its latest tenth for validation: at least 2 are needed.")
    return n * 9 // 10


def cap_per_user(windows: Sequences, n: int) -> Sequences:
    """At most ``n`` windows a user, all users kept, by a rule without a seed.

    Of a user's m > n windows, in their order, the ceil(j m / n)-th for j = 1 .. n: evenly spaced, the latest always
    among them.

    Raises:
        UsageError: ``n`` is less than 1.
    """
    if n < 1:
        raise UsageError(f"At most {n} windows per user leaves nothing to rank: at least 1 is needed.")
    order = np.argsort(windows.users, kind="stable")
    _, start, count = np.unique(windows.users[order], return_index=True, return_counts=True)
    m = np.repeat(count, count).astype(np.int64)
    position = np.arange(len(windows)) - np.repeat(start, count)
    chosen = (m <= n) | ((position + 1) * n // m > position * n // m)
    return windows.take(np.sort(order[chosen]))


def sample_rows(total: int, n: int, last: npt.NDArray[np.integer] | None = None) -> Ints:
    """``n`` of ``total`` row numbers, ascending, by one fixed permutation: a smaller sample lies within a larger one.

    Args:
        total: number of rows.
        n: size of the sample; where there are fewer rows, all of them.
        last: [total] a number for each row; rows are taken only when there are no others of a smaller number.

    Raises:
        UsageError: ``n`` is less than 1.
    """
    if n < 1:
        raise UsageError(f"A sample of {n} windows is empty: at least 1 is needed.")
    order = child(0, "sample").permutation(total)
    if last is not None:
        order = order[np.argsort(last[order], kind="stable")]
    return np.sort(order[:n]).astype(np.int32)


def known_windows(windows: Sequences, known: Sequences) -> npt.NDArray[np.bool_]:
    """[N] which of ``windows`` are among ``known``: the same user, history, target and time."""
    width = max(windows.history.shape[1], known.history.shape[1])

    def keys(part: Sequences) -> list[bytes]:
        history = np.full((len(part), width), PAD, np.int64)
        history[:, width - part.history.shape[1] :] = part.history
        columns = np.stack([part.users, part.target, part.time], axis=1).astype(np.int64)
        return [row.tobytes() for row in np.concatenate([columns, history], axis=1)]

    among = set(keys(known))
    return np.fromiter((key in among for key in keys(windows)), bool, len(windows))


def untaught_rows(windows: Sequences, taught: Iterable[tuple[Sequences, bool]], n: int, reporter: Reporter) -> Ints:
    """What :meth:`recbench.interfaces.Teacher.sample` returns.

    Args:
        windows: those that a method may ask its teacher about.
        taught: the windows of each of the teacher's trainings, and whether their histories' titles were targets too.
        n: how many to ask about, those that the fewest trainings have seen; 0 means all.
        reporter: told how many of them the teacher was trained on, if any.
    """
    times = np.zeros(len(windows), np.int64)
    for known, every in taught:
        if every:
            asked = windows.users.astype(np.int64) << 32 | windows.target
            times += np.isin(asked, interactions(known, first=False))
        else:
            times += known_windows(windows, known)
    rows = sample_rows(len(windows), n or len(windows), times)
    if both := int((times[rows] > 0).sum()):
        reporter.message(
            f"the teacher was trained on the targets of {both:,} of the {len(rows):,} windows it is asked about: only "
            f"{int((times == 0).sum()):,} others exist"
        )
    return rows


def subsample(windows: Sequences, n: int) -> Sequences:
    """``n`` of the windows (all, if there are fewer) by :func:`sample_rows`, in their order."""
    return windows.take(sample_rows(len(windows), n))


def training_sample(split: Split, n: int, stride: int = 1) -> Sequences:
    """The training windows that a budget is spent on.

    Args:
        split: the data.
        n: how many, of the release's own sample where it has one, else of all; 0 takes all of ``split.train``.
        stride: take every ``stride``-th window of a user first.
    """
    windows = split.train if split.sample is None or not n else split.train.take(split.sample)
    if stride > 1:
        windows = strided(windows, stride)
    return subsample(windows, n) if n else windows


def strided(windows: Sequences, stride: int) -> Sequences:
    """Every ``stride``-th window of a user, counted back from the user's last, in their order.

    Sliding windows overlap: with H titles in a window, each interaction is in up to H windows, but only in about
    H / stride of these.
    """
    order = np.argsort(windows.users, kind="stable")
    _, count = np.unique(windows.users[order], return_counts=True)
    ends = np.repeat(np.cumsum(count), count)
    return windows.take(np.sort(order[(ends - 1 - np.arange(len(windows))) % stride == 0]))
