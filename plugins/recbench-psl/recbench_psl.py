"""PSL: softmax over the valid tokens with a flatter function than exp, so that no wrong token outweighs the rest.

Paper: Yang et al., "PSL: Rethinking and Improving Softmax Loss from Pairwise Perspective for Recommendation", NeurIPS
2024, https://arxiv.org/abs/2411.00163. Original code: github.com/Tiny-Snow/IR-Benchmark (``optim_PSL.py``).

For a right token i the loss is ``log sum_j s(d_j) ** (1 / tau)`` over the valid tokens j, ``d_j = f_j - f_i``, where
the softmax loss has ``exp(d_j)`` for ``s(d_j)``. ``s`` is ``tanh(d) + 1``, ``relu(d + 1)`` or ``arctan(d) + 1``: each
is 1 at 0 with slope 1, as exp is, and grows more slowly. A valid token that is right for others then pushes less.

Known differences from paper and code:

- Tokens in place of items: a position of a title is a user, the tokens that continue some title of the catalogue are
  the items, all of them and not a sample of negatives. Positions with one valid token cost nothing.
- The paper's scores are cosines over a temperature, ours are a language model's logits z, which decoders take softmaxes
  of. ``f = tau z`` makes ``s(d) ** (1 / tau)`` the replacement of ``exp(z_j - z_i)``: the smaller tau, the closer the
  two are. The limit is ``--loss msl --set loss.tau=none``, which serves as the ablation. The code has two temperatures,
  of which this is the case that the paper derives.
- The sum holds the right token itself (s = 1), so the loss is never negative; in the code it is one of the sampled
  items or none. The code's other form, with the sum over positives inside the logarithm, needs a user's positives
  together and is left out.
- Where s reaches 0 (relu from d = -1 on, arctan from -1.56 on) the token drops out of the sum and has no gradient.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from recbench.interfaces import Loss, LossPlugin, Options

if TYPE_CHECKING:
    from torch import Tensor

    from recbench.training.answers import AnswerBatch

LEAST = 1e-30  # of s, where its logarithm is taken: far below what counts in a sum that holds a 1


class PSLOptions(Options):
    """Options of ``--loss psl``."""

    activation: Literal["tanh", "relu", "atan"] = Field("tanh", description="the function that replaces exp")
    tau: float = Field(
        0.2,
        gt=0,
        description="how soon it departs from exp: where logits differ by 1 / tau; as tau goes to 0, it becomes exp",
    )


class PSL(Loss[PSLOptions]):
    """Pairwise softmax loss over the valid tokens."""

    positions = "choices"

    def __call__(self, batch: AnswerBatch) -> tuple[Tensor, float]:
        """See :class:`recbench.interfaces.Loss`; counts the positions with a choice."""
        from recbench.training.segments import segment_logsumexp

        choice = batch.branching()
        if len(choice) == 0:  # still part of the graph, so that every parameter gets its (zero) gradient
            return (batch.hidden * 0.0).sum(), 0.0
        values, position, positive = choice.valid_logits()
        tau = self.options.tau
        raised = log_activation(tau * (values - values[positive][position]), self.options.activation) / tau
        return segment_logsumexp(raised, position, len(choice)).sum(), float(len(choice))


def log_activation(d: Tensor, activation: str) -> Tensor:
    """The logarithm of ``s(d)``, elementwise."""
    from torch.nn.functional import logsigmoid

    if activation == "tanh":
        return math.log(2.0) + logsigmoid(2.0 * d)  # tanh(d) + 1 = 2 sigmoid(2 d), which does not round to 0
    return (d + 1.0 if activation == "relu" else d.atan() + 1.0).clamp_min(LEAST).log()


plugin = LossPlugin(
    implementation=PSL,
    summary="pairwise softmax loss over valid tokens, with a flatter function than exp",
    options=PSLOptions,
    paper="Yang et al., PSL, NeurIPS 2024. https://arxiv.org/abs/2411.00163",
)
