"""D3: beam search that a recommender without text takes part in, and whose scores long titles do not inflate.

Paper: Bao et al., "Decoding Matters: Addressing Amplification Bias and Homogeneity Issue for LLM-based Recommendation",
EMNLP 2024, https://arxiv.org/abs/2406.14900. Original code: github.com/SAI990323/DecodingMatters (``evaluate.py``,
``LogitProcesser.py``).

Amplification: some tokens of a title follow from those before it, so that their probability is near 1 ("ghost tokens").
They add nothing to a sum of log-probabilities and one to the length that it is divided by, which lifts titles that have
many of them. D3 does not divide. Homogeneity: a language model likes titles that resemble those of the history. At each
step D3 mixes in what a text-free assistant, SASRec, thinks of the items that share the prefix:

    score += (1 - alpha) * log P_LM(token | prompt, prefix) + alpha * log P_assistant(token | prefix)

where P_assistant(token | prefix) is the mass of the items behind the token over the mass of the items behind the
prefix, and an item's mass is its softmax over the catalogue. Along a whole title the assistant's terms multiply to the
item's own mass; the mixture matters at each step, since it decides which prefixes the beam keeps.

Known differences, and the options that choose:

- ``scores=renormalised`` (default) takes P_LM over the valid tokens alone: a forced token then has probability 1
  exactly and is out of the score. ``hf`` is the code's, a softmax over the whole vocabulary masked afterwards, under
  which a forced token still costs what the model thinks of it.
- ``aggregate=sum`` (default) is the paper's mass; the code takes the best item's (``max``), adds 1e-10 and normalises
  over the tokens that are valid.
- The code's ``guidance_scale`` is 1 - alpha. Its default is 1, so that the assistant is not mixed in at all. Here alpha
  is .3 by default and to be chosen on validation; with 0 no assistant is trained, and the decoder is
  ``constrained_beam``, the row without the idea (there ``decoder.length_penalty=1`` is what the paper amends).
- The code's assistant is trained apart, and its logits are read from a file. Here it is a step of the same run, with
  the same seed: ``collaborative`` names it and the group ``collaborative`` holds its options.
- The epoch of the language model is the one that the backbone's own decoder likes best, as for every decoder.
- Ties are broken in the trie's order. An item's mass is at least 1e-30, so that its logarithm exists.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from recbench.interfaces import DecoderPlugin, Options, Reporter, TextDecoder

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from recbench.language.textmodel import TextModel
    from recbench.prompts.trie import Trie
    from recbench.search.beam import Adjust
    from recbench.types import Histories, Ranking

LEAST = 1e-30  # mass of an item that the assistant thinks impossible
CODE = 1e-10  # what the code adds to the best item's


class D3Options(Options):
    """Options of ``--decoder d3``."""

    alpha: float = Field(
        0.3, ge=0, lt=1, description="weight of the assistant; with 0, no assistant is trained or asked"
    )
    collaborative: str = Field("sasrec", description="the assistant: a backbone that scores items")
    aggregate: Literal["sum", "max"] = Field(
        "sum", description="mass of a prefix: of all items behind it (paper), or of the best of them (code)"
    )
    scores: Literal["renormalised", "hf"] = Field(
        "renormalised", description="the language model's softmax: over valid tokens, or over the whole vocabulary (hf)"
    )
    beams: int = Field(10, ge=1, description="prefixes kept at each step")
    batch_size: int = Field(64, ge=1, description="users decoded at a time; part of the spec")
    precision: Literal["model", "fp32"] = Field("model", description="of the ranking: the model's own, or fp32")

    def objection(self, depth: int) -> str:
        """A beam finds no more items than it is wide."""
        return f"decoder.beams={self.beams} cannot fill a list of {depth}: use at least {depth}." * (self.beams < depth)

    def requires(self) -> Mapping[str, str]:
        """A trained recommender, where it has a weight."""
        return {"collaborative": self.collaborative} if self.alpha else {}


class D3(TextDecoder[D3Options]):
    """Constrained beam search, mixed with an assistant's scores."""

    def rank(
        self, model: TextModel, cases: Histories, depth: int, exclude_history: bool, reporter: Reporter
    ) -> Ranking:
        """See :class:`recbench.interfaces.Decoder`; scores are the mixture's, and equal ones in the trie's order."""
        from recbench.search.beams import rank

        options = self.options

        def mixed(part: Histories) -> Adjust:
            masses = softmax(model.recommender.scores(part))
            return mixture(log_shares(model.encoder.trie, masses, options.aggregate), options.alpha)

        return rank(model, cases, depth, exclude_history, reporter, options, 0.0, mixed if options.alpha else None)


def mixture(assistant: npt.NDArray[np.float64], alpha: float) -> Adjust:
    """What a continuation adds to the score of its prefix, mixed with the assistant's terms.

    Args:
        assistant: [users, nodes] from :func:`log_shares`.
        alpha: the assistant's weight.
    """

    def adjust(
        user: npt.NDArray[Any], node: npt.NDArray[Any], before: npt.NDArray[Any], after: npt.NDArray[Any]
    ) -> npt.NDArray[Any]:
        return before + (1 - alpha) * (after - before) + alpha * assistant[user, node]

    return adjust


def softmax(scores: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """[N, items] masses from [N, items] scores."""
    import numpy as np

    raised = np.exp(scores.astype(np.float64) - scores.max(axis=1, keepdims=True))
    return np.maximum(raised / raised.sum(axis=1, keepdims=True), LEAST)


def log_shares(trie: Trie, masses: npt.NDArray[np.float64], aggregate: str) -> npt.NDArray[np.float64]:
    """[N, nodes] logarithm of the share that the items behind each node have of those behind its parent; 0 at the root.

    Args:
        trie: of the catalogue.
        masses: [N, items], all positive.
        aggregate: ``sum`` or ``max``, see the module.
    """
    import numpy as np

    join = np.add if aggregate == "sum" else np.maximum
    leaf = np.flatnonzero(trie.item >= 0)
    mass = np.zeros((len(trie), len(masses)))
    mass[leaf] = masses.T[trie.item[leaf]]
    parent = trie.parents()
    inner = np.flatnonzero(np.diff(trie.first))  # numbered breadth-first: children come after their parents
    for node in inner[::-1].tolist():
        children = slice(int(trie.first[node]) + 1, int(trie.first[node + 1]) + 1)
        mass[node] = join.reduce(mass[children], axis=0)
    if aggregate == "max":
        mass += CODE
    whole = np.add.reduceat(mass[1:], trie.first[inner], axis=0)  # of each inner node's children
    shares = np.zeros_like(mass)
    shares[1:] = np.log(mass[1:]) - np.log(whole)[np.searchsorted(inner, parent[1:])]
    return np.ascontiguousarray(shares.T)


plugin = DecoderPlugin(
    implementation=D3,
    summary="beam search without length normalisation, mixed with SASRec at each step",
    options=D3Options,
    paper="Bao et al., Decoding Matters, EMNLP 2024. https://arxiv.org/abs/2406.14900",
)
