"""The stages of one seed: prepared data, tokenizer, models, rankings; each an artefact named by what made it."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from recbench import processes, registry
from recbench.artefacts import load_model, load_ranking, load_report, save_model, save_ranking
from recbench.config import RunSpec, canonical
from recbench.data.prepare import load_split, open_source, prepare, save_split
from recbench.data.split import cap_per_user, subsample, training_sample
from recbench.errors import DataError, RecbenchError
from recbench.evaluation import METRICS
from recbench.interfaces import Fit, FitReport, Reporter, ScoringBackbone, TrainOptions
from recbench.keys import SELECTION, Keys, bench_code
from recbench.language.options import TINY
from recbench.results import Stage, Store, peak_memory_bytes
from recbench.types import Ranking, Sequences, Split


@dataclass
class Stages:
    """Builds what a run needs, or finds it in the store.

    Attributes:
        spec: the experiment.
        store: finished stages.
        reporter: progress.
        again: rebuild, once in this run, what is there already.
        used: the stages of the seed at hand, by name, for the record.
        rebuilt: what was rebuilt so far.
    """

    spec: RunSpec
    store: Store
    reporter: Reporter
    again: bool = False
    used: dict[str, Stage] = field(default_factory=dict)
    rebuilt: set[str] = field(default_factory=set)

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

        self.reporter.stage("prepare data")
        return load_split(self._stage("prepare", self.keys.data(), build).path)

    def test_cases(self, split: Split) -> Sequences:
        """The test windows that the spec ranks."""
        return self._limit(split.test)

    def _limit(self, windows: Sequences) -> Sequences:
        options = self.spec.parts["evaluate"]
        if options["per_user"]:
            windows = cap_per_user(windows, options["per_user"])
        return subsample(windows, options["cases"]) if options["cases"] else windows

    def _validation(self, model: Any, split: Split, signal: str) -> Callable[[], float]:
        """NDCG@10 of ``model``, as it stands when called, on the validation sample."""
        options = self.spec.parts["evaluate"]
        cases = subsample(split.valid, options["validation_cases"])
        plugin = registry.get("decoder", SELECTION[signal])
        decoder = registry.load("decoder", SELECTION[signal])(plugin.options())
        quiet, excluded = _Quiet(self.reporter), options["history"] == "excluded"

        def validate() -> float:
            ranks = decoder.rank(model, cases, 10, excluded, quiet).target_ranks(cases.target)
            return float(METRICS["NDCG@10"](ranks).mean())

        return validate

    # ---- models -----------------------------------------------------------------------------------------------

    def scoring_model(self, split: Split, part: Mapping[str, Any], seed: int, name: str) -> ScoringBackbone[Any]:
        """A trained scoring backbone; ``part`` holds name, options, loss and train."""
        plugin = registry.get("backbone", part["name"])
        model: ScoringBackbone[Any] = registry.load("backbone", part["name"])(plugin.options(**part["options"]))

        def build(folder: Path) -> None:
            budget = part["train"] or {"epochs": 0, "batch_size": 1, "learning_rate": 0.0, "samples": 0}
            chosen = self._training_windows(split, budget)
            fit = self._fit(budget, seed, self._validation(model, split, "scores"))
            report = model.fit(replace(split, train=chosen), fit)
            save_model(folder, model.state(), self._measured(report))

        self.reporter.stage(f"train {part['name']}, seed {seed}")
        stage = self._stage(name, self.keys.scoring(part, seed), build, every_process=bool(part["train"]))
        model.restore(split, load_model(stage.path))
        return model

    def text_model(self, split: Split, seed: int) -> Any:
        """The fine-tuned language model as a :class:`recbench.language.textmodel.TextModel`."""
        from recbench.assemble import untuned
        from recbench.training.text import tune

        parts = self.spec.parts
        collaborative = None
        if "collaborative" in parts:
            collaborative = self.scoring_model(split, parts["collaborative"], seed, "collaborative")
        windows = self._training_windows(split, parts["train"])
        tokenizer = self._tokenizer(split, windows)
        llm = "" if parts["llm"]["name"] == TINY else self._llm_folder()
        model, backbone = untuned(self.spec, split, tokenizer, llm, collaborative, seed)

        def build(folder: Path) -> None:
            loss = registry.load("loss", parts["loss"]["name"])(
                registry.get("loss", parts["loss"]["name"]).options(**parts["loss"]["options"])
            )
            fit = self._fit(parts["train"], seed, self._validation(model, split, "text"))
            report = tune(model, loss, windows, fit, backbone, parts["llm"]["options"]["precision"])
            save_model(folder, {n: p.float().numpy() for n, p in model.trainable().items()}, self._measured(report))

        self.reporter.stage(f"train {parts['backbone']['name']} + {parts['loss']['name']}, seed {seed}")
        stage = self._stage("model", self.keys.text(seed), build, every_process=True)
        import torch

        arrays = load_model(stage.path)
        try:
            model.restore({n: torch.from_numpy(a) for n, a in arrays.items()})
        except KeyError as error:
            raise DataError(
                f"{stage.path} is not a model of this spec ({error}): remove the folder and run again."
            ) from error
        return model

    def _tokenizer(self, split: Split, windows: Sequences) -> Any:
        from recbench.language import load, tiny

        parts, options = self.spec.parts, self.spec.parts["llm"]["options"]
        if parts["llm"]["name"] != TINY:
            return load.load_tokenizer(self._llm_folder(), options["revision"])
        texts = list(split.catalog.titles)
        key = {
            "data": self.keys.data(),
            "vocabulary": options["vocabulary"],
            "template": options["template"],
            "samples": parts["train"]["samples"],
            "code": bench_code(),
        }

        def build(folder: Path) -> None:
            from recbench.assemble import words

            frame = words(self.spec)
            history = [
                frame.before + frame.between.join(frame.quote(texts[i]) for i in row if i >= 0) + frame.after
                for row in windows.history
            ]
            tiny.train_tokenizer([*history, *texts], options["vocabulary"], folder)

        self.reporter.stage("train tokenizer")
        return load.load_tokenizer(str(self._stage("tokenizer", key, build).path))

    def _llm_folder(self) -> str:
        """Where the pretrained model is: the given folder or hub name, or the converted GGUF file."""
        from recbench.language import load

        place = self.spec.places["llm"]
        if not load.is_gguf(place):
            return place if "/" in place and not Path(place).expanduser().exists() else str(Path(place).expanduser())
        key = {"gguf": self.spec.parts["llm"]["fingerprint"], "code": bench_code()}
        self.reporter.stage("convert GGUF")
        return str(self._stage("llm", key, lambda folder: load.convert_gguf(place, folder)).path)

    # ---- ranking ----------------------------------------------------------------------------------------------

    def ranking(self, split: Split, seed: int) -> tuple[Ranking, Stage]:
        """The test set, ranked by the trained model."""
        parts = self.spec.parts
        text = self.spec.signal == "text"
        part = {**parts["backbone"], "loss": parts.get("loss"), "train": parts.get("train")}
        key = self.keys.ranking(seed)
        there = processes.once(lambda: self.store.has("ranking", key)) and not self.again
        model: Any = None
        if not there:
            model = self.text_model(split, seed) if text else self.scoring_model(split, part, seed, "model")
        cases = self.test_cases(split)

        def build(folder: Path) -> None:
            plugin = registry.get("decoder", parts["decoder"]["name"])
            decoder = registry.load("decoder", parts["decoder"]["name"])(plugin.options(**parts["decoder"]["options"]))
            options = parts["evaluate"]
            self.reporter.stage(f"rank {len(cases)} test cases, seed {seed}", len(cases))
            found = decoder.rank(model, cases, options["depth"], options["history"] == "excluded", self.reporter)
            save_ranking(folder, found)

        stage = self._stage("rank", key, build, kind="ranking")
        if there:
            self._note_training(seed)
        return load_ranking(stage.path), stage

    def _note_training(self, seed: int) -> None:
        """A ranking that was there already: record its models' times too, where the store still has them."""
        for name, (kind, key) in self.keys.all(seed).items():
            if kind == "model" and processes.is_main() and self.store.has(kind, key):
                self.used[name] = self.store.stage(kind, key, _unreachable)

    # ---- helpers ----------------------------------------------------------------------------------------------

    def report(self) -> FitReport:
        """What the training of the seed's own model said; empty where its artefact is gone."""
        stage = self.used.get("model")
        return FitReport() if stage is None else load_report(stage.path)

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
        kind = kind or {"collaborative": "model"}.get(name, name)
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

    def _measured(self, report: FitReport) -> FitReport:
        return replace(report, peak_memory_bytes=peak_memory_bytes(self.spec.parts["machine"]["device"]))

    def _fit(self, budget: Mapping[str, Any], seed: int, validate: Callable[[], float]) -> Fit:
        options = TrainOptions(**{k: v for k, v in budget.items() if k != "samples"})
        machine = self.spec.parts["machine"]
        return Fit(options, seed, machine["device"], machine["threads"], validate, self.reporter)

    @staticmethod
    def _training_windows(split: Split, budget: Mapping[str, Any]) -> Sequences:
        return training_sample(split, budget["samples"]) if budget["samples"] else split.train


def source_of(spec: RunSpec) -> Any:
    """The spec's data source, not read yet."""
    data = spec.parts["dataset"]
    return open_source(data["name"], {**data["options"], **{k: v for k, v in spec.places.items() if k != "llm"}})


class _Quiet:
    """Validation decodes in the middle of training: its steps would overwrite the training's."""

    def __init__(self, reporter: Reporter) -> None:
        self._reporter = reporter

    def stage(self, name: str, total: int | None = None) -> None:
        """Ignore it."""

    def step(self, done: int, total: int | None = None, **values: float) -> None:
        """Ignore it."""

    def message(self, text: str) -> None:
        """Pass it on."""
        self._reporter.message(text)


def _unreachable(folder: Path) -> None:
    raise RecbenchError(f"{folder} vanished while it was read: run again.")
