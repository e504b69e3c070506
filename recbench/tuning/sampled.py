"""Options sampled by optuna and chosen on validation; trainings that fall behind are pruned after an epoch.

A search is a function of request, space, sampler and seed. Every call asks the sampler for all trials from the first
one on, and tells it what is known of them: finished trainings are in the store, the scores of pruned ones in a file.
So an interrupted search continues with the suggestions of one that was not, and no state of optuna is ever saved.
"""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from recbench import processes
from recbench.description import run_id
from recbench.errors import Diverged, Pruned, RecbenchError, UsageError, within
from recbench.experiment import want
from recbench.files import digest
from recbench.interfaces import Reporter
from recbench.planning import Plan, plan
from recbench.process import begin
from recbench.spec.options import Search
from recbench.spec.request import Request
from recbench.steps.artefacts import load_report
from recbench.steps.executor import Serial
from recbench.steps.graph import Graph, seeds_of
from recbench.steps.remote import store_of
from recbench.steps.step import Step
from recbench.steps.store import Store
from recbench.tuning.grid import SEARCH, TRIALS, Trial, steps_of, trial_of
from recbench.tuning.notes import Note, Sampled, known, read, write
from recbench.tuning.space import Space, probes, space_of

ORIGIN = "--space"


def sample(request: Request, search: Search, runs: Path, reporter: Reporter) -> tuple[Request, list[Sampled]]:
    """Train what a sampler proposes, one trial after the other, and score it on validation.

    Steps are shared with ``recbench run`` and kept; the winner is trained already.

    Args:
        request: the experiment around the space.
        search: space, sampler, pruner, seed and number of trials.
        runs: folder of runs.
        reporter: progress.

    Returns:
        The request with the values of the best trial and how they were found, and all trials.

    Raises:
        UsageError: optuna is not installed, or the request or a value is invalid.
        RecbenchError: of any step; or no trial is complete.
    """
    study, space = study_of(search), space_of(search.space)
    checked = [plan(request.with_options(values, ORIGIN)) for values in probes(space)]  # before any is trained
    begin(checked[0].spec.machine, checked[0].spec.recommender.train is not None)
    return _Search(request, search, space, study, runs, reporter, checked[0]).all()


def study_of(search: Search) -> Any:
    """An optuna study in memory that maximises, with a seeded sampler.

    Raises:
        UsageError: optuna is not installed.
    """
    try:
        import optuna
    except ImportError:
        raise UsageError("--space needs optuna: pip install 'recbench-toolkit[optuna]'.") from None
    optuna.logging.set_verbosity(optuna.logging.WARNING)  # the reporter says what happens
    samplers = optuna.samplers
    sampler = {
        "tpe": samplers.TPESampler,
        "random": samplers.RandomSampler,
        "gp": samplers.GPSampler,
    }[search.sampler](seed=search.seed)
    pruner = optuna.pruners.MedianPruner() if search.pruner == "median" else optuna.pruners.NopPruner()
    return optuna.create_study(direction="maximize", sampler=sampler, pruner=pruner)


