"""LLaRA: the prompt shows each title, then the item's projected embedding from a collaborative model.

Paper: Liao et al., "LLaRA: Large Language-Recommendation Assistant", SIGIR 2024, https://doi.org/10.1145/3626772.3657690.
Original code: github.com/ljy0ustc/LLaRA.

Known differences, and the options that control them:

- The whole catalogue is ranked (the original picks from 20 candidates, and counts correct over valid answers). Language
  model, LoRA and learning rate are the MSL paper's; the code's are LoRA r 8, alpha 32, dropout .1 on all seven
  projections and a rate up to 8e-4 (``train.schedule=llara``), batch 128, 5 epochs. The epoch is chosen on validation.
- ``curriculum``: ``corrected`` counts micro-batches over all epochs, so the share of hybrid prompts rises from 0 to 1
  (mean one half, section 3.3); ``official`` reproduces the code, whose counter starts again with every epoch while its
  total does not (a sawtooth that never passes 1/epochs).
- ``micro_batch``: one draw decides for 8 rows, as in the code, which collects sixteen such micro-batches in a step; so
  most batches are mixed. 0: one draw for the whole batch.
- Item embeddings are standardised before the projector (``vectors=raw`` as in the code): SASRec's embeddings deviate by
  only a few hundredths, so the projector's biases drown them out, and short training cannot make up for it.

The ablation is ``--model bigrec``: the same prompts without collaborative tokens.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from recbench.interfaces import BackbonePlugin, Options, Piece, TextBackbone

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    from torch import nn

    from recbench.prompts.templates import Template


class LLaRAOptions(Options):
    """Options of ``--model llara``."""

    curriculum: Literal["corrected", "official", "none"] = Field(
        "corrected", description="when collaborative embeddings are shown in training; none shows them always"
    )
    micro_batch: int = Field(
        8, ge=0, description="rows of a batch that share one draw of the curriculum; 0: the whole batch"
    )
    vectors: Literal["standardised", "raw"] = Field(
        "standardised", description="item embeddings with mean 0 and deviation 1 in each dimension, or as they are"
    )
    collaborative: str = Field("sasrec", description="the backbone whose item embeddings are shown")


class LLaRA(TextBackbone[LLaRAOptions]):
    """A prompt of titles, each followed by its collaborative token."""

    targets = "all"

    def prompt(self, titles: Sequence[str], items: Sequence[int], template: Template) -> list[Piece]:
        """``title [HistoryEmb]`` for each item, oldest first."""
        pieces: list[Piece] = []
        for place, (title, item) in enumerate(zip(titles, items, strict=True)):
            pieces += [template.between if place else template.before, title, " ", item]
        return [*pieces, template.after]

    def item_vectors(self) -> npt.NDArray[np.float32]:
        """The collaborative model's item embedding table, frozen."""
        assert self.collaborative is not None
        vectors = self.collaborative.item_vectors()
        if self.options.vectors == "raw":
            return vectors
        spread = vectors.std(axis=0) + 1e-8
        return ((vectors - vectors.mean(axis=0)) / spread).astype("float32")

    def projector(self, width_in: int, width_out: int) -> nn.Module:
        """Linear, GELU, Linear (the code's ``MlpProjector``)."""
        from torch import nn

        return nn.Sequential(nn.Linear(width_in, width_out), nn.GELU(), nn.Linear(width_out, width_out))

    @property
    def draw_rows(self) -> int:
        """As ``micro_batch`` says."""
        return self.options.micro_batch

    def hybrid(self, step: int, steps: int, epochs: int, draw: float) -> bool:
        """Hybrid with probability step / steps (section 3.3)."""
        if self.options.curriculum == "none":
            return True
        if self.options.curriculum == "official":
            step %= max(steps // epochs, 1)
        return draw < step / steps


plugin = BackbonePlugin(
    implementation=LLaRA,
    summary="titles with SASRec's item embeddings in the prompt",
    options=LLaRAOptions,
    default_loss="lml",
    default_decoder="constrained_beam",
    requires={"collaborative": "sasrec"},
    paper="Liao et al., LLaRA, SIGIR 2024. https://doi.org/10.1145/3626772.3657690",
)
