"""Small data, and the plainest models of both kinds, to test plugins with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from recbench.interfaces import Fit, FitReport, Options, Piece, ScoringBackbone, TextBackbone
from recbench.types import PAD, CaseResults, Catalog, Histories, Sequences, Split

_ADJECTIVES = ("Red", "Blue", "Silent", "Last", "Golden", "Broken")
_NOUNS = ("River", "Garden", "Clock", "Road", "Summer")


def tiny_split(users: int = 8, items: int = 24, history: int = 5, seed: int = 0) -> Split:
    """Windows in which each item tends to be followed by the next one: small, but something can be learned.

    Args:
        users: number of users, each with 6 training, 1 validation and 2 test windows.
        items: size of the catalogue, at most 30; some titles begin alike, some item is never a training target.
        history: longest history; the shortest has one item.
        seed: of the windows.
    """
    words = [f"{adjective} {noun}" for noun in _NOUNS for adjective in _ADJECTIVES]
    titles = tuple(words[:items])
    random = np.random.default_rng(seed)

    def windows(each: int, start: int) -> Sequences:
        n = users * each
        first = random.integers(items, size=n)
        grid = (first[:, None] + np.arange(history + 1)) % items
        skip = random.random(grid.shape) < 0.15
        grid = np.where(skip, random.integers(items, size=grid.shape), grid).astype(np.int32)
        shown, target = grid[:, :-1].copy(), grid[:, -1].copy()
        length = random.integers(1, history + 1, size=n)
        length[0] = 1
        shown[np.arange(history) < (history - length)[:, None]] = PAD
        owner = np.tile(np.arange(users, dtype=np.int32), each)
        return Sequences(owner, shown, target, np.arange(start, start + n, dtype=np.int64))

    train, valid, test = windows(6, 0), windows(1, 1_000), windows(2, 2_000)
    catalog = Catalog(tuple(str(i + 1) for i in range(items)), titles)
    return Split(catalog, tuple(f"u{i}" for i in range(users)), train, valid, test)


def tiny_results(seeds: int = 2, depth: int = 10) -> CaseResults:
    """Results of random lists for the test windows of :func:`tiny_split`, with every column that a record may hold."""
    from recbench.data.first_words import sharing_first_word

    split, random = tiny_split(), np.random.default_rng(6)
    test, items, counts = split.test, len(split.catalog), split.train_counts()
    counts[:4] = 0  # some targets have to be cold
    top = np.stack([[random.permutation(items)[:depth] for _ in range(len(test))] for _ in range(seeds)])
    hits = top == test.target[:, None]
    return CaseResults(
        users=test.users,
        ranks=np.where(hits.any(axis=2), hits.argmax(axis=2) + 1, 0).astype(np.int32),
        cold=counts[test.target] == 0,
        history_length=(test.history != PAD).sum(axis=1).astype(np.int32),
        popularity=counts[test.target].astype(np.int32),
        seeds=tuple(range(1, seeds + 1)),
        depth=depth,
        top=top.astype(np.int32),
        item_popularity=counts.astype(np.int32),
        last=test.history[:, -1],
        sharing=sharing_first_word(split.catalog.titles)[test.target].astype(np.int32),
    )


class TitlesOnly(TextBackbone[Options]):
    """The plainest text backbone: the titles and nothing else."""

    targets = "all"

    def prompt(self, titles: Any, items: Any, template: Any) -> list[Piece]:
        """The titles, and what separates them."""
        pieces: list[Piece] = [template.before]
        for place, title in enumerate(titles):
            pieces += [template.between] * (place > 0) + [title]
        return [*pieces, template.after]


class RandomScores(ScoringBackbone[Options]):
    """A stand-in recommender: fixed random item vectors, scores that depend on the history's last item."""

    vectors: npt.NDArray[np.float32]

    def __init__(self, items: int, width: int = 8, seed: int = 0) -> None:
        super().__init__(Options())
        self.vectors = np.random.default_rng(seed).normal(size=(items, width)).astype(np.float32)

    def fit(self, split: Split, fit: Fit) -> FitReport:
        """Nothing to learn."""
        return FitReport()

    def scores(self, cases: Histories) -> npt.NDArray[np.float32]:
        """Inner products with the last item's vector."""
        # einsum without BLAS: the same row gives the same bits whatever batch it stands in
        grid: npt.NDArray[np.float32] = np.einsum("nd,id->ni", self.vectors[cases.history[:, -1]], self.vectors)
        return grid

    def state(self) -> dict[str, npt.NDArray[Any]]:
        """The vectors."""
        return {"vectors": self.vectors}

    def restore(self, split: Split, state: Mapping[str, npt.NDArray[Any]]) -> None:
        """Take the vectors back."""
        self.vectors = state["vectors"]

    def item_vectors(self) -> npt.NDArray[np.float32]:
        """The vectors."""
        return self.vectors

    def user_vectors(self, cases: Histories) -> npt.NDArray[np.float32]:
        """The last item's vector."""
        return self.vectors[cases.history[:, -1]]
