"""Binary cross-entropy: the target against one item drawn uniformly from the others.

Paper: Kang and McAuley, "Self-Attentive Sequential Recommendation", ICDM 2018, section III-E,
https://doi.org/10.1109/ICDM.2018.00035. Original code: github.com/kang205/SASRec; DROS (github.com/YangZhengyi98/DROS)
and DLLM2Rec (github.com/istarryn/DLLM2Rec) train with it too.

Known differences: SASRec predicts at every place of a sequence and draws no item of the user's as a negative; here, as
in DROS, a window is one prediction and any item but the target may be drawn. The mean is over targets and negatives
alike, as in DROS.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from recbench.interfaces import LossPlugin, Options, ScoringLoss

if TYPE_CHECKING:
    from torch import Tensor

    from recbench.training.scores import ScoreBatch


class BCE(ScoringLoss[Options]):
    """Two scores a prediction: the target's, which should be high, and a negative's, which should be low."""

    def __call__(self, batch: ScoreBatch) -> tuple[Tensor, Tensor | float]:
        """See :class:`recbench.interfaces.ScoringLoss`; counts scores, two a prediction."""
        import torch
        from torch.nn import functional

        scores = batch.of(torch.cat([batch.target[:, None], batch.negatives(1)], dim=1))
        right = torch.zeros_like(scores)
        right[:, 0] = 1.0
        total = functional.binary_cross_entropy_with_logits(scores, right, reduction="sum")
        return total, 2.0 * len(batch)


plugin = LossPlugin(
    implementation=BCE,
    summary="binary cross-entropy with one uniform negative",
    paper="Kang and McAuley, SASRec, ICDM 2018, section III-E. https://doi.org/10.1109/ICDM.2018.00035",
)
