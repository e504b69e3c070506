"""recbench: one protocol for LLM-based sequential recommendation."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from recbench import datasets
    from recbench.api import Run, compare, evaluate, load, open_run, run

__version__ = "0.13.0"
__all__ = ["Run", "__version__", "compare", "datasets", "evaluate", "load", "open_run", "run"]

_API = ("Run", "compare", "evaluate", "load", "open_run", "run")


def __getattr__(name: str) -> Any:
    """The API on first use: importing recbench loads neither torch nor pandas."""
    if name in _API:
        return getattr(importlib.import_module("recbench.api"), name)
    if name == "datasets":
        return importlib.import_module("recbench.datasets")
    raise AttributeError(f"module 'recbench' has no attribute {name!r}")
