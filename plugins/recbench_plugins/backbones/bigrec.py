"""BIGRec: the prompt lists the history's titles, the model generates the next one.

Paper: Bao et al., "A Bi-Step Grounding Paradigm for Large Language Models in Recommendation Systems",
https://arxiv.org/abs/2308.08434. Original code: github.com/SAI990323/BIGRec.

Known differences: the instruction's wording is the MSL paper's Table 1 (``llm.template``); grounding is a decoder of
its own (``--decoder grounding``), since every backbone can be decoded either way. The epoch is chosen by NDCG@10 on
validation under the constrained beam, whichever decoder ranks the test set; the MSL paper reports the epoch with the
best NDCG@5 on test.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from recbench.interfaces import BackbonePlugin, Options, Piece, TextBackbone

if TYPE_CHECKING:
    from recbench.prompts.templates import Template


class BIGRec(TextBackbone[Options]):
    """A prompt of text alone."""

    targets = "all"

    def prompt(self, titles: Sequence[str], items: Sequence[int], template: Template) -> list[Piece]:
        """The instruction and the titles, oldest first."""
        pieces: list[Piece] = [template.before]
        for place, title in enumerate(titles):
            pieces += [template.between] * (place > 0) + [title]
        return [*pieces, template.after]


plugin = BackbonePlugin(
    implementation=BIGRec,
    summary="titles in, title out",
    default_loss="lml",
    default_decoder="constrained_beam",
    paper="Bao et al., BIGRec, 2023. https://arxiv.org/abs/2308.08434",
)