class _Search:
    """A search under way."""

    def __init__(
        self,
        request: Request,
        search: Search,
        space: Space,
        study: Any,
        runs: Path,
        reporter: Reporter,
        first: Plan,
    ) -> None:
        self.request, self.search, self.space, self.study = request, search, space, study
        self.runs, self.reporter, self.store = runs, reporter, store_of(runs)
        same = {"spec": first.spec.plain(), **search.model_dump(include={"space", "sampler", "pruner", "seed"})}
        self.folder = runs / f"{SEARCH}{digest(same)[:8]}"  # more trials go on with it
        self.notes: dict[str, Note] = processes.once(lambda: known(runs))
        self.before: list[dict[str, Any]] = processes.once(lambda: read(self.folder / TRIALS))
        self.steps: set[str] = set()
        self.tried: list[Sampled] = []

    def all(self) -> tuple[Request, list[Sampled]]:
        """Every trial, then the choice."""
        for number in range(1, self.search.trials + 1):
            self._one(number)
        best = best_of(self.tried)
        counts = {state: sum(one.state == state for one in self.tried) for state in ("pruned", "diverged")}
        found = self.request.with_options(best.values, "chosen on validation")
        found = found.model_copy(update={"tuning": self.search.model_copy(update=counts)})
        processes.once(lambda: self._remember(found))
        return found, self.tried

    def _one(self, number: int) -> None:
        asked = self.study.ask()
        values = {name: own.suggest(asked, name) for name, own in self.space.items()}
        words = ", ".join(f"{name}={value}" for name, value in values.items())
        place = f"trial {number} of {self.search.trials}"
        try:
            found = plan(self.request.with_options(values, ORIGIN))
        except UsageError as error:
            raise UsageError(within(f"{place}, {words}", error)) from error
        self.reporter.message(f"{place}: {words}")
        steps = steps_of(found, seeds_of(found.spec, [self.search.seed])[0])
        one = Sampled(values, steps.model.folder)
        self.tried.append(one)
        self.steps |= {step.folder for step in steps}
        processes.once(lambda: want(steps, self.folder))
        running = _Running(one, asked, found, lambda: processes.once(self._write))
        with self.store.using(steps) if processes.is_main() else nullcontext():
            self._settle(running, steps)
        processes.once(self._write)

    def _settle(self, running: _Running, steps: Graph) -> None:
        """Bring a trial to its end, and tell the sampler."""
        from optuna.trial import TrialState

        one = running.one
        try:
            one.trial = running.result(steps, self.notes.get(one.model, Note()), self.store, self.reporter)
        except Pruned:
            one.state = "pruned"
            self.study.tell(running.asked, state=TrialState.PRUNED)
            text = f"pruned after epoch {len(one.scores)} of {running.epochs}: validation {one.scores[-1]:.4f}"
        except Diverged as error:
            one.state, one.problem = "diverged", str(error)
            self.study.tell(running.asked, state=TrialState.FAIL)
            text = f"diverged: {error}"
        else:
            one.state, score = "complete", one.trial.score
            self.study.tell(running.asked, float(score))
            text = f"validation NDCG@10 {score:.4f} ± {score.error:.4f}"
        if one.state != "complete":
            self.reporter.end()
            processes.once(lambda: self.store.drop_checkpoints(one.model))
        self.reporter.message(text)

    # ---- what is kept -------------------------------------------------------------------------------------------

    def _left(self) -> list[dict[str, Any]]:
        """What an earlier call knew of trials that this one has not come to."""
        mine = {one.model for one in self.tried}
        return [trial for trial in self.before if trial["model"] not in mine]

    def _write(self) -> None:
        write(self.folder / TRIALS, self.steps, [*(one.plain() for one in self.tried), *self._left()])

    def _remember(self, best: Request) -> None:
        """Keep the trials with the run, as a grid does; the search's own folder ends unless more is known there."""
        place = self.runs / run_id(plan(best).spec) / TRIALS
        write(place, self.steps, [one.plain() for one in self.tried])
        if not self._left():
            shutil.rmtree(self.folder, ignore_errors=True)


class _Running:
    """A trial whose scores the pruner hears, each epoch once.

    It hears them from the training, from the report of one that was finished before, or from a file. So whether a trial
    is pruned does not depend on what the store holds.

    Attributes:
        epochs: of its budget; after the last one nothing is left to prune.
    """

    def __init__(self, one: Sampled, asked: Any, found: Plan, keep: Callable[[], object]) -> None:
        self.one, self.asked, self.plan, self.keep = one, asked, found, keep
        train = found.spec.recommender.train
        self.epochs = train.epochs if train else 0

    def result(self, steps: Graph, note: Note, store: Store, reporter: Reporter) -> Trial:
        """Train and rank the validation sample.

        Raises:
            Pruned: the pruner ended it.
            Diverged: a number was not finite, now or in an earlier search.
        """
        self._hear(note.scores)
        if note.problem:
            raise Diverged(note.problem)

        def watcher(step: Step, scores: Sequence[float]) -> None:
            if step.folder == self.one.model:
                try:
                    self._hear(scores)
                finally:
                    self.keep()

        begin(self.plan.spec.machine, self.plan.spec.recommender.train is not None)
        executor = Serial(store, reporter, watcher=watcher)
        last = steps.ranked if executor.built(steps.ranked) else steps.model
        executor.run([last])
        self._hear(load_report(executor.path(last)).validation)
        return trial_of(self.one.values, self.plan, steps.seed, executor)

    def _hear(self, scores: Sequence[float]) -> None:
        for score in scores[len(self.one.scores) :]:
            if not math.isfinite(score):  # a training that could not validate says nothing
                return
            self.one.scores.append(float(score))
            epoch = len(self.one.scores)
            self.asked.report(float(score), epoch)
            if epoch < self.epochs and self.asked.should_prune():
                raise Pruned


def best_of(tried: Sequence[Sampled]) -> Trial:
    """The complete trial with the best score, the first of equals.

    Raises:
        RecbenchError: none is complete.
    """
    complete = [one.trial for one in tried if one.trial is not None]
    if not complete:
        why = f", the first because {tried[0].problem[:1].lower()}{tried[0].problem[1:]}" if tried[0].problem else ""
        raise RecbenchError(f"None of the {len(tried)} trials is complete{why}")
    return max(complete, key=lambda trial: trial.score)
