"""The data that flows through the bench: frozen, columnar, numpy only.

Items and users are indices from 0; ``PAD`` (-1) marks an empty place. Original identifiers are kept next to them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

PAD = -1
Ints = npt.NDArray[np.int32]
Longs = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Catalog:
    """The items that may be recommended.

    Attributes:
        ids: original item identifier of each item index.
        titles: the text generated for each item: entities decoded, never empty, pairwise distinct.
    """

    ids: tuple[str, ...]
    titles: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.titles)


@dataclass(frozen=True)
class Histories:
    """N users' histories, as a predictor sees them: without what came next.

    Attributes:
        users: [N] user index.
        history: [N, H] item indices, oldest first, padded on the left with ``PAD``.
        time: [N] seconds since 1970 (or any other ordering value) at which the next item is asked for.
    """

    users: Ints
    history: Ints
    time: Longs

    def __len__(self) -> int:
        return len(self.users)

    def take(self, rows: npt.NDArray[Any]) -> Histories:
        """The histories at ``rows`` (indices or a boolean mask), in that order."""
        return Histories(self.users[rows], self.history[rows], self.time[rows])

    @property
    def history_length(self) -> Ints:
        """[N] number of items in each history."""
        return (self.history != PAD).sum(axis=1).astype(np.int32)

    def digest(self) -> str:
        """sha256 over users, histories and times: names a set of histories."""
        return _digest((self.users, "<i4"), (self.history, "<i4"), (self.time, "<i8"))


@dataclass(frozen=True)
class Sequences:
    """N windows: a user's history and the target that followed it.

    Attributes:
        users: [N] user index.
        history: [N, H] item indices, oldest first, padded on the left with ``PAD``.
        target: [N] item index.
        time: [N] seconds since 1970 (or any other ordering value) of the target.
    """

    users: Ints
    history: Ints
    target: Ints
    time: Longs

    def __len__(self) -> int:
        return len(self.target)

    def take(self, rows: npt.NDArray[Any]) -> Sequences:
        """The windows at ``rows`` (indices or a boolean mask), in that order."""
        return Sequences(self.users[rows], self.history[rows], self.target[rows], self.time[rows])

    def histories(self) -> Histories:
        """The same windows without their targets."""
        return Histories(self.users, self.history, self.time)

    @property
    def history_length(self) -> Ints:
        """[N] number of items in each history."""
        return self.histories().history_length

    def digest(self) -> str:
        """sha256 over users, histories and targets: names a set of windows."""
        return _digest((self.users, "<i4"), (self.history, "<i4"), (self.target, "<i4"))


def _digest(*columns: tuple[npt.NDArray[Any], str]) -> str:
    sha = hashlib.sha256()
    for column, dtype in columns:
        sha.update(np.ascontiguousarray(column, dtype=dtype).tobytes())
    return sha.hexdigest()


@dataclass(frozen=True)
class Split:
    """A prepared data set: the catalogue and its windows, disjoint in time order.

    Attributes:
        train, valid, test: windows, each sorted by (time, user, position).
        sample: row numbers of ``train`` that the release itself chose for language models, or None.
        facts: counts and notes of the preparation (JSON values), shown by ``recbench data``.
        sources: sha256 of every file read, by file name.
    """

    catalog: Catalog
    users: tuple[str, ...]
    train: Sequences
    valid: Sequences
    test: Sequences
    sample: Ints | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)
    sources: Mapping[str, str] = field(default_factory=dict)

    def __repr__(self) -> str:
        """Its size alone: the catalogue and the arrays would fill the screen."""
        windows = ", ".join(f"{len(getattr(self, part)):,} {part}" for part in ("train", "valid", "test"))
        return f"Split({len(self.users):,} users, {len(self.catalog):,} items; windows: {windows})"

    def train_counts(self) -> Longs:
        """[items] how often each item occurs in the training windows' distinct interactions.

        A sliding window repeats all but its target of the user's window before it: only what lies beyond the overlap
        counts. So every interaction counts once, also where windows in between are missing (a sampled release).
        """
        order = np.argsort(self.train.users, kind="stable")
        windows = np.concatenate([self.train.history, self.train.target[:, None]], axis=1)[order]
        users = self.train.users[order]
        width = windows.shape[1]
        new = np.full(len(windows), width)  # how many of the last items the window before does not have
        for shift in (*range(width - 1, 1, -1), 0, 1):  # of several possible overlaps, the usual one wins
            same = (windows[1:, : width - shift] == windows[:-1, shift:]).all(axis=1) & (users[1:] == users[:-1])
            new[1:][same] = shift
        fresh = (np.arange(width) >= width - new[:, None]) & (windows != PAD)
        return np.bincount(windows[fresh], minlength=len(self.catalog)).astype(np.int64)

    def warm_items(self) -> npt.NDArray[np.bool_]:
        """[items] whether an item occurs anywhere in the training windows (history or target)."""
        return self.train_counts() > 0


@dataclass(frozen=True)
class Ranking:
    """What a decoder returned for N cases.

    Attributes:
        items: [N, K] item indices, best first, ``PAD`` where nothing (or no valid item) was produced.
        scores: [N, K] the decoder's score of each, higher is better, -inf where there is no item.
        invalid_share: share of generated titles that are not in the catalogue (before grounding); None where the
            decoder cannot generate one.
        generated: how many generated titles it is a share of, so that shares of several rankings can be combined; None
            stands for one title each case.
    """

    items: Ints
    scores: npt.NDArray[np.float32]
    invalid_share: float | None = None
    generated: int | None = None

    def target_ranks(self, target: Ints) -> Ints:
        """[N] rank of each case's target, 1 is best, 0 means not among the K."""
        hit = self.items == target[:, None]
        return np.where(hit.any(axis=1), hit.argmax(axis=1) + 1, 0).astype(np.int32)


@dataclass(frozen=True)
class CaseResults:
    """The data from which every number is computed: one rank and one top list per test case and seed.

    Attributes:
        users: [N] user index of each case.
        ranks: [S, N] rank of the target for each seed, 1 is best, 0 beyond the decoder's depth.
        cold: [N] whether the target never occurs in training.
        history_length: [N].
        popularity: [N] how often the target occurs in training.
        seeds: the S seeds.
        depth: how many items each list was asked to have.
        top: [S, N, K] the first 10 items of each list, ``PAD`` where there is none; None where they were not kept.
        item_popularity: [items] how often each item occurs in training; None where it was not kept.
        last: [N] the last item of each history; None where it was not kept.
        sharing: [N] how many titles of the catalogue begin with the first word of the target's, itself included; None
            where it was not kept.
    """

    users: Ints
    ranks: Ints
    cold: npt.NDArray[np.bool_]
    history_length: Ints
    popularity: Ints
    seeds: tuple[int, ...]
    depth: int = 10
    top: Ints | None = None
    item_popularity: Ints | None = None
    last: Ints | None = None
    sharing: Ints | None = None

    def take(self, cases: npt.NDArray[np.bool_]) -> CaseResults:
        """The results of some of the cases, given as a [N] mask."""
        return replace(
            self,
            users=self.users[cases],
            ranks=self.ranks[:, cases],
            cold=self.cold[cases],
            history_length=self.history_length[cases],
            popularity=self.popularity[cases],
            top=None if self.top is None else self.top[:, cases],
            last=None if self.last is None else self.last[cases],
            sharing=None if self.sharing is None else self.sharing[cases],
        )
