"""The learning rate, step by step."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from transformers import get_scheduler

from recbench.interfaces import TrainOptions

FEW = 300
"""Steps after which a model that still learns may not have a better validation score yet: BERT4Rec on Book."""


def warmup_steps(budget: TrainOptions, steps: int) -> int:
    """Steps in which the learning rate rises, of ``steps`` in all; LLaRA's schedule has its own and ignores it."""
    return budget.warmup_steps + math.ceil(budget.warmup_share * steps)


def late_warmup(budget: TrainOptions, steps: int) -> str:
    """What to say of a warm-up that leaves no step at the largest learning rate; empty where one is left."""
    warmup = warmup_steps(budget, steps)
    if budget.schedule == "llara" or warmup < steps:
        return ""
    compared = "as long as" if warmup == steps else "longer than"
    return (
        f"the warm-up of {_counted(warmup)} is {compared} the training ({_counted(steps)}): the learning rate never "
        "reaches its largest value"
    )


def early_stop(budget: TrainOptions, steps: int) -> str:
    """What to say of a patience that waits for few steps, as on small data; empty where it waits long enough."""
    waits = budget.patience * steps // budget.epochs
    if not budget.patience or budget.patience >= budget.epochs or waits >= FEW:
        return ""
    return (
        f"training stops after {budget.patience} epoch{'s' * (budget.patience != 1)} without a better validation "
        f"score, which is only {_counted(waits)} here: on small data, raise train.patience and epochs"
    )


def _counted(steps: int) -> str:
    return f"{steps:,} step{'s' * (steps != 1)}"


def scheduler(budget: TrainOptions, optimizer: Any, steps: int) -> Any:
    """The learning rate's scheduler for a training of ``steps`` steps."""
    if budget.schedule == "llara":
        return torch.optim.lr_scheduler.LambdaLR(optimizer, llara_schedule(steps))
    # transformers' plain "constant" ignores the warm-up
    name = "constant_with_warmup" if budget.schedule == "constant" else budget.schedule
    return get_scheduler(name, optimizer, warmup_steps(budget, steps), steps)


def llara_schedule(steps: int) -> Callable[[int], float]:
    """LLaRA's learning rate as a share of its largest value, by step (its ``LinearWarmupCosineLRScheduler``).

    From a hundredth it rises over a twentieth of the steps; then it follows the cosine over *all* steps down to a
    hundredth.
    """
    warmup, low = steps // 20, 0.01

    def rate(step: int) -> float:
        if step < warmup:
            return low + (1 - low) * step / warmup
        return low + (1 - low) * 0.5 * (1 + math.cos(math.pi * step / steps))

    return rate
