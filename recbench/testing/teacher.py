"""A stand-in for a trained text recommender that another method learns from."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from recbench.data.split import untaught_rows
from recbench.interfaces import Reporter
from recbench.testing.data import RandomScores
from recbench.testing.models import tiny_text_model
from recbench.types import Histories, Ints, Ranking, Sequences, Split

if TYPE_CHECKING:
    from recbench.language.textmodel import TextModel


class TinyTeacher:
    """A random language model of the tiny kind, and rankings by fixed random scores.

    Args:
        split: the data.
        taught: training windows that it claims to have been trained on.
    """

    def __init__(self, split: Split, taught: Sequences | None = None) -> None:
        self._split, self._taught = split, [] if taught is None else [(taught, False)]
        self._model = tiny_text_model(split)
        self._scores = RandomScores(len(split.catalog))

    @property
    def model(self) -> TextModel:
        """The language model."""
        return self._model

    def sample(self, n: int, reporter: Reporter) -> Ints:
        """``n`` training windows, those of its training last."""
        return untaught_rows(self._split.train, self._taught, n, reporter)

    def rank(self, cases: Histories, depth: int, reporter: Reporter) -> Ranking:
        """The ``depth`` items of the highest scores."""
        scores = self._scores.scores(cases)
        items = np.argsort(-scores, axis=1, kind="stable")[:, :depth].astype(np.int32)
        return Ranking(items, np.take_along_axis(scores, items, axis=1))
