"""Beam search over the catalogue's token trie: every generated title is an item.

Paper: MSL (SIGIR 2025) section 5.1.3 decodes with 10 beams constrained to valid titles, as Zheng et al. (LC-Rec, ICDE
2024). Original code: ``transformers.generate`` with ``prefix_allowed_tokens_fn`` over a marisa-trie.

How it works: prompts are read once and without padding, and their common prefix is read once for all of them. A user's
beams share one cache: each step appends the beams' new tokens to it, and an attention mask lets every token see only
its own ancestors, so nothing is copied or reordered. If an architecture does not support such a mask, every prefix is
read again, and the run says so. With renormalised scores a forced token has probability 1, so it is fed only when a
later choice depends on it.

bf16 gives other rankings than fp32, since it cannot tell close scores apart. ``precision=fp32`` ranks in fp32 with a
model that is kept in bf16, at the cost of time and memory.

Known differences: the original masks invalid tokens *after* the softmax over the whole vocabulary and divides by the
title's length (``length_penalty=1``); Lemma 1 ranks by the product of probabilities renormalised over valid tokens.
``scores=renormalised`` (default) is the lemma's, ``scores=hf`` with ``length_penalty=1`` the code's. Each step keeps
the ``beams`` best unfinished prefixes, and a title counts as finished when it is among the ``beams`` best
continuations, as in transformers.

MSL trains softmax(z / tau), so the trained model's probability of a title is the product of these. The paper's code
decodes softmax(z). The score of each step is then tau log p + (tau - 1) H, where H is the Renyi entropy of order tau
of the step: with tau above 1, titles behind uncertain steps gain. ``temperature=loss`` decodes softmax(z / tau); 1 is
the default. The epoch is chosen at 1 in either case.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from recbench.interfaces import BatchSize, DecoderPlugin, Reporter, SearchOptions, TextDecoder

if TYPE_CHECKING:
    from recbench.language.textmodel import TextModel
    from recbench.types import Histories, Ranking


class BeamOptions(SearchOptions):
    """Options of ``--decoder constrained_beam``."""

    beams: int = Field(10, ge=1, description="prefixes kept at each step")
    length_penalty: float = Field(0.0, description="a title's score is divided by its token count to this power")
    batch_size: BatchSize = Field(
        "auto", description="users decoded at a time; auto: 64 on the CPU, as many as fit into free memory on CUDA"
    )

    def objection(self, depth: int) -> str:
        """A beam finds no more items than it is wide."""
        return f"decoder.beams={self.beams} cannot fill a list of {depth}: use at least {depth}." * (self.beams < depth)


class ConstrainedBeam(TextDecoder[BeamOptions]):
    """Beam search in which every path is a title."""

    def rank(
        self, model: TextModel, cases: Histories, depth: int, exclude_history: bool, reporter: Reporter
    ) -> Ranking:
        """See :class:`recbench.interfaces.Decoder`; equal scores in the trie's order (by token ids)."""
        from recbench.search.beams import rank

        options = self.options
        with model.at(options.temperature):
            return rank(model, cases, depth, exclude_history, reporter, options, options.length_penalty)


plugin = DecoderPlugin(
    implementation=ConstrainedBeam,
    summary="beam search over the catalogue's token trie",
    options=BeamOptions,
    paper="Wang et al., MSL, SIGIR 2025, section 5.1.3. https://doi.org/10.1145/3726302.3730041",
)
