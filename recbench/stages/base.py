"""What all stages share: the experiment, the store, data, validation and ranking."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from recbench import processes, registry
from recbench.config import RunSpec, canonical
from recbench.data.prepare import load_split, prepare, save_split
from recbench.data.split import cap_per_user, subsample, training_sample
from recbench.evaluation import METRICS
from recbench.interfaces import Fit, FitReport, Reporter, TrainOptions
from recbench.keys import SELECTION, Keys
from recbench.results import Stage, Store, peak_memory_bytes
from recbench.search import checked
from recbench.types import Ranking, Sequences, Split


@dataclass
class Base:
    """Builds stages, or finds them in the store.

    Attributes:
        spec: the experiment.
        store: finished stages.
        reporter: progress.
        again: rebuild, once in this run, what is there already.
        probe: looks at a language model's training from outside (:data:`recbench.training.text.Probe`).
        used: the stages of the seed at hand, by name, for the record.
        rebuilt: what was rebuilt so far.
    """

    spec: RunSpec
    store: Store
    reporter: Reporter
    again: bool = False
    probe: Any = None
    used: dict[str, Stage] = field(default_factory=dict)
    rebuilt: set[str] = field(default_factory=set)
    items: int = 0

    @property
    def keys(self) -> Keys:
        """What names the stages."""
        return Keys(self.spec)

    # ---- data -------------------------------------------------------------------------------------------------

    def split(self) -> Split:
        """The prepared data set."""
        data = self.spec.parts["dataset"]
        options = {**data["options"], **{k: v for k, v in self.spec.places.items() if k != "llm"}}

        def build(folder: Path) -> None:
            save_split(prepare(data["name"], options, self.reporter), folder)

        self.reporter.begin("prepare data")
        split = load_split(self._stage("prepare", self.keys.data(), build).path)
        self.items = len(split.catalog)
        return split

    def test_cases(self, split: Split) -> Sequences:
        """The test windows that the spec ranks."""
        return self._limit(split.test)

    def _limit(self, windows: Sequences) -> Sequences:
        options = self.spec.parts["evaluate"]
        if options["per_user"]:
            windows = cap_per_user(windows, options["per_user"])
        return subsample(windows, options["cases"]) if options["cases"] else windows

    def validation_cases(self, split: Split) -> Sequences:
        """The validation windows that the spec ranks."""
        return subsample(split.valid, self.spec.parts["evaluate"]["validation_cases"])

    def _validation(self, model: Any, split: Split, signal: str) -> Callable[[], float]:
        """NDCG@10 of ``model``, as it stands when called, on the validation sample."""
        name = SELECTION[signal]
        decoder = {"name": name, "options": registry.get("decoder", name).options().model_dump()}
        cases, quiet = self.validation_cases(split), Quiet(self.reporter)

        def validate() -> float:
            return ndcg(self.rank(model, cases, 10, quiet, decoder), cases)

        return validate

    def _loss(self, part: Mapping[str, Any] | None) -> Any:
        if part is None:
            return None
        return build("loss", part)

    def rank(self, model: Any, cases: Any, depth: int, reporter: Reporter, part: Mapping[str, Any]) -> Ranking:
        """The best ``depth`` items of each case, by the decoder that ``part`` describes."""
        decoder, name = build("decoder", part), part["name"]
        excluded = self.spec.parts["evaluate"]["history"] == "excluded"
        histories = cases.histories() if isinstance(cases, Sequences) else cases
        with registry.blamed("decoder", name):
            found: Ranking = decoder.rank(model, histories, depth, excluded, reporter)
        who = f"decoder {name!r} of {registry.origin('decoder', name)}"
        return checked(found, histories, depth, self.items, excluded, who)

    # ---- helpers ----------------------------------------------------------------------------------------------

    def _stage(
        self,
        name: str,
        key: Mapping[str, Any],
        build: Callable[[Path], None],
        *,
        kind: str = "",
        every_process: bool = False,
    ) -> Stage:
        """Find or build a stage; with several processes the first one stores it, all of them train."""
        kind = kind or {"collaborative": "model", "reference": "model"}.get(name, name)
        mark = f"{kind} {canonical(key)}"
        rebuild = self.again and mark not in self.rebuilt
        self.rebuilt.add(mark)

        def store(announce: Callable[[bool], None] | None = None) -> Stage:
            return self.store.stage(kind, key, build, self.reporter, rebuild=rebuild, announce=announce)

        if processes.world() == 1:
            stage = store()
        elif not every_process:
            stage = processes.once(store)
        elif processes.is_main():
            # another run may be building the same stage: only under the lock is it known whether all have to train
            stage = store(lambda building: processes.once(lambda: building))
            processes.once(lambda: stage)
        else:
            if processes.once(lambda: None):
                with tempfile.TemporaryDirectory() as scratch:
                    build(Path(scratch))
            stage = processes.once(lambda: None)
        self.used[name] = stage
        if stage.reused:
            self.reporter.message(f"{name}: taken from {stage.path.name} (built in {stage.seconds:.0f} s)")
        return stage

    def _there(self, kind: str, key: Mapping[str, Any]) -> bool:
        """Whether a stage can be taken from the store: the same answer in every process."""
        mark = f"{kind} {canonical(key)}"
        rebuild = self.again and mark not in self.rebuilt
        return not rebuild and bool(processes.once(lambda: self.store.has(kind, key)))

    def _measured(self, report: FitReport) -> FitReport:
        return replace(report, peak_memory_bytes=peak_memory_bytes(self.spec.parts["machine"]["device"]))

    def _fit(self, budget: Mapping[str, Any], seed: int, validate: Callable[[], float] | None) -> Fit:
        options = TrainOptions(**{k: v for k, v in budget.items() if k != "samples"})
        machine = self.spec.parts["machine"]
        return Fit(options, seed, machine["device"], machine["threads"], validate, self.reporter)

    @staticmethod
    def _training_windows(split: Split, budget: Mapping[str, Any]) -> Sequences:
        return training_sample(split, budget["samples"]) if budget["samples"] else split.train


class Quiet:
    """Validation decodes in the middle of training: its steps would overwrite the training's."""

    def __init__(self, reporter: Reporter) -> None:
        self._reporter = reporter

    def begin(self, name: str, total: int | None = None) -> None:
        """Ignore it."""

    def advance(self, done: int, total: int | None = None, **values: float) -> None:
        """Ignore it."""

    def message(self, text: str) -> None:
        """Pass it on."""
        self._reporter.message(text)


def build(kind: str, part: Mapping[str, Any], *arguments: Any) -> Any:
    """The method that ``part`` names, with its options."""
    plugin = registry.get(kind, part["name"])
    return plugin.implementation(plugin.options(**part["options"]), *arguments)


def ndcg(ranking: Ranking, cases: Sequences) -> float:
    """Mean NDCG@10 of the cases' targets."""
    return float(METRICS["NDCG@10"](ranking.target_ranks(cases.target)).mean())
