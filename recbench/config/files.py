"""Seeds and configuration files, as a user writes them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from recbench.errors import UsageError


def parse_seeds(text: str) -> tuple[int, ...]:
    """``5`` is five seeds (1 to 5); ``3,17,42`` are those; ``17,`` is the one seed 17.

    Raises:
        UsageError: no whole numbers, a count below 1, a negative seed, or a seed given twice.
    """
    pieces = [p.strip() for p in text.split(",")]
    try:
        numbers = [int(p) for p in pieces if p]
    except ValueError:
        numbers = []
    if not numbers:
        raise UsageError(f"--seeds {text!r} is neither a count such as 5 nor a list such as 3,17,42.")
    if len(pieces) == 1:
        if numbers[0] < 1:
            raise UsageError(f"--seeds {numbers[0]} leaves nothing to run: the count must be at least 1.")
        if numbers[0] > 1000:
            raise UsageError(f"--seeds {numbers[0]} is a count of seeds; the one seed {numbers[0]} reads {numbers[0]},")
        return tuple(range(1, numbers[0] + 1))
    if min(numbers) < 0 or max(numbers) >= 2**32:
        raise UsageError(f"--seeds {text}: every seed must lie between 0 and 4294967295.")
    if len(set(numbers)) < len(numbers):
        twice = next(n for n in numbers if numbers.count(n) > 1)
        raise UsageError(f"--seeds {text}: seed {twice} is given twice.")
    return tuple(numbers)


def read_config(path: Path) -> dict[str, Any]:
    """A configuration file: the flags by name, and options under ``set: {group: {option: value}}``.

    Raises:
        UsageError: unreadable, no YAML, or not a mapping.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"--config {path}: {(error.strerror or 'unreadable').lower()}.") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UsageError(f"--config {path} is no YAML: {str(error).splitlines()[0]}.") from error
    if isinstance(content, dict):  # as on the command line or as in Python
        content = {k.replace("-", "_") if isinstance(k, str) else k: v for k, v in content.items()}
    if not isinstance(content, dict):
        raise UsageError(f"--config {path} must hold a mapping such as 'model: llara'.")
    groups = content.get("set", {})
    if not isinstance(groups, dict) or not all(isinstance(v, dict) for v in groups.values()):
        raise UsageError(f"--config {path}: 'set' must hold {{group: {{option: value}}}}.")
    return content
