"""The only module that touches a global seed; next to `recbench.seeds`, whose generators need no torch."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from recbench.seeds import child_seed


def seed_everything(seed: int, name: str) -> None:
    """Seed the global generators of random, numpy and torch, for library code that draws from them."""
    value = child_seed(seed, name)
    random.seed(value)
    np.random.seed(value)  # noqa: NPY002 - peft and transformers initialise from the global generators
    torch.manual_seed(value)


def generators() -> dict[str, Any]:
    """The state of the global generators, in plain values and tensors."""
    drawn: Any = np.random.get_state()  # noqa: NPY002
    name, key, *rest = drawn
    return {
        "python": random.getstate(),
        "numpy": (name, key.tolist(), *rest),
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state() if torch.cuda.is_available() else None,
    }


def restore_generators(state: Mapping[str, Any]) -> None:
    """Set the global generators to what :func:`generators` returned."""
    random.setstate(state["python"])
    np.random.set_state(state["numpy"])  # noqa: NPY002
    torch.set_rng_state(state["torch"])
    if state["cuda"] is not None:
        torch.cuda.set_rng_state(state["cuda"])
