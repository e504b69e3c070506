"""Options chosen on validation: every setting of a grid is trained, and none of them sees the test set."""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from recbench import registry
from recbench.config import Request, RunSpec
from recbench.errors import UsageError
from recbench.interfaces import Reporter
from recbench.results import Store
from recbench.run import STORE, begin, plan
from recbench.stages import Stages

MEASURE = ("dataset", "evaluate", "machine")


@dataclass(frozen=True)
class Trial:
    """One setting of the grid.

    Attributes:
        values: option -> value.
        spec: the experiment with them.
        score: NDCG@10 on the validation sample, under the experiment's own decoder.
    """

    values: Mapping[str, Any]
    spec: RunSpec
    score: float


def parse_grid(texts: Sequence[str]) -> dict[str, list[Any]]:
    """``GROUP.OPTION=A,B,...`` texts as option -> values.

    Raises:
        UsageError: another form, an option or a value given twice, or a single value.
    """
    grid: dict[str, list[Any]] = {}
    for text in texts:
        target, equals, values = text.partition("=")
        if not (equals and all(target.partition("."))):
            raise UsageError(f"--grid {text!r} must read GROUP.OPTION=A,B,..., such as loss.tau=1,2,4.")
        if target in grid:
            raise UsageError(f"--grid {target} is given twice: name all its values once, separated by commas.")
        try:
            grid[target] = [yaml.safe_load(value) for value in values.split(",")]
        except yaml.YAMLError as error:
            raise UsageError(f"--grid {text!r}: a value is no YAML ({str(error).splitlines()[0]}).") from error
    settings(grid)
    return grid


def settings(grid: Mapping[str, Sequence[Any]]) -> list[dict[str, Any]]:
    """All combinations of a grid's values.

    Raises:
        UsageError: no option, or one with fewer than two different values.
    """
    if not grid:
        raise UsageError("There is nothing to tune: name options as in --grid loss.tau=1,2,4.")
    for target, values in grid.items():
        if (group := target.partition(".")[0]) in MEASURE:
            raise UsageError(f"--grid {target}: {group} is what settings are compared by, so it cannot be one of them.")
        if len(values) < 2 or len({json.dumps(value) for value in values}) < len(values):
            raise UsageError(f"--grid {target}={','.join(map(str, values))}: it takes two or more different values.")
    return [dict(zip(grid, values, strict=True)) for values in itertools.product(*grid.values())]


def with_values(request: Request, values: Mapping[str, Any]) -> Request:
    """The request with options set."""
    return replace(request, sets=[*request.sets, *(f"{name}={json.dumps(value)}" for name, value in values.items())])


def tune(
    request: Request, grid: Mapping[str, Sequence[Any]], seed: int, runs: Path, reporter: Reporter
) -> tuple[Request, list[Trial]]:
    """Train every setting of the grid with one seed and score it on validation.

    Stages are shared with ``recbench run`` and kept: an interrupted search continues; the winner is trained already.

    Args:
        request: the experiment around the grid.
        grid: option -> values; all combinations are tried.
        seed: of every trial.
        runs: folder of runs.
        reporter: progress.

    Returns:
        The request with the best values (of equal scores the first) and how they were found, and all trials.

    Raises:
        UsageError: the request or a value cannot be.
        RecbenchError: of any stage.
    """
    tried = settings(grid)
    specs = [plan(with_values(request, values)) for values in tried]  # all are checked before any is trained
    trials = []
    if not registry.get("backbone", request.model).seeded:
        seed = 0
    for number, (values, spec) in enumerate(zip(tried, specs, strict=True), start=1):
        words = ", ".join(f"{name}={value}" for name, value in values.items())
        reporter.message(f"setting {number} of {len(tried)}: {words}")
        begin(spec)
        stages = Stages(spec, Store(runs / STORE), reporter)
        trials.append(Trial(values, spec, stages.validation_score(stages.split(), seed)))
        reporter.message(f"{words}: validation NDCG@10 {trials[-1].score:.4f}")
    best = max(trials, key=lambda trial: trial.score)
    tuning = {"grid": {name: list(values) for name, values in grid.items()}, "seed": seed, "trials": len(trials)}
    return replace(with_values(request, best.values), tuning=tuning), trials
