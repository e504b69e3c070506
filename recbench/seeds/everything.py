"""The only module that touches a global seed; next to `recbench.seeds`, whose generators need no torch."""

from __future__ import annotations

import random

import numpy as np
import torch

from recbench.seeds import child_seed


def seed_everything(seed: int, name: str) -> None:
    """Seed the global generators of random, numpy and torch, for library code that draws from them."""
    value = child_seed(seed, name)
    random.seed(value)
    np.random.seed(value)  # noqa: NPY002 - peft and transformers initialise from the global generators
    torch.manual_seed(value)
