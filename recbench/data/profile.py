"""What a split holds: its size, its cold targets, its titles, and how its interactions spread over items."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from recbench.types import PAD, Longs, Sequences, Split

BINS = 20
"""Points of :attr:`Profile.cold_over_time` for each part."""


@dataclass(frozen=True)
class Titles:
    """The titles that a model generates.

    Attributes:
        duplicate: titles that several items share.
        empty: titles without a visible character.
        beginning: distinct titles that begin another one, character by character.
    """

    duplicate: int
    empty: int
    beginning: int


@dataclass(frozen=True)
class Concentration:
    """How unevenly the training interactions spread over the catalogue.

    Attributes:
        top_1, top_10: share of the interactions that falls on the most popular 1 % and 10 % of the items, rounded up
            to whole items.
        gini: coefficient over all items, those without an interaction included; 0 where all have as many.
    """

    top_1: float
    top_10: float
    gini: float


@dataclass(frozen=True)
class Profile:
    """A split in numbers. ``valid`` and ``test`` name parts, as in :class:`recbench.types.Split`.

    Attributes:
        users, items: with windows; in the catalogue.
        items_in_windows: items that some window holds.
        interactions: distinct ones that the windows of all parts hold.
        density: interactions over users times items.
        windows: by part.
        cold: part -> what is held against it -> share of the part's targets that do not occur there: ``training
            targets``, ``training interactions`` (histories too), for the test set also ``training and validation``,
            and ``training sample`` where the release has one.
        ceiling: part -> the hit rate that a model of item ids cannot pass, having learnt the training interactions'.
        repeats: part -> share of the targets that are in their own history.
        cold_over_time: part -> shares of targets that are not in the training interactions, for at most :data:`BINS`
            runs of windows in time order, as long as each other.
        concentration, titles: see there.
    """

    users: int
    items: int
    items_in_windows: int
    interactions: int
    density: float
    windows: dict[str, int]
    cold: dict[str, dict[str, float]]
    ceiling: dict[str, float]
    repeats: dict[str, float]
    cold_over_time: dict[str, list[float]]
    concentration: Concentration
    titles: Titles


def profile(split: Split) -> Profile:
    """Count.

    Args:
        split: no part may be empty; indices must be in range.
    """
    parts = {"train": split.train, "valid": split.valid, "test": split.test}
    everything = _joined(parts.values())
    counts = replace(split, train=everything).train_counts()
    n, users, items = int(counts.sum()), len(np.unique(everything.users)), len(split.catalog)
    cold = {"valid": _cold(split, split.valid), "test": _cold(split, split.test)}
    both = _occurring(_joined([split.train, split.valid]), items)
    cold["test"]["training and validation"] = _share(~both[split.test.target])
    warm = _occurring(split.train, items)
    return Profile(
        users=users,
        items=items,
        items_in_windows=int((counts > 0).sum()),
        interactions=n,
        density=n / (users * items),
        windows={name: len(windows) for name, windows in parts.items()},
        cold=cold,
        ceiling={name: 1 - found["training interactions"] for name, found in cold.items()},
        repeats={name: _share((w.history == w.target[:, None]).any(axis=1)) for name, w in parts.items()},
        cold_over_time={name: _over_time(~warm[parts[name].target]) for name in ("valid", "test")},
        concentration=concentration(split.train_counts()),
        titles=titles(split.catalog.titles),
    )


def concentration(counts: Longs) -> Concentration:
    """Of items' numbers of interactions.

    Args:
        counts: [items] at least one above 0.
    """
    ordered = np.sort(counts)[::-1].astype(np.float64)
    n, total = len(ordered), ordered.sum()
    top_1, top_10 = (float(ordered[: -(-n * share // 100)].sum() / total) for share in (1, 10))
    # half the mean absolute difference of two items over the mean, from ranks: no table of pairs
    gini = float(((n + 1 - 2 * np.arange(1, n + 1)) * ordered).sum() / (n * total))
    return Concentration(top_1, top_10, gini)


def titles(found: Sequence[str]) -> Titles:
    """Of a catalogue's titles."""
    distinct = sorted(set(found))
    return Titles(
        duplicate=sum(times > 1 for times in Counter(found).values()),
        empty=sum(not title.strip() for title in found),
        # what a title begins comes directly behind it
        beginning=sum(b.startswith(a) for a, b in pairwise(distinct)),
    )


def _cold(split: Split, part: Sequences) -> dict[str, float]:
    items = len(split.catalog)
    targets = np.isin(np.arange(items), split.train.target)
    against = {"training targets": targets, "training interactions": _occurring(split.train, items)}
    if split.sample is not None:
        against["training sample"] = _occurring(split.train.take(split.sample), items)
    return {name: _share(~known[part.target]) for name, known in against.items()}


def _occurring(windows: Sequences, items: int) -> npt.NDArray[np.bool_]:
    """[items] whether a window holds the item."""
    found = np.zeros(items, bool)
    found[windows.history[windows.history != PAD]] = True
    found[windows.target] = True
    return found


def _joined(parts: Iterable[Sequences]) -> Sequences:
    """Windows of several parts, one part after the other; histories padded to one width."""
    parts = list(parts)
    width = max(part.history.shape[1] for part in parts)
    history = [np.pad(p.history, ((0, 0), (width - p.history.shape[1], 0)), constant_values=PAD) for p in parts]
    users, target, time = (np.concatenate([getattr(p, name) for p in parts]) for name in ("users", "target", "time"))
    return Sequences(users, np.concatenate(history), target, time)


def _over_time(cold: npt.NDArray[np.bool_]) -> list[float]:
    return [_share(run) for run in np.array_split(cold, min(BINS, len(cold)))]


def _share(found: npt.NDArray[np.bool_]) -> float:
    return float(np.mean(found))
