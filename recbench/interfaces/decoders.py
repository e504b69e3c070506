"""Decoders: from a trained model to a ranking of the catalogue."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from recbench.interfaces.fitting import Reporter
from recbench.interfaces.options import Options, Temperature
from recbench.interfaces.plugin import Method, O, Plugin, Signal

if TYPE_CHECKING:
    from recbench.interfaces.backbones import ScoringBackbone
    from recbench.language.textmodel import TextModel
    from recbench.types import Histories, Ranking


class Decoder(Method[O], ABC):
    """What both kinds of decoder share; derive from :class:`TextDecoder` or :class:`ScoringDecoder`.

    An instance makes one ranking with one model. recbench calls ``rank`` for one chunk of the cases after another, so
    an instance may cache whatever depends only on the model.
    """

    signal: ClassVar[Signal]

    @abstractmethod
    def rank(self, model: Any, cases: Histories, depth: int, exclude_history: bool, reporter: Reporter) -> Ranking:
        """The best ``depth`` items of each case.

        Args:
            model: a trained :class:`recbench.language.textmodel.TextModel` or :class:`ScoringBackbone`.
            cases: N histories to recommend for.
            depth: how many items to return.
            exclude_history: never recommend an item of the case's history.
            reporter: progress. Call ``advance`` after each batch: it does not return if a signal has asked the run to
                stop, and earlier chunks are kept.

        Returns:
            Items and scores [N, depth], best first: distinct items of the catalogue in each row, then ``PAD`` with a
            score of -inf where there are no more. The bench checks it (:func:`recbench.search.checked`).
        """


class SearchOptions(Options):
    """Options of a decoder that searches the trie of the catalogue.

    ``Trained.scores`` and an exported model's card use this ``temperature``. They ignore an option of that name in any
    other class. A subclass that declares ``added`` itself has to repeat ``temperature`` there.
    """

    scores: Literal["renormalised", "hf"] = Field(
        "renormalised", description="softmax over valid tokens (Lemma 1), or over the vocabulary and masked after (hf)"
    )
    precision: Literal["model", "fp32"] = Field(
        "model", description="precision of ranking: the model's own (bf16 changes rankings), or fp32"
    )
    temperature: Temperature = Field(
        1.0, description="divides the logits: a number, or loss for the temperature of the loss (MSL: tau)"
    )
    added = frozenset({"temperature"})


class TextDecoder(Decoder[O]):
    """Ranks with a language model that writes titles."""

    signal: ClassVar[Signal] = "text"

    @abstractmethod
    def rank(
        self, model: TextModel, cases: Histories, depth: int, exclude_history: bool, reporter: Reporter
    ) -> Ranking:
        """See :meth:`Decoder.rank`."""


class ScoringDecoder(Decoder[O]):
    """Ranks with a model that scores items."""

    signal: ClassVar[Signal] = "scores"

    @abstractmethod
    def rank(
        self, model: ScoringBackbone[Any], cases: Histories, depth: int, exclude_history: bool, reporter: Reporter
    ) -> Ranking:
        """See :meth:`Decoder.rank`."""


@dataclass(frozen=True, kw_only=True)
class DecoderPlugin(Plugin):
    """Describes a :class:`TextDecoder` or :class:`ScoringDecoder`.

    Attributes:
        reads_titles: whether it needs the language model to write titles, so that no other identifier works.
    """

    kind: ClassVar[str] = "decoder"
    implements: ClassVar[tuple[type, ...]] = (TextDecoder, ScoringDecoder)

    reads_titles: bool = False

    @property
    def signal(self) -> Signal:
        """text or scores, as the implementation's base class says."""
        return self.implementation.signal
