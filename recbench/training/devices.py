"""Sums and means over all processes of a training, so that several devices compute what one would."""

from __future__ import annotations

import torch
from torch import Tensor


def sum_over_devices(value: Tensor) -> Tensor:
    """The sum of ``value`` over all processes (no gradient); itself when there is one."""
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        value = value.detach().clone()
        torch.distributed.all_reduce(value)
    return value


def global_mean(total: Tensor, count: Tensor | float) -> Tensor:
    """``total / count`` over all processes, scaled so that averaging gradients over processes gives its gradient."""
    everywhere = torch.as_tensor(count, dtype=torch.float64, device=total.device)
    share = total.new_tensor(1.0)
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        everywhere = sum_over_devices(everywhere)
        share = share * torch.distributed.get_world_size()
    return total * share / everywhere.clamp_min(1.0).to(total.dtype)
