"""The same metrics on parts of the test set."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from recbench import registry
from recbench.errors import RecbenchError, UsageError, did_you_mean
from recbench.evaluation.metrics import Metric, available
from recbench.types import CaseResults


class Slice(NamedTuple):
    """A part of the test set: its number of cases and the metrics over them (NaN where it is empty)."""

    n_cases: int
    metrics: dict[str, float]


def masks(results: CaseResults) -> dict[str, npt.NDArray[np.bool_]]:
    """Part's name -> [N] its cases, for every installed slice that these results allow, in the order of tables.

    Raises:
        RecbenchError: a slice's own code fails or returns something else, or two slices give a part the same name;
            names the slice.
    """
    found: dict[str, npt.NDArray[np.bool_]] = {}
    for name in slice_names():
        parts = parts_of(name, results)
        if set(parts) & set(found):
            raise RecbenchError(_refused(name))
        found |= parts
    return found


def slice_names() -> list[str]:
    """Every installed slice, in the order of tables."""
    return sorted(registry.names("slice"), key=lambda name: (registry.get("slice", name).order, name))


def parts_of(name: str, results: CaseResults) -> dict[str, npt.NDArray[np.bool_]]:
    """Part's name -> [N] its cases, for one slice; empty where the results do not hold what it needs.

    Raises:
        UsageError: there is no slice of that name; suggests the nearest.
        RecbenchError: its own code fails or returns something else; names it.
    """
    if name not in registry.names("slice"):
        raise UsageError(f"There is no slice {name!r}; {did_you_mean(name, slice_names())}")
    plugin = registry.get("slice", name)
    try:
        parts = dict(plugin.implementation(plugin.options()).masks(results))
    except Exception as error:
        raise RecbenchError(f"{_who(name)} failed with {type(error).__name__}: {error}") from error
    for mask in parts.values():
        if np.asarray(mask).dtype != np.bool_ or np.shape(mask) != results.users.shape:
            raise RecbenchError(_refused(name))
    return {part: np.asarray(mask) for part, mask in parts.items()}


def _refused(name: str) -> str:
    return f"{_who(name)} must return boolean masks over the cases, under distinct names."


def _who(name: str) -> str:
    return f"The slice {name!r} of {registry.origin('slice', name)}"


def slices(results: CaseResults, chosen: list[Metric] | None = None) -> dict[str, Slice]:
    """Metrics by part of the test set, averaged over cases and seeds: ``all``, then every installed slice.

    Args:
        results: ranks, and top lists where they were kept.
        chosen: the metrics; None: all that are available.

    Raises:
        RecbenchError: as :func:`masks`.
    """
    chosen = available(results) if chosen is None else chosen
    parts = {"all": np.ones(len(results.users), bool), **masks(results)}
    return {
        name: Slice(int(mask.sum()), {m.name: float(m.by_seed(results.take(mask)).mean()) for m in chosen})
        for name, mask in parts.items()
    }
