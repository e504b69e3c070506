"""DROS: SASRec with a distributionally robust term, which guards against shifts of the item distribution.

Paper: Yang et al., "A Generic Learning Framework for Sequential Recommendation with Distribution Shifts", SIGIR 2023,
https://doi.org/10.1145/3539618.3591624. Original code: github.com/YangZhengyi98/DROS (``SASRec`` there).

Known differences: those of :mod:`recbench.sequential`, with the code's sizes. The code's default alpha is 0, which is
SASRec; ours is 0.1. The sum inside the logarithm is computed as a logsumexp, since squared scores overflow ``exp``. The
code evaluates with dropout on. Its feed-forward layers use ReLU and its weight decay is Adam's; here they are RecBole's
GELU and AdamW's (``train.weight_decay``, 1e-6 in the code, like a batch of 256). The negative may be an item of the
history, and the epoch is chosen on validation. The ablation is ``alpha=0``, or ``--model sasrec --loss
bce`` with these sizes and ``backbone.output=separate``: they are the same model, bit for bit. Plain ``sasrec`` differs
in sizes, loss and output, and says nothing about the robust term.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from recbench.interfaces import BackbonePlugin, Fit
from recbench.sequential import SequenceModel, SequenceOptions

if TYPE_CHECKING:
    from torch import Tensor

    from recbench.training.scores import ScoreBatch
    from recbench.types import Split


class DROSOptions(SequenceOptions):
    """Options of ``--model dros``; sizes are those of its code."""

    layers: int = Field(1, ge=1, description="transformer layers")
    heads: int = Field(1, ge=1, description="attention heads; must divide hidden")
    inner: int = Field(64, ge=1, description="width of the feed-forward layers")
    dropout: float = Field(0.1, ge=0, lt=1, description="on embeddings and layers")
    attention_dropout: float = Field(0.1, ge=0, lt=1, description="on attention weights")
    output: Literal["tied", "separate"] = Field(
        "separate", description="items are scored by their input embeddings, or by a separate matrix with a bias"
    )
    alpha: float = Field(0.1, ge=0, description="weight of the robust term; 0 (the code's default) is SASRec")
    beta: float = Field(1.0, gt=0, description="temperature of the robust term")


def propensity(counts: Any) -> Any:
    """[items] each item's share of ``counts + 1`` to the power of 0.05; an array or tensor."""
    return ((counts + 1) / (counts + 1).sum()) ** 0.05


def robust(logits: Tensor, target: Tensor, weight: Tensor, beta: float) -> Tensor:
    """The robust term of each prediction: a logsumexp of weighted squared errors over the whole catalogue.

    Args:
        logits: [N, items] raw scores.
        target: [N, n] items that count as right, one at a time.
        weight: [items] :func:`propensity`.
        beta: temperature.

    Returns:
        [N, n]: log of the sum over items i of exp(weight_i e_i^2 / beta), the error e_i being the score of every item,
        and the score minus 1 of the target.
    """
    import torch

    errors = weight * logits.square() / beta
    own = weight[target] * (logits.gather(1, target) - 1).square() / beta
    # one target at a time takes its own error in place of its score
    columns = [
        torch.logsumexp(errors.scatter(1, target[:, i : i + 1], own[:, i : i + 1]), dim=1)
        for i in range(target.shape[1])
    ]
    return torch.stack(columns, dim=1)


class DROS(SequenceModel[DROSOptions]):
    """SASRec whose loss also has the robust term."""

    weight: Any = None

    def prepare(self, split: Split, fit: Fit) -> None:
        """Count the training targets."""
        import numpy as np
        import torch

        counts = np.bincount(split.train.target, minlength=len(split.catalog))
        self.weight = torch.from_numpy(propensity(counts)).float().to(fit.device)

    def terms(self, scored: ScoreBatch, batch: Mapping[str, Tensor]) -> list[tuple[Tensor, Tensor | float]]:
        """alpha times the mean robust term; nothing at alpha 0, where 0 times infinity would be NaN."""
        alpha, beta = self.options.alpha, self.options.beta
        if alpha == 0:
            return []
        total = robust(scored.logits, scored.target[:, None], self.weight, beta).sum()
        return [(alpha * total, float(len(scored)))]


plugin = BackbonePlugin(
    implementation=DROS,
    summary="SASRec with a distributionally robust term",
    options=DROSOptions,
    default_loss="bce",
    default_decoder="topk",
    extra="recbole",
    paper="Yang et al., DROS, SIGIR 2023. https://doi.org/10.1145/3539618.3591624",
)
