"""From what a user asks to a complete, validated spec."""

from __future__ import annotations

from recbench.config.files import parse_seeds, read_config
from recbench.config.resolve import FLAGS, resolve
from recbench.config.spec import Request, RunSpec, canonical

__all__ = ["FLAGS", "Request", "RunSpec", "canonical", "parse_seeds", "read_config", "resolve"]
