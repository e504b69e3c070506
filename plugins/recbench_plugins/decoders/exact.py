"""Exact decoding: the best items of the whole catalogue, found without a beam that could lose one.

Paper: MSL (SIGIR 2025), Lemma 1 ranks every item by the product of its title's probabilities renormalised over valid
tokens; beam search approximates that ranking "with a large beam size". Original code: none; this is the ranking that
the beam stands for.

Known differences to ``constrained_beam``: nothing is pruned that could still enter the list, so the result is the top
of the catalogue by score, whatever ``expand`` and ``batch_size`` (they are part of the spec because another order of
additions moves a score by rounding). There is no length penalty: log-probabilities that only fall along a title are
what makes stopping early exact. Renormalised, it costs about as much as ten beams (ml-100k, tiny model). With
``scores=hf`` a model that was trained with MSL makes it read the whole catalogue for every user: what it gives forced
tokens is arbitrary, so that every title looks improbable until its end is reached.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from recbench.interfaces import Decoder, Options, Plugin, Reporter

if TYPE_CHECKING:
    from recbench.language.textmodel import TextModel
    from recbench.types import Ranking, Sequences


class ExactOptions(Options):
    """Options of ``--decoder exact``."""

    scores: Literal["renormalised", "hf"] = Field(
        "renormalised", description="softmax over valid tokens (Lemma 1), or over the whole vocabulary (hf)"
    )
    expand: int = Field(16, ge=1, description="prefixes of a user looked at in one pass: speed, not the result")
    batch_size: int = Field(16, ge=1, description="users decoded at a time: speed and memory, not the result")


class Exact(Decoder[ExactOptions]):
    """The top of the catalogue by log-probability."""

    def rank(
        self, model: TextModel, cases: Sequences, depth: int, exclude_history: bool, reporter: Reporter
    ) -> Ranking:
        """See :class:`recbench.interfaces.Decoder`; ties in the trie's order: shorter titles, then token ids."""
        import numpy as np

        from recbench.types import PAD, Ranking
        from recbench_plugins.decoders.best_first import BestFirst

        prompts = model.encoder.prompts(cases)
        order = np.argsort([len(p) for p in prompts], kind="stable")
        items = np.full((len(cases), depth), PAD, np.int32)
        scores = np.full((len(cases), depth), -np.inf, np.float32)
        search = BestFirst(model, depth, self.options.expand, self.options.scores == "hf")
        for start in range(0, len(order), self.options.batch_size):
            rows = order[start : start + self.options.batch_size]
            forbidden = [set(cases.history[r].tolist()) if exclude_history else set() for r in rows]
            for row, found in zip(rows, search([prompts[r] for r in rows], forbidden), strict=True):
                items[row, : len(found)] = [item for _, item in found]
                scores[row, : len(found)] = [score for score, _ in found]
            reporter.step(min(start + self.options.batch_size, len(order)), len(order))
        return Ranking(items, scores)


plugin = Plugin(
    kind="decoder",
    summary="the exact top of the catalogue, best-first over the token trie",
    implementation="recbench_plugins.decoders.exact:Exact",
    options=ExactOptions,
    signal="text",
    paper="Wang et al., MSL, SIGIR 2025, Lemma 1. https://doi.org/10.1145/3726302.3730041",
)
