"""What a method asks of another recommender that it learns from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from recbench.interfaces.fitting import Reporter

if TYPE_CHECKING:
    import numpy.typing as npt

    from recbench.language.textmodel import TextModel
    from recbench.types import Histories, Ints, Ranking


@dataclass(frozen=True)
class Lessons:
    """What was learned from a teacher: arrays for training, texts for people."""

    arrays: Mapping[str, npt.NDArray[Any]]
    texts: Sequence[Mapping[str, Any]] = ()


class Teacher(Protocol):
    """A trained text recommender that another method learns from."""

    @property
    def model(self) -> TextModel:
        """The tuned language model with its prompts."""

    def sample(self, n: int, reporter: Reporter) -> Ints:
        """[M] rows of ``split.train`` to ask about, ascending; the same for every seed, and all rows for ``n`` of 0.

        These are windows whose targets the teacher was not trained on: it has memorised the others, and a student
        should not learn memorised answers. If there are too few, others fill the sample up, and a message says how
        many.
        """

    def rank(self, cases: Histories, depth: int, reporter: Reporter) -> Ranking:
        """The best ``depth`` items of each case, by the teacher's own decoder."""
