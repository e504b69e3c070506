"""Options chosen on validation: every setting of a grid is trained, and none of them sees the test set."""

from __future__ import annotations

import itertools
import json
import math
import shutil
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recbench import processes
from recbench.description import run_id
from recbench.documents import yaml_value
from recbench.errors import UsageError
from recbench.evaluation.ranks import ndcg, standard_error
from recbench.experiment import ready, want
from recbench.files import digest, write_atomic
from recbench.interfaces import Reporter, Score, SilentReporter
from recbench.planning import Plan, plan
from recbench.spec.options import Tuning
from recbench.spec.request import DECODER, Request, opening
from recbench.steps.executor import Serial
from recbench.steps.graph import Graph, seeds_of, validation
from recbench.steps.remote import store_of
from recbench.steps.step import Step
from recbench.steps.store import Store
from recbench.types import Floats, Ints

if TYPE_CHECKING:
    from recbench.cluster.client import Cluster

TRIALS = "trials.json"
FLAG = "--grid"
SEARCH = "search-"
"""Prefix of the folder of an unfinished search; its list of steps keeps ``prune`` away from them."""
MOST = 1000
"""The most settings that a grid may have."""
MEASURE = ("dataset", "evaluate", "machine")


@dataclass(frozen=True)
class Trial:
    """One setting of the grid.

    Attributes:
        values: option -> value.
        plan: the experiment with them.
        gains: [N] NDCG@10 of each validation case, under the experiment's own decoder.
        users: [N] whose case it is.
    """

    values: Mapping[str, Any]
    plan: Plan
    gains: Floats
    users: Ints

    @property
    def score(self) -> Score:
        """The mean, with its standard error over users."""
        return Score(self.gains.mean(), standard_error(self.gains, self.users))

    def behind(self, best: Trial) -> Score:
        """How much worse it is than another trial on the same cases, and the standard error of that difference."""
        lost = best.gains - self.gains
        return Score(lost.mean(), standard_error(lost, self.users))


def parse_grid(texts: Sequence[str]) -> dict[str, list[Any]]:
    """``GROUP.OPTION=A,B,...`` texts as option -> values.

    Raises:
        UsageError: another form, an option or a value that occurs twice, or a single value.
    """
    grid: dict[str, list[Any]] = {}
    for text in texts:
        target, equals, values = text.partition("=")
        if not (equals and (target == DECODER or all(target.partition(".")))):
            raise UsageError(f"--grid {text!r} must read GROUP.OPTION=A,B,... (loss.tau=1,2,4) or decoder=A,B.")
        if target in grid:
            raise UsageError(f"--grid {target} occurs twice: name all its values once, separated by commas.")
        grid[target] = [yaml_value(value, f"--grid {target}") for value in values.split(",")]
    settings(grid)
    return grid


def settings(grid: Mapping[str, Sequence[Any]], origin: str = FLAG) -> list[dict[str, Any]]:
    """All combinations of a grid's values.

    Args:
        grid: option -> values.
        origin: where the grid was given; used in messages.

    Raises:
        UsageError: no option, or one with fewer than two different values, or too many settings.
    """
    if not grid:
        raise UsageError("There is nothing to tune: name options as in --grid loss.tau=1,2,4 (or see --space).")
    for target, values in grid.items():
        check_target(origin, target)
        check_values(origin, target, values)
    if (number := math.prod(map(len, grid.values()))) > MOST:
        raise UsageError(f"The grid has {number:,} settings, and each is a training: at most {MOST:,} can be compared.")
    return [dict(zip(grid, values, strict=True)) for values in itertools.product(*grid.values())]


def check_target(flag: str, target: str) -> None:
    """Refuse what may not be chosen on validation.

    Raises:
        UsageError: the option belongs to data, evaluation or machine.
    """
    if (group := target.partition(".")[0]) in MEASURE:
        raise UsageError(
            f"{opening(flag)}{target}: all settings must share their {group} options, so they cannot be tuned."
        )


def check_values(flag: str, target: str, values: Sequence[Any]) -> None:
    """Refuse values between which there is nothing to choose.

    Raises:
        UsageError: fewer than two, or one of them twice.
    """
    if len(values) < 2 or len({json.dumps(value) for value in values}) < len(values):
        raise UsageError(
            f"{opening(flag)}{target}={','.join(map(str, values))}: it takes two or more different values."
        )


def trials_of(
    request: Request, grid: Mapping[str, Sequence[Any]], origin: str = FLAG
) -> list[tuple[dict[str, Any], Plan]]:
    """Every setting of the grid with its plan.

    Args:
        request: the experiment around the grid.
        grid: option -> values.
        origin: where the grid was given; used in messages.

    Raises:
        UsageError: the request or a value is invalid.
    """
    return [(values, plan(request.with_options(values, origin))) for values in settings(grid, origin)]


