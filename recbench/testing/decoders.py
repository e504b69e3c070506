"""The contract of decoders of language models and of item scores."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import numpy.typing as npt
import pytest

from recbench.interfaces import Decoder, ScoringBackbone, SearchOptions, SilentReporter
from recbench.search import checked
from recbench.testing.contract import Contract
from recbench.testing.data import RandomScores, tiny_split
from recbench.testing.models import tiny_text_model
from recbench.types import PAD, Histories, Ranking

if TYPE_CHECKING:
    from recbench.language.textmodel import TextModel


class DecoderTests(Contract):
    """The contract of both kinds of decoder; subclass one of the two below."""

    kind = "decoder"
    tolerance: ClassVar[float] = 1e-4
    """How far a score may move when a case is decoded among others."""

    def model(self) -> Any:
        """What is decoded."""
        raise NotImplementedError

    def rank(self, cases: Histories, depth: int = 10, exclude_history: bool = False) -> Ranking:
        """Rank with a fresh decoder."""
        decoder: Decoder[Any] = self.make()
        return decoder.rank(self.model(), cases, depth, exclude_history, SilentReporter())

    @pytest.mark.parametrize("depth", [1, 10])
    @pytest.mark.parametrize("exclude_history", [False, True])
    def test_ranking(self, depth: int, exclude_history: bool) -> None:
        """Distinct items, best first, ``PAD`` only at the end and with a score of -inf, history left out if asked."""
        split = tiny_split()
        cases = split.test.histories()
        found = self.rank(cases, depth, exclude_history)
        checked(found, cases, depth, len(split.catalog), exclude_history, f"decoder {self.name!r}")
        assert (found.items != PAD).any(), "nothing was recommended at all"

    def test_more_than_the_catalogue(self) -> None:
        """A list longer than the catalogue ends with empty places."""
        split = tiny_split()
        cases, depth = split.test.histories(), len(split.catalog) + 3
        if not self.plugin.options(**self.options).objection(len(split.catalog)):
            checked(self.rank(cases, depth), cases, depth, len(split.catalog), False, f"decoder {self.name!r}")

    def test_repeats(self) -> None:
        """The same call gives the same bits."""
        first, second = (self.rank(tiny_split().test.histories()) for _ in range(2))
        assert np.array_equal(first.items, second.items)
        assert np.array_equal(first.scores, second.scores)

    def test_one_instance_ranks_chunk_after_chunk(self) -> None:
        """State kept from one call does not change the next, which equals that of a fresh instance."""
        cases, decoder = tiny_split().test.histories(), self.make()
        for rows in np.array_split(np.arange(len(cases)), 3):
            found = decoder.rank(self.model(), cases.take(rows), 10, False, SilentReporter())
            fresh = self.rank(cases.take(rows))
            assert np.array_equal(found.items, fresh.items)
            assert np.array_equal(found.scores, fresh.scores)
            assert (found.invalid_share, found.generated) == (fresh.invalid_share, fresh.generated)

    def test_order_of_cases_does_not_matter(self) -> None:
        """A case's ranking is its own: neighbours in the batch, or their absence, move scores by rounding only."""
        cases = tiny_split().test.histories()
        whole = self.rank(cases)
        order = np.random.default_rng(3).permutation(len(cases))
        self._agree(whole, self.rank(cases.take(order)), order)
        self._agree(whole, self.rank(cases.take(order[:1])), order[:1])

    def _agree(self, whole: Ranking, part: Ranking, order: npt.NDArray[Any]) -> None:
        """Scores agree; items may swap where two scores are as near as rounding."""
        scores = whole.scores[order].astype(np.float64)
        np.testing.assert_allclose(part.scores, scores, rtol=0, atol=self.tolerance)
        gap = np.full((len(scores), scores.shape[1] + 1), np.inf)
        with np.errstate(invalid="ignore"):
            gap[:, 1:-1] = scores[:, :-1] - scores[:, 1:]
        gap[:, -1] = 0  # the item that just missed the list is unknown
        clear = (gap[:, 1:] > 2 * self.tolerance) & (gap[:, :-1] > 2 * self.tolerance)
        assert np.array_equal(part.items[clear], whole.items[order][clear])


class TextDecoderTests(DecoderTests):
    """A decoder of language models, on a tiny random one."""

    signal = "text"

    def model(self) -> TextModel:
        """A tiny random Llama, with counts and a recommender for decoders that mix them in."""
        return _shared_text_model()

    def test_the_temperature_counts(self) -> None:
        """A decoder with the options of a search uses their temperature, and leaves the model's as it was."""
        if not issubclass(self.plugin.options, SearchOptions):
            pytest.skip("its options are not SearchOptions")
        cases, model = tiny_split().test.histories(), self.model()
        found = []
        for temperature in (1.0, 5.0):
            decoder = self.plugin.implementation(self.plugin.options(**{**self.options, "temperature": temperature}))
            found.append(decoder.rank(model, cases, 10, False, SilentReporter()).scores)
            assert model.temperature == 1.0, "rank in `with model.at(...)`, which restores the temperature"
        assert not np.array_equal(*found), "the option temperature has no effect: rank in `with model.at(...)`"


class ScoringDecoderTests(DecoderTests):
    """A decoder of item scores."""

    signal = "scores"

    def model(self) -> ScoringBackbone[Any]:
        """Random but fixed scores."""
        return RandomScores(len(tiny_split().catalog))


@cache
def _shared_text_model() -> TextModel:
    split = tiny_split()
    return replace(tiny_text_model(split), counts=split.train_counts(), recommender=RandomScores(len(split.catalog)))
