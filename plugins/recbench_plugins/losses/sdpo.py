"""S-DPO: the target's title against several titles of other items, relative to the model tuned by LML.

Paper: Chen et al., "On Softmax Direct Preference Optimization for Recommendation", NeurIPS 2024,
https://arxiv.org/abs/2406.09215. Original code: github.com/chenyuxin1999/S-DPO.

Known differences: negatives are drawn uniformly outside history and target, since the whole catalogue is ranked (the
code takes them from the candidates of its prompt); they are drawn once, before training, as in the code. Policy and
reference start from the LML-tuned model of the same spec, whose budget is the group ``reference_train``. The code's
script trains with beta 1; the paper recommends values from 0.1 up. Its budget is a rate of 1e-5 on a cosine with 5 % of
warm-up, gradient norm .3, batch 128, 3 epochs (group ``train``). The loss is a mean over windows, a title's
log-probability the sum over its tokens and the end of text.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from recbench.interfaces import LossPlugin, Options, PreferenceLoss

if TYPE_CHECKING:
    from torch import Tensor


class SDPOOptions(Options):
    """Options of ``--loss sdpo``."""

    beta: float = Field(1.0, gt=0, description="weight of a log-ratio; a small one lets the policy leave the reference")
    negatives: int = Field(3, ge=1, description="rejected titles for each chosen one; 1 is DPO")


class SDPO(PreferenceLoss[SDPOOptions]):
    """Softmax direct preference optimisation (Eq. 9 of the paper)."""

    @property
    def negatives(self) -> int:
        """How many titles are rejected for each chosen one."""
        return self.options.negatives

    def __call__(self, chosen: Tensor, rejected: Tensor) -> Tensor:
        """[B] -log sigmoid(-log sum_j exp(beta (rejected_j - chosen))), without overflow."""
        from torch.nn import functional

        return functional.softplus((self.options.beta * (rejected - chosen[:, None])).logsumexp(dim=1))


plugin = LossPlugin(
    implementation=SDPO,
    summary="preferences over several negatives (DPO), after LML",
    options=SDPOOptions,
    after="lml",
    paper="Chen et al., S-DPO, NeurIPS 2024. https://arxiv.org/abs/2406.09215",
)
