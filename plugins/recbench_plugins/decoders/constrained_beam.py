"""Beam search over the catalogue's token trie: every generated title is an item.

Paper: MSL (SIGIR 2025) section 5.1.3 decodes with 10 beams constrained to valid titles, as Zheng et al. (LC-Rec, ICDE
2024). Original code: ``transformers.generate`` with ``prefix_allowed_tokens_fn`` over a marisa-trie.

Known differences: the original masks invalid tokens *after* the softmax over the whole vocabulary and divides by the
title's length (``length_penalty=1``); Lemma 1 ranks by the product of probabilities renormalised over valid tokens.
``scores=renormalised`` (default) is the lemma's, ``scores=hf`` with ``length_penalty=1`` the code's. Each step keeps
the ``beams`` best unfinished prefixes, and a title counts as finished when it is among the ``beams`` best
continuations, as in transformers.

How: prompts are read once, a user's beams share their cache. A step appends each beam's new tokens to the user's cache
and an attention mask shows every token its own ancestors only, so nothing is copied or reordered. Renormalised over one
valid token a forced token has probability 1: it is fed only when a later choice has to look back at it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from recbench.interfaces import Decoder, Options, Plugin, Reporter

if TYPE_CHECKING:
    from recbench.language.textmodel import TextModel
    from recbench.types import Ranking, Sequences


class BeamOptions(Options):
    """Options of ``--decoder constrained_beam``."""

    beams: int = Field(10, ge=1, description="prefixes kept at each step")
    scores: Literal["renormalised", "hf"] = Field(
        "renormalised", description="softmax over valid tokens (Lemma 1), or over the vocabulary and masked after (hf)"
    )
    length_penalty: float = Field(0.0, description="a title's score is divided by its token count to this power")
    batch_size: int = Field(64, ge=1, description="users decoded at a time; part of the spec, so that results repeat")

    def objection(self, depth: int) -> str:
        """A beam finds no more items than it is wide."""
        return f"decoder.beams={self.beams} cannot fill a list of {depth}: use at least {depth}." * (self.beams < depth)


class ConstrainedBeam(Decoder[BeamOptions]):
    """Beam search whose every path is a title."""

    def rank(
        self, model: TextModel, cases: Sequences, depth: int, exclude_history: bool, reporter: Reporter
    ) -> Ranking:
        """See :class:`recbench.interfaces.Decoder`; equal scores in the trie's order (by token ids)."""
        import numpy as np

        from recbench.errors import UsageError
        from recbench.types import PAD, Ranking
        from recbench_plugins.decoders.beam_search import BeamSearch

        if objection := self.options.objection(min(depth, len(model.encoder.catalog))):
            raise UsageError(objection)
        prompts = model.encoder.prompts(cases)
        # users of like prompt length share a batch; the order is a function of the cases alone
        order = np.argsort([len(p) for p in prompts], kind="stable")
        items = np.full((len(cases), depth), PAD, np.int32)
        scores = np.full((len(cases), depth), -np.inf, np.float32)
        search = BeamSearch(model, self.options.beams, self.options.scores == "hf", self.options.length_penalty)
        for start in range(0, len(order), self.options.batch_size):
            rows = order[start : start + self.options.batch_size]
            forbidden = [set(cases.history[r].tolist()) if exclude_history else set() for r in rows]
            for row, found in zip(rows, search([prompts[r] for r in rows], forbidden), strict=True):
                kept = found[:depth]
                items[row, : len(kept)] = [item for _, item in kept]
                scores[row, : len(kept)] = [score for score, _ in kept]
            reporter.step(min(start + self.options.batch_size, len(order)), len(order))
        return Ranking(items, scores)


plugin = Plugin(
    kind="decoder",
    summary="beam search over the catalogue's token trie",
    implementation="recbench_plugins.decoders.constrained_beam:ConstrainedBeam",
    options=BeamOptions,
    signal="text",
    paper="Wang et al., MSL, SIGIR 2025, section 5.1.3. https://doi.org/10.1145/3726302.3730041",
)
