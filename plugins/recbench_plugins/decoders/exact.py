"""Exact decoding: the best items of the whole catalogue, found without a beam that could lose one.

Paper: MSL (SIGIR 2025), Lemma 1 ranks every item by the product of its title's probabilities renormalised over valid
tokens; beam search approximates that ranking "with a large beam size". Original code: none; this is the ranking that
the beam stands for.

Known differences from ``constrained_beam``: nothing is pruned that could still enter the list, so the result is the top
of the catalogue by score, whatever ``expand`` and ``batch_size`` (another order of additions moves a score by
rounding, so they are part of the spec; ``batch_size=auto`` is reproducible bit for bit only on the CPU). There is no
length penalty: log-probabilities that only fall along a title are what makes stopping early exact. Renormalised, it
costs about twice as much as ten beams (ml-100k, tiny model). With ``scores=hf`` a model that was trained with MSL makes
it read the whole catalogue for every user: its probabilities of forced tokens are arbitrary, so every title looks
improbable until its end is reached.
"""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING

from pydantic import Field

from recbench.interfaces import BatchSize, DecoderPlugin, Reporter, SearchOptions, TextDecoder

if TYPE_CHECKING:
    from recbench.language.textmodel import TextModel
    from recbench.types import Histories, Ranking


class ExactOptions(SearchOptions):
    """Options of ``--decoder exact``."""

    expand: int = Field(16, ge=1, description="prefixes of a user expanded in one pass; affects speed, not the result")
    batch_size: BatchSize = Field(
        "auto", description="users decoded at a time; auto: 16 on the CPU, as many as fit into free memory on CUDA"
    )


class Exact(TextDecoder[ExactOptions]):
    """The top of the catalogue by log-probability."""

    def rank(
        self, model: TextModel, cases: Histories, depth: int, exclude_history: bool, reporter: Reporter
    ) -> Ranking:
        """See :class:`recbench.interfaces.Decoder`; ties in the trie's order: shorter titles, then token ids."""
        from recbench.search.batches import rank
        from recbench.search.best_first import BestFirst

        options = self.options
        with model.in_fp32() if options.precision == "fp32" else nullcontext(), model.at(options.temperature):
            search = BestFirst(model, depth, options.expand, options.scores == "hf")
            batch, fed = options.batch_size, search.kept + options.expand * max(map(len, model.encoder.answers))
            return rank(model, cases, depth, exclude_history, reporter, search, batch, 16, fed)


plugin = DecoderPlugin(
    implementation=Exact,
    summary="the exact top of the catalogue, best-first over the token trie",
    options=ExactOptions,
    paper="Wang et al., MSL, SIGIR 2025, Lemma 1. https://doi.org/10.1145/3726302.3730041",
)
