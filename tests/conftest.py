"""Examples of property-based tests are the same on every run, and tests that need a GPU skip where there is none."""

from __future__ import annotations

import gc
import sys

import pytest
from hypothesis import settings

settings.register_profile("same", derandomize=True, deadline=None)  # a time limit fails on a busy machine
settings.load_profile("same")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what needs a GPU where there is none."""
    marked = [item for item in items if item.get_closest_marker("gpu")]
    if not marked:
        return
    import torch

    if torch.cuda.is_available():
        return
    for item in marked:
        item.add_marker(pytest.mark.skip(reason="needs a CUDA device, and torch sees none here"))


def pytest_runtest_teardown() -> None:
    """Set aside what the libraries have made: each training collects garbage, which took half a second of it."""
    if len(sys.modules) > _seen[-1] + 100:
        _seen.append(len(sys.modules))
        gc.collect()
        gc.freeze()


_seen = [len(sys.modules)]
