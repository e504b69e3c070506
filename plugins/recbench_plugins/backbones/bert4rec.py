"""BERT4Rec through RecBole: a bidirectional transformer that fills in masked items of a sequence.

Paper: Sun et al., "BERT4Rec: Sequential Recommendation with Bidirectional Encoder Representations from Transformer",
CIKM 2019, https://doi.org/10.1145/3357384.3357895. Implementation: RecBole 1.2.1,
``recbole.model.sequential_recommender.BERT4Rec``, its published defaults.

Known differences: those of :mod:`recbench.sequential`. A sequence is a window with its target at the
end, one place longer than a history, so nothing is cut off where the mask is appended (RecBole drops the oldest item of
a full sequence). Items are masked independently, and at least one of a row; RecBole masks at most a fixed number of
places. As there, masked items are never replaced by others, and a share of the rows masks the last item alone, which is
what ranking asks for.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from pydantic import Field

from recbench.interfaces import BackbonePlugin
from recbench.sequential import SequenceModel, TransformerOptions

if TYPE_CHECKING:
    from torch import Tensor

    from recbench.training.scores import ScoreBatch
    from recbench.types import Split


class BERT4RecOptions(TransformerOptions):
    """Options of ``--model bert4rec``; defaults are RecBole's."""

    mask_ratio: float = Field(0.2, gt=0, le=1, description="share of a sequence's items that are masked in training")
    last_only: float = Field(0.5, ge=0, le=1, description="share of training rows that mask the last item alone")


class BERT4Rec(SequenceModel[BERT4RecOptions]):
    """The state at a masked place predicts the item that stood there."""

    purpose = "bert4rec"

    def build(self, split: Split) -> None:
        """Make ``self.module``; the global generator is seeded."""
        from recbench.sequential.network import Bidirectional, Network

        # one place more than a history: for the mask, or the target in training
        settings = self.options.settings(split.train.history.shape[1] + 1) | {"mask_ratio": self.options.mask_ratio}
        self.module = Network(Bidirectional, settings, len(split.catalog), self.objective)

    def states(self, batch: Mapping[str, Tensor]) -> Tensor:
        """[B, d] state at a mask behind each history."""
        import torch

        lengths = batch["lengths"][:, None]
        items = torch.nn.functional.pad(batch["items"], (0, 1))
        last = torch.arange(items.shape[1], device=items.device) == lengths
        return self.module.model.encode(items.masked_fill(last, self._mask), last)

    def score_batch(self, batch: Mapping[str, Tensor]) -> ScoreBatch:
        """The masked places of a training batch, drawn from the global generator, which the loop has seeded."""
        import torch

        from recbench.training.scores import ScoreBatch

        lengths = batch["lengths"][:, None]
        items = torch.nn.functional.pad(batch["items"], (0, 1))
        items = items.scatter(1, lengths, batch["target"][:, None] + 1)
        masked = draw_masks(items, lengths, self.options.mask_ratio, self.options.last_only)
        states = self.module.model.encode(items.masked_fill(masked, self._mask), masked)
        catalogue, bias = self.module.catalogue()
        return ScoreBatch(states, catalogue, items[masked] - 1, bias)

    @property
    def _mask(self) -> int:
        return int(self.module.model.mask_token)


def draw_masks(items: Tensor, lengths: Tensor, ratio: float, last_only: float) -> Tensor:
    """[B, L] which places are masked: at least one a row, none in the padding.

    Args:
        items: [B, L] left-aligned, 0 is padding.
        lengths: [B, 1] the place of each row's last item.
        ratio: probability of each item's being masked.
        last_only: probability that a row masks its last item and no other.
    """
    import torch

    last = torch.arange(items.shape[1], device=items.device) == lengths
    draws = torch.rand(items.shape, device=items.device).masked_fill(items == 0, 2.0)
    # the item with the smallest draw is masked even where none is below the ratio
    masked = (draws < ratio) | (draws == draws.min(dim=1, keepdim=True).values)
    ends = torch.rand(len(items), 1, device=items.device) < last_only
    return torch.where(ends, last, masked)


plugin = BackbonePlugin(
    implementation=BERT4Rec,
    summary="a bidirectional transformer that fills in masked items (RecBole)",
    options=BERT4RecOptions,
    default_loss="ce",
    default_decoder="topk",
    extra="recbole",
    paper="Sun et al., BERT4Rec, CIKM 2019. https://doi.org/10.1145/3357384.3357895",
)
