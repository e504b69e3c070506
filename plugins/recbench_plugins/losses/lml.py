"""Language modelling loss: the token-wise softmax over the whole vocabulary.

Paper: Eq. (1) of Wang et al., MSL, SIGIR 2025 (https://doi.org/10.1145/3726302.3730041), as BIGRec, LLaRA and A-LLMRec
train. Original code: the causal-LM loss of transformers.

Known differences: Eq. (1) sums over a title's tokens, every script averages over the batch's tokens; ``reduction``
names the choice. ``tau`` is Table 6's temperature for LML, written as in Eq. (9): divided by inside, multiplied
outside, so that gradients keep their size; the authors' script for it (``train_tau.py``) does not multiply. Epochs are
chosen by validation NDCG@10; the MSL paper reports the epoch with the best NDCG@5 on test.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from recbench.interfaces import Loss, LossPlugin, Options

if TYPE_CHECKING:
    from torch import Tensor

    from recbench.training.answers import AnswerBatch


class LMLOptions(Options):
    """Options of ``--loss lml``."""

    tau: float = Field(1.0, gt=0, description="temperature; 1 is the plain loss")
    reduction: Literal["token_mean", "title_sum"] = Field(
        "token_mean",
        description="mean over the batch's answer tokens (every public script), or sum over a title's (Eq. 1)",
    )


class LML(Loss[LMLOptions]):
    """Cross-entropy over the vocabulary at every answer position."""

    @property
    def softmax_temperature(self) -> float:
        """The option ``tau``."""
        return self.options.tau

    def __call__(self, batch: AnswerBatch) -> tuple[Tensor, Tensor | float]:
        """See :class:`recbench.interfaces.Loss`; counts tokens, or titles with ``title_sum``."""
        from recbench.training.vocabulary import cross_entropy_sum

        total = cross_entropy_sum(batch.hidden, batch.head.weight, batch.head.bias, batch.labels, self.options.tau)
        if self.options.reduction == "token_mean":
            return total, float(len(batch))
        return total, batch.row.unique().numel()


plugin = LossPlugin(
    implementation=LML,
    summary="language modelling loss over the whole vocabulary",
    options=LMLOptions,
    paper="Wang et al., MSL, SIGIR 2025, Eq. (1). https://doi.org/10.1145/3726302.3730041",
)
