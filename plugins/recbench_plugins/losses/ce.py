"""Cross-entropy over the catalogue, for recommenders that score every item.

Paper: Kang and McAuley, SASRec, ICDM 2018, trains with :mod:`bce` and one negative; the softmax over all items is the
default of RecBole (``loss_type: CE``, github.com/RUCAIBox/RecBole), and the stronger one.

Known differences: RecBole's softmax also holds the padding item, which is never recommended; ours does not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from recbench.interfaces import LossPlugin, Options, ScoringLoss

if TYPE_CHECKING:
    from torch import Tensor

    from recbench.training.scores import ScoreBatch


class CE(ScoringLoss[Options]):
    """Softmax over all items."""

    def __call__(self, batch: ScoreBatch) -> tuple[Tensor, Tensor | float]:
        """See :class:`recbench.interfaces.ScoringLoss`; counts predictions."""
        from torch.nn import functional

        return functional.cross_entropy(batch.logits, batch.target, reduction="sum"), float(len(batch))


plugin = LossPlugin(
    implementation=CE,
    summary="softmax cross-entropy over all items",
    paper="RecBole, loss_type CE. https://recbole.io",
)
