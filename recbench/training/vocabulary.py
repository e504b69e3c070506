"""Cross-entropy over the whole vocabulary without keeping its logits: a block of positions at a time.

With every title of a window a target, a batch has thousands of positions; their logits, the softmax and its gradient
are each [positions, vocabulary], and moving them through memory takes most of a step. Here each block's gradient is
computed with its loss while the block is in the cache.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

BLOCK = 256  # positions at a time


def cross_entropy_sum(hidden: Tensor, weight: Tensor, bias: Tensor | None, labels: Tensor, tau: float = 1.0) -> Tensor:
    """The sum over positions of ``tau * cross_entropy(logits / tau, label)``, in at least fp32.

    Args:
        hidden: [N, width] hidden states.
        weight, bias: [V, width] and [V], the output matrix.
        labels: [N] right tokens.
        tau: temperature.
    """
    found: Tensor = _Blocks.apply(hidden, weight, bias, labels, tau)
    return found


class _Blocks(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, *given: Any) -> Tensor:
        """The loss, and its gradients where they are asked for."""
        hidden, weight, bias, labels, tau = given
        wanted = [bool(x is not None and x.requires_grad) for x in (hidden, weight, bias)]
        fine = torch.promote_types(hidden.dtype, torch.float32)
        # summed over blocks in fp32, whatever the parameters are kept in
        gradients = [torch.zeros_like(x, dtype=fine) if w else None for x, w in zip(given[:3], wanted, strict=True)]
        to_hidden, to_weight, to_bias = gradients
        total = hidden.new_zeros((), dtype=fine)
        for start in range(0, len(hidden), BLOCK):
            block, right = hidden[start : start + BLOCK], labels[start : start + BLOCK, None]
            logits = torch.nn.functional.linear(block, weight.to(block.dtype), bias).to(fine) / tau
            top = logits.amax(1, keepdim=True)
            positive = logits.gather(1, right) - top
            share = logits.sub_(top).exp_()
            mass = share.sum(1, keepdim=True)
            total += tau * (mass.log() - positive).sum()
            if not any(wanted):
                continue
            share.div_(mass).scatter_add_(1, right, -torch.ones_like(positive))  # tau inside and outside cancel
            if to_hidden is not None:
                to_hidden[start : start + BLOCK] = (share.to(weight.dtype) @ weight).to(fine)
            if to_weight is not None:
                to_weight += share.T @ block.to(fine)
            if to_bias is not None:
                to_bias += share.sum(0)
        ctx.save_for_backward(
            *(None if g is None else g.to(x.dtype) for g, x in zip(gradients, given[:3], strict=True))
        )
        return total

    @staticmethod
    def backward(ctx: Any, *upstream: Any) -> tuple[Tensor | None, ...]:
        """Scale what :meth:`forward` computed."""
        (factor,) = upstream
        found = [None if gradient is None else factor.to(gradient.dtype) * gradient for gradient in ctx.saved_tensors]
        return (*found, None, None)
