"""Focal loss: tokens the model is already sure of count less.

Paper: Lin et al., "Focal Loss for Dense Object Detection", ICCV 2017, Eq. (4), https://doi.org/10.1109/ICCV.2017.324.
Known differences: a softmax over the vocabulary in place of the sigmoid, no class weight alpha, mean over tokens.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from recbench.interfaces import Loss, LossPlugin, Options

if TYPE_CHECKING:
    from torch import Tensor

    from recbench.training.answers import AnswerBatch


class FocalOptions(Options):
    """Options of ``--loss focal``."""

    gamma: float = Field(2.0, ge=0, description="how little confident tokens count; 0 is the language modelling loss")


class Focal(Loss[FocalOptions]):
    """Cross-entropy times (1 - p) ** gamma, p the right token's probability."""

    def __call__(self, batch: AnswerBatch) -> tuple[Tensor, float]:
        """See :class:`recbench.interfaces.Loss`."""
        from torch.nn.functional import cross_entropy

        nll = cross_entropy(batch.logits, batch.labels, reduction="none")
        return ((1 - (-nll).exp()).clamp_min(1e-6) ** self.options.gamma * nll).sum(), float(len(batch))


plugin = LossPlugin(
    implementation=Focal,
    summary="focal loss over the whole vocabulary (example of a third party's plugin)",
    options=FocalOptions,
    paper="Lin et al., ICCV 2017. https://doi.org/10.1109/ICCV.2017.324",
)