def tune(
    request: Request,
    grid: Mapping[str, Sequence[Any]],
    seed: int,
    runs: Path,
    reporter: Reporter,
    cluster: Cluster | None = None,
) -> tuple[Request, list[Trial]]:
    """Train every setting of the grid with one seed and score it on validation.

    Steps are shared with ``recbench run`` and kept: an interrupted search continues; the winner is trained already.

    Args:
        request: the experiment around the grid.
        grid: option -> values; all combinations are tried.
        seed: of every trial.
        runs: folder of runs.
        reporter: progress.
        cluster: builds the trials; this process without one.

    Returns:
        The request with the values that :func:`choose` takes and how they were found, and all trials.

    Raises:
        UsageError: the request or a value is invalid.
        RecbenchError: of any step.
    """
    tried = trials_of(request, grid)  # all are checked before any is trained
    store, targets = store_of(runs), [validated(setting, seed) for _, setting in tried]
    if cluster is None:
        ready(tried[0][1].spec, store, targets)
    steps = [step for _, setting in tried for step in steps_of(setting, seed)]
    trials = []
    mine = runs / f"{SEARCH}{digest(sorted({step.folder for step in steps}))[:8]}"
    processes.once(lambda: want(steps, mine))
    with store.using(steps) if processes.is_main() else nullcontext():
        if cluster is not None:
            cluster.run(targets)
        for number, (values, setting) in enumerate(tried, start=1):
            words = ", ".join(f"{name}={value}" for name, value in values.items())
            reporter.message(f"setting {number} of {len(tried)}: {words}")
            trials.append(trial_of(values, setting, seed, Serial(store, reporter)))
            score = trials[-1].score
            reporter.message(f"{words}: validation NDCG@10 {score:.4f} ± {score.error:.4f}")
    best = _best(request, grid, seed, trials)
    processes.once(lambda: _remember(best, steps, runs, mine))
    return best, trials


def _remember(best: Request, steps: Sequence[Step], runs: Path, search: Path) -> None:
    """Which steps the choice rests on: without them a suite that runs again would have to choose again."""
    names = sorted({step.folder for step in steps})
    path = runs / run_id(plan(best).spec) / TRIALS
    write_atomic(path, (json.dumps({"steps": names}, indent=1) + "\n").encode())
    shutil.rmtree(search, ignore_errors=True)  # the run keeps them from now on


def chosen(request: Request, grid: Mapping[str, Sequence[Any]], seed: int, store: Store) -> Request | None:
    """What :func:`tune` chooses; None where a trial's ranking or its data is not in the store. Builds nothing."""
    tried = trials_of(request, grid)
    needed = [step for _, one in tried for step in (steps_of(one, seed).prepared, validated(one, seed))]
    if any(store.find(step) is None for step in needed):
        return None
    quiet = SilentReporter()
    return _best(request, grid, seed, [trial_of(values, one, seed, Serial(store, quiet)) for values, one in tried])


def _best(request: Request, grid: Mapping[str, Sequence[Any]], seed: int, trials: Sequence[Trial]) -> Request:
    best = choose(trials)
    kept = {name: list(values) for name, values in grid.items()}
    seed = seeds_of(best.plan.spec, [seed])[0]
    found = request.with_options(best.values, "chosen on validation")
    return found.model_copy(update={"tuning": Tuning(grid=kept, seed=seed, trials=len(trials))})


def choose(trials: Sequence[Trial]) -> Trial:
    """The best trial, or the first of the grid that is not worse by more than the standard error of the difference.

    What lies within the error is not shown to be better, so the grid's order decides: name the default first. Of
    several decoders of one model, or options of its decoder, the best is taken as it is, since no training is chosen.
    """
    best = max(trials, key=lambda trial: trial.score)
    if {name.partition(".")[0] for trial in trials for name in trial.values} == {DECODER}:
        return best
    return next(trial for trial in trials if trial is best or (lost := trial.behind(best)) <= lost.error)


def steps_of(found: Plan, seed: int) -> Graph:
    """What a trial builds: its last step ranks the validation sample."""
    return validation(found.spec, seeds_of(found.spec, [seed])[0])


def validated(found: Plan, seed: int) -> Step:
    """The step of the ranked validation sample of one seed."""
    return steps_of(found, seed).ranked


def validation_score(found: Plan, seed: int, runs: Path, reporter: Reporter) -> Score:
    """NDCG@10 on the validation sample of one trained seed, under the experiment's own decoder; never the test set."""
    store = store_of(runs)
    ready(found.spec, store, [steps_of(found, seed).ranked])
    with store.using(steps_of(found, seed)) if processes.is_main() else nullcontext():
        return trial_of({}, found, seed, Serial(store, reporter)).score


def trial_of(values: Mapping[str, Any], found: Plan, seed: int, executor: Serial) -> Trial:
    """Train one setting, unless it is there, and rank the validation sample."""
    steps = steps_of(found, seed)
    ranking = executor.value(steps.ranked)
    cases = steps.ranked.cases(executor.value(steps.prepared))
    return Trial(values, found, ndcg(ranking.target_ranks(cases.target)), cases.users)
