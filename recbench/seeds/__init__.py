"""One seed becomes named, independent generators."""

from __future__ import annotations

import zlib

import numpy as np


def child(seed: int, name: str) -> np.random.Generator:
    """A generator for one purpose: the same (seed, name) always gives the same stream, others independent ones."""
    return np.random.default_rng(np.random.SeedSequence([seed, zlib.crc32(name.encode())]))


def child_seed(seed: int, name: str) -> int:
    """A 31-bit integer seed for one purpose, for libraries that want a number."""
    return int(child(seed, name).integers(2**31 - 1))
