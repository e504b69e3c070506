"""Devices for tests that compare: the CPU, which shows that the comparison itself is sound, and CUDA where it is."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest


@pytest.fixture(params=["cpu", pytest.param("cuda", marks=pytest.mark.gpu)])
def device(request: pytest.FixtureRequest) -> str:
    """What a result is computed on, to be compared with the CPU's."""
    return str(request.param)


@pytest.fixture(scope="session")
def flexible() -> ModuleType:
    """``benchmarks/flex.py``."""
    path = Path(__file__).parents[2] / "benchmarks" / "flex.py"
    spec = importlib.util.spec_from_file_location("flex", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
