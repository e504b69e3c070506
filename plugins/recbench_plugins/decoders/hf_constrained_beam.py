"""Constrained beam search as the MSL paper's code does it: the reference that ``constrained_beam`` is compared with.

Paper: MSL (SIGIR 2025) section 5.1.3: 10 beams constrained to valid titles. Original code:
github.com/WANGBohaO-jpg/MSL, ``transformers.generate`` with a ``prefix_allowed_tokens_fn`` over a marisa-trie.

Known differences: none in the search. The softmax is over the whole vocabulary and masked afterwards, a title's score
is divided by its token count (``length_penalty=1``), and transformers decides when to stop. The trie holds token ids as
bytes of fixed width, so that any id may occur. Generated ids, not strings, are matched to items. If the history is
excluded, the search has one more beam for each place of a history. ``constrained_beam`` with ``scores=hf`` and
``length_penalty=1`` gives the same ranking faster, ties and rounding aside; transformers sometimes stops with fewer
titles than beams.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pydantic import Field

from recbench.interfaces import DecoderPlugin, Options, Reporter, TextDecoder

if TYPE_CHECKING:
    from recbench.language.textmodel import TextModel
    from recbench.types import Histories, Ranking

WIDTH = 3  # bytes of a token id in the trie: vocabularies up to 16 million


class HFBeamOptions(Options):
    """Options of ``--decoder hf_constrained_beam``."""

    beams: int = Field(10, ge=2, description="beams of the search (transformers keeps no scores with a single beam)")
    length_penalty: float = Field(1.0, description="a title's score is divided by its token count to this power")
    batch_size: int = Field(16, ge=1, description="users decoded at a time; part of the spec, for reproducible results")

    def objection(self, depth: int) -> str:
        """A beam finds no more items than it is wide."""
        return f"decoder.beams={self.beams} cannot fill a list of {depth}: use at least {depth}." * (self.beams < depth)


class HFConstrainedBeam(TextDecoder[HFBeamOptions]):
    """``transformers.generate`` that may only write titles."""

    _trie: TokenTrie | None = None  # made once for a ranking

    def rank(
        self, model: TextModel, cases: Histories, depth: int, exclude_history: bool, reporter: Reporter
    ) -> Ranking:
        """See :class:`recbench.interfaces.Decoder`; ``invalid_share`` is None where every answer was an item."""
        import numpy as np

        from recbench.errors import UsageError
        from recbench.search.generate import generate
        from recbench.types import PAD, Ranking

        encoder, size = model.encoder, self.options.batch_size
        if objection := self.options.objection(min(depth, len(encoder.catalog))):
            raise UsageError(objection)
        beams = self.options.beams + (cases.history.shape[1] if exclude_history else 0)
        item_of = {answer[:-1]: item for item, answer in enumerate(encoder.answers)}
        if self._trie is None or self._trie.sequences is not encoder.answers:
            self._trie = TokenTrie(encoder.answers)
        trie = self._trie
        prompts = encoder.prompts(cases)
        order = np.argsort([len(p) for p in prompts], kind="stable")
        items = np.full((len(cases), depth), PAD, np.int32)
        scores = np.full((len(cases), depth), -np.inf, np.float32)
        invalid = answers = 0
        for start in range(0, len(order), size):
            rows = order[start : start + size]
            batch = [prompts[r] for r in rows]
            found = generate(model, batch, beams, beams, self.options.length_penalty, trie.following, scores=True)
            for row, titles in zip(rows, found, strict=True):
                taken = {PAD, *(cases.history[row].tolist() if exclude_history else [])}
                kept = []
                for tokens, score in titles:
                    item = item_of.get(tuple(tokens), PAD)
                    answers += 1
                    invalid += item == PAD
                    if item not in taken:
                        taken.add(item)
                        kept.append((item, score))
                kept = kept[:depth]
                items[row, : len(kept)] = [item for item, _ in kept]
                scores[row, : len(kept)] = [score for _, score in kept]
            reporter.advance(min(start + size, len(order)), len(order))
        return Ranking(items, scores, invalid / answers if invalid else None, generated=answers)


class TokenTrie:
    """A marisa-trie of token sequences: which tokens may follow a beginning.

    Args:
        sequences: the tokens of each title, end-of-title token included, ids below 2^24.
    """

    def __init__(self, sequences: Sequence[Sequence[int]]) -> None:
        import marisa_trie

        self.sequences = sequences
        self.trie = marisa_trie.BinaryTrie([_encoded(tokens) for tokens in sequences])
        self.end = sequences[0][-1]
        self.known: dict[bytes, list[int]] = {}

    def following(self, tokens: Sequence[int]) -> list[int]:
        """The valid tokens after a beginning, ascending; the end-of-title token after what begins no title."""
        start = _encoded(tokens)
        if start not in self.known:
            place = slice(len(start), len(start) + WIDTH)
            below = {key[place] for key in self.trie.iterkeys(start) if len(key) > len(start)}
            self.known[start] = sorted(int.from_bytes(part, "big") for part in below) or [self.end]
        return self.known[start]


def _encoded(tokens: Sequence[int]) -> bytes:
    return b"".join(token.to_bytes(WIDTH, "big") for token in tokens)


plugin = DecoderPlugin(
    implementation=HFConstrainedBeam,
    summary="beam search by transformers.generate, as the MSL paper's code (slow; the reference)",
    options=HFBeamOptions,
    paper="Wang et al., MSL, SIGIR 2025, section 5.1.3. https://doi.org/10.1145/3726302.3730041",
)
