"""Sums and means over all processes of a training, so that several devices compute what one would."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor


def processes() -> int:
    """How many train together."""
    return torch.distributed.get_world_size() if _several() else 1


def process() -> int:
    """Which of them this one is, from 0."""
    return torch.distributed.get_rank() if _several() else 0


def own_uniform(size: int, device: torch.device) -> Tensor:
    """[size] uniform numbers in [0, 1), others on each process, although all share one seed; float64.

    Every process draws for all of them and takes its own, so that their generators stay alike.
    """
    return torch.rand(processes(), size, dtype=torch.float64, device=device)[process()]


def same_everywhere(value: Callable[[], float]) -> float:
    """The first process's value on every process, which all compute it: one decides, or replicas would part."""
    box = [value()]
    if _several():
        torch.distributed.broadcast_object_list(box)
    return box[0]


def sum_over_devices(value: Tensor) -> Tensor:
    """The sum of ``value`` over all processes (no gradient); itself when there is one."""
    if _several():
        value = value.detach().clone()
        torch.distributed.all_reduce(value)
    return value


def global_mean(total: Tensor, count: Tensor | float) -> Tensor:
    """``total / count`` over all processes, scaled so that averaging gradients over processes gives its gradient."""
    everywhere = torch.as_tensor(count, dtype=torch.float64, device=total.device)
    share = total.new_tensor(1.0)
    if _several():
        everywhere = sum_over_devices(everywhere)
        share = share * torch.distributed.get_world_size()
    return total * share / everywhere.clamp_min(1.0).to(total.dtype)


def _several() -> bool:
    return torch.distributed.is_available() and torch.distributed.is_initialized()
