"""One experiment: run each seed, keep a record that is always complete for the seeds it holds."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock

from recbench import processes
from recbench.data.catalog import shows_examples
from recbench.description import describe, run_id
from recbench.errors import DataError, RecbenchError
from recbench.files import digest, read_json, reason, sweep_scratch, sweep_temporaries, write_atomic
from recbench.interfaces import FitReport, Reporter
from recbench.planning import Plan, places
from recbench.process import begin
from recbench.results import KEPT, RunRecord, SeedResult, StepRecord, course, examples, read
from recbench.results import write as write_record
from recbench.spec.model import Spec
from recbench.spec.request import seeds_text
from recbench.steps.artefacts import LOG, load_report
from recbench.steps.executor import Serial
from recbench.steps.graph import Graph, graph, seeds_of
from recbench.steps.lessons import TEXTS
from recbench.steps.remote import FOLDER, store_of
from recbench.steps.step import Step
from recbench.steps.store import Built, Store
from recbench.types import Sequences, Split

if TYPE_CHECKING:
    from recbench.cluster.client import Cluster

STORE = FOLDER
RECORD = "record.json"
LOCAL = "local.json"


def run(
    plan: Plan,
    seeds: Sequence[int],
    runs: Path,
    command: str,
    reporter: Reporter,
    again: bool = False,
    cluster: Cluster | None = None,
) -> RunRecord:
    """Run every seed that is not finished yet.

    A finished seed counts if it was made by the plan's current steps. A seed made by other code or data is run again,
    and never shares a record with a new one.

    Args:
        plan: from :func:`recbench.planning.plan`.
        seeds: the seeds; a method whose result does not depend on them runs once, as seed 0.
        runs: folder of runs; steps go to ``runs/steps``.
        command: how to run it again, for the record, without its seeds.
        reporter: progress.
        again: recompute finished seeds.
        cluster: builds the steps of the seeds that are not finished; this process without one.

    Returns:
        The record with the seeds asked for and any finished before.

    Raises:
        RecbenchError: of any step; seeds finished before stay recorded.
    """
    chosen = seeds_of(plan.spec, seeds)
    if tuple(seeds) != chosen:
        reporter.message(f"{plan.spec.recommender.backbone.name} does not depend on the seed: it runs once")
    graphs = {seed: graph(plan.spec, seed) for seed in chosen}
    folder, store = runs / run_id(plan.spec), store_of(runs)
    if cluster is None:
        ready(plan.spec, store, (one.ranked for one in graphs.values()), again)
    with _using(plan.spec, store, folder, graphs, reporter):
        one = _Run(plan, folder, Serial(store, reporter, again), command, again)
        return one.all(graphs, cluster)


def ready(spec: Spec, store: Store, steps: Iterable[Step], again: bool = False) -> None:
    """Prepare this process for some steps, unless all of them are there: to read them takes no device."""
    if again or processes.world() > 1 or any(store.find(step) is None for step in steps):
        begin(spec.machine, spec.recommender.train is not None)


@contextmanager
def _using(spec: Spec, store: Store, folder: Path, graphs: Mapping[int, Graph], reporter: Reporter) -> Iterator[None]:
    """Clean up after others, and keep others from cleaning up what this run needs."""
    steps = [step for one in graphs.values() for step in one]
    processes.once(lambda: _settle(spec, store, folder, steps, reporter))
    with store.using(steps) if processes.is_main() else nullcontext():
        yield


def _settle(spec: Spec, store: Store, folder: Path, steps: Sequence[Step], reporter: Reporter) -> None:
    """Make the run's folder, with what only this machine knows, and remove what killed processes left."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RecbenchError(f"--runs {folder.parent}: {reason(error)}.") from error
    sweep_scratch()
    for path in [*store.sweep(), *sweep_temporaries(folder)]:
        reporter.message(f"removed what an interrupted run left: {path.name}")
    llm = spec.recommender.language_model
    local = {
        # an interrupted run has no record yet: this is what tells that its steps are wanted
        "steps": sorted({step.folder for step in steps}),
        # a record holds no path of this machine, and loading a model again needs its place
        "llm": llm.place if llm and not llm.tiny else None,
        "paths": places(spec),
    }
    write_atomic(folder / LOCAL, (json.dumps(local, indent=1) + "\n").encode())


