"""Why a stored step is not the one that is wanted now, in a few words."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from recbench.errors import DataError
from recbench.steps.step import Step
from recbench.steps.store import read_meta


def changed(step: Step, role: str, stored: Path | None) -> str:
    """What differs between a step and the one that was stored instead of it.

    Args:
        step: as it is today.
        role: what it is to its experiment.
        stored: the folder of the older one, which may be gone.
    """
    if stored is None:
        return f"other steps than today's ({role} is new)"
    try:
        meta = read_meta(stored)
    except DataError:
        return f"other code or data than today's ({role})"
    if meta["code"] != step.code.digest:
        old, new = meta.get("modules", {}), step.code.modules
        names = [name for name in sorted({*old, *new}) if old.get(name) != new.get(name)]
        return f"other code ({', '.join(names[:3])}{' and others' * (len(names) > 3)} changed since)"
    for field, what in (
        ("versions", "other library versions"),
        ("revisions", "another revision"),
        ("facts", "other data or options"),
    ):
        if names := _differing(meta.get(field, {}), step.identity[field]):
            return f"{what} ({', '.join(names[:3])})"
    return f"other steps ({role})"


def _differing(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    return [name for name in sorted({*old, *new}) if old.get(name) != new.get(name)]
