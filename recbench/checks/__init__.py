"""Whether an installed plugin keeps its promises: the contract of its kind, speed, and moves between devices."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any, Literal

from recbench import registry
from recbench.errors import RecbenchError

Result = Literal["ok", "FAILED", "skipped"]


@dataclass(frozen=True)
class Check:
    """One line of a report.

    Attributes:
        what: was checked.
        result: how it ended.
        found: why it failed or was skipped, or what was measured.
    """

    what: str
    result: Result
    found: str = ""


def checks(kind: str, name: str, options: Mapping[str, Any]) -> Iterator[Check]:
    """Check an installed plugin; yields each result as soon as it is known.

    Args:
        kind, name: which.
        options: option values to check it with, beside its defaults.

    Raises:
        RecbenchError: pytest is not installed, or the plugin cannot be imported.
    """
    if find_spec("pytest") is None:
        raise RecbenchError("Contract tests run on pytest, which is not installed: pip install pytest.")
    plugin = registry.get(kind, name)
    from recbench.checks.contract import contract
    from recbench.checks.moves import moved
    from recbench.checks.speed import measured

    yield from contract(kind, name, options)
    made = plugin.options(**options)
    for check in (measured, moved):
        if (found := check(plugin, made)) is not None:
            yield found