def want(steps: Iterable[Step], folder: Path) -> None:
    """Add steps to the list in ``folder`` that keeps ``prune`` away from them, for those that no record will name."""
    path = folder / LOCAL
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder / ".lock"):
        try:
            known = read_json(path)["steps"]
        except (OSError, ValueError, KeyError, TypeError):
            known = []
        names = sorted({*known, *(step.folder for step in steps)})
        write_atomic(path, (json.dumps({"steps": names}, indent=1) + "\n").encode())


@dataclass(frozen=True)
class _Shown:
    """Where the example cases of a record come from."""

    cases: Sequences
    split: Split


@dataclass
class _Run:
    """A run under way."""

    plan: Plan
    folder: Path
    executor: Serial
    command: str
    again: bool

    @property
    def reporter(self) -> Reporter:
        return self.executor.reporter

    def all(self, graphs: Mapping[int, Graph], cluster: Cluster | None) -> RunRecord:
        """Every seed, the finished ones from their record."""
        first = next(iter(graphs.values()))
        self.executor.run([first.prepared])
        split = self.executor.value(first.prepared)
        cases = first.ranked.cases(split)
        base = describe(self.plan, split, cases, self.command)
        shown = _Shown(cases, split)
        for sentence in _warnings(split.facts):
            self.reporter.message(sentence)
        done = processes.once(lambda: self._finished(base, graphs))
        if cluster is not None:
            cluster.run(steps.ranked for seed, steps in graphs.items() if seed not in done)
        for number, (seed, steps) in enumerate(graphs.items(), start=1):
            place = f"seed {seed} ({number} of {len(graphs)})"
            if seed in done and not self.again:
                self.reporter.message(f"{place}: finished before")
                continue
            self.reporter.message(place)
            result = self._one(steps)
            done = processes.once(lambda: self._keep(base, graphs, result, shown))  # noqa: B023 - called at once
            self.executor.forget()
        return _assembled(base, done, shown)

    def _one(self, steps: Graph) -> SeedResult:
        started, before = datetime.now(UTC).isoformat(timespec="seconds"), time.perf_counter()
        ranking = self.executor.value(steps.ranked)
        split = self.executor.value(steps.prepared)
        cases = steps.ranked.cases(split)
        # in every process: all of them take part in a look into the store
        built = {role: self.executor.told(step) for role, step in steps.steps.items()}
        report = load_report(self.executor.path(steps.ranked))
        trained = f": {report.steps:,} training step{'s' * (report.steps != 1)}, best epoch {report.best_epoch}"
        spent = f"seed {steps.seed} done in {time.perf_counter() - before:.0f} s"
        self.reporter.message(spent + trained * bool(report.steps))
        for step in steps.steps.values():
            if (told := self.executor.told(step)) is not None and TEXTS in told.files:
                self._keep_texts(steps.seed, step)
        kept = [one for one in built.values() if one is not None]
        ranked = built["rank"]
        assert ranked is not None
        return SeedResult(
            seed=steps.seed,
            ranks=ranking.target_ranks(cases.target),
            top=ranking.items[:, :KEPT],
            invalid_share=ranking.invalid_share,
            validation=report.validation,
            validation_error=report.validation_error,
            best_epoch=report.best_epoch,
            steps_trained=report.steps,
            losses=report.losses,
            steps=tuple(_step_record(role, step, built[role]) for role, step in steps.steps.items()),
            watched={**report.watched, **_temperature(report)},
            course=_course(built.get("model")),
            peak_memory_bytes=max([report.peak_memory_bytes, *(one.peak_memory_bytes for one in kept)]),
            started=started,
            environment=dict(ranked.environment),
        )

    def _keep_texts(self, seed: int, step: Step) -> None:
        """Texts that a step wrote (LLM-CF's chains of thought) where a person looks for them."""
        texts = self.executor.run([step])[step.folder].path / TEXTS
        place = self.folder / f"seed{seed}-{TEXTS}"
        processes.once(lambda: write_atomic(place, texts.read_bytes()))
        self.reporter.message(f"texts to read: {place}")

    # ---- the record -------------------------------------------------------------------------------------------

    def _finished(
        self, base: Mapping[str, Any], graphs: Mapping[int, Graph], quiet: bool = False
    ) -> dict[int, SeedResult]:
        """The recorded seeds that today's steps made; what other code made is set aside."""
        path = self.folder / RECORD
        if not path.exists():
            return {}
        try:
            record = read(path)
        except DataError:
            if self.again:
                return {}
            raise
        if record.spec_hash != base["spec_hash"]:
            raise RecbenchError(f"{path} holds a spec that does not match its folder's name: move the folder away.")
        kept = {}
        for result in record.seeds:
            made = {step.role: step.folder for step in result.steps}
            now = graphs[result.seed] if result.seed in graphs else graph(self.plan.spec, result.seed)
            if made == {role: step.folder for role, step in now.steps.items()}:
                kept[result.seed] = result
            elif not quiet:
                why = difference(made, now, self.executor.store)
                self.reporter.message(f"seed {result.seed}: made by {why}, so it no longer counts")
        return kept

    def _keep(
        self, base: Mapping[str, Any], graphs: Mapping[int, Graph], result: SeedResult, shown: _Shown
    ) -> dict[int, SeedResult]:
        """Add one seed to the record under a lock: another process may be adding its own."""
        path = self.folder / RECORD
        with FileLock(self.folder / ".lock"):
            found = self._finished(base, graphs, quiet=True)
            if path.exists():
                self._set_aside(path, found)
            done = {**found, result.seed: result}
            write_record(_assembled(base, done, shown), path)
        return done

    def _set_aside(self, path: Path, kept: Mapping[int, SeedResult]) -> None:
        """Keep a copy of a record that loses seeds, under a separate name."""
        try:
            lost = len(read(path).seeds) - len(kept)
        except DataError:
            return  # --again replaces a record that cannot be read
        if lost:
            content = path.read_bytes()
            aside = path.with_name(f"record-{digest(content.decode())[:8]}.json")
            write_atomic(aside, content)
            self.reporter.message(f"the record of seeds that no longer count is kept as {aside.name}")


def difference(made: Mapping[str, str], now: Graph, store: Store) -> str:
    """Why recorded steps are not today's, in a few words: the first step that differs, and what of it."""
    from recbench.steps.explain import changed

    for role, step in now.steps.items():
        if made.get(role) != step.folder:
            return changed(step, role, store.root / made[role] if role in made else None)
    return "other steps"


def _warnings(facts: Mapping[str, Any]) -> list[str]:
    """What the audit found that a reader of the results must know."""
    return [str(sentence) for sentence in facts.get("warnings", ())]


def _step_record(role: str, step: Step, built: Built | None) -> StepRecord:
    """What a step cost when it was built; 0 for one that is gone, since what it led to is there."""
    seconds, reused = (round(built.seconds, 3), built.reused) if built else (0.0, True)
    return StepRecord(role=role, kind=step.kind, phase=step.phase, folder=step.folder, seconds=seconds, reused=reused)


def _course(built: Built | None) -> dict[str, tuple[tuple[int, float | None], ...]]:
    """What the loss watched while the model was trained; empty where its folder is gone."""
    if built is None or not (log := built.path / LOG).is_file():
        return {}
    try:
        return course([json.loads(line) for line in log.read_text("utf-8").splitlines()])
    except (OSError, ValueError, KeyError, AttributeError) as error:
        raise DataError(f"{log} is truncated or damaged: remove its folder and run again.") from error


def _assembled(base: Mapping[str, Any], done: Mapping[int, SeedResult], shown: _Shown) -> RunRecord:
    """The record, its command naming just the seeds that it holds."""
    seeds = sorted(done)
    command = f"{base['command']} --seeds {seeds_text(seeds)}"
    results = tuple(done[seed] for seed in seeds)
    allowed = shows_examples(base["spec"]["dataset"]["name"])
    chosen = examples(shown.cases, shown.split.catalog.titles, results) if allowed else None
    return RunRecord(**{**base, "command": command}, seeds=results, examples=chosen)


def _temperature(report: FitReport) -> dict[str, float]:
    return {} if report.temperature == 1.0 else {"temperature_of_best_epoch": report.temperature}
