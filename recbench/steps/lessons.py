"""What a model takes from its teacher: arrays for its training, texts for people."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recbench.data.split import untaught_rows
from recbench.interfaces import FitReport
from recbench.steps.artefacts import load_model, save_model
from recbench.steps.prepared import Prepared
from recbench.steps.scoring import mixed_need
from recbench.steps.setting import RecommenderStep, minutes_of, training_windows, windows_of
from recbench.steps.step import Step, Work

if TYPE_CHECKING:
    from recbench.interfaces import Reporter, ScoringBackbone
    from recbench.spec.model import Method
    from recbench.types import Histories, Ints, Ranking, Sequences, Split

TEXTS = "texts.jsonl"


@dataclass(frozen=True, eq=False)
class LessonsTaken(RecommenderStep):
    """What ``ScoringBackbone.lessons`` returned; ``teacher`` is the step of the teacher's trained model."""

    teacher: Step

    kind = "lessons"
    phase = "training"

    @property
    def title(self) -> str:
        """Who asks whom."""
        assert self.recommender.teacher is not None
        return (
            f"{self.recommender.backbone.name} asks {self.recommender.teacher.backbone.name}, seed {self.setting.seed}"
        )

    @cached_property
    def facts(self) -> Mapping[str, Any]:
        """The backbone without its later options, the windows that it asks about, and how the teacher ranks."""
        backbone = self.recommender.backbone
        return {
            "backbone": {"name": backbone.name, "options": backbone.early_options(), "files": backbone.files},
            "windows": windows_of(self.recommender.train),
            "decoder": self._decoder.plain(),
            "history": self.setting.evaluate.history,
            "seed": self.setting.seed,
        }

    @cached_property
    def needs(self) -> Mapping[str, Step]:
        """Data, the teacher, and the recommender whose scores its decoder mixes in."""
        assert self.recommender.teacher is not None
        mixed = mixed_need(self.recommender.teacher, self.setting)
        return {"prepare": Prepared(self.setting.dataset), "teacher": self.teacher, **mixed}

    @property
    def methods(self) -> tuple[Method, ...]:
        """The backbone that asks, and the teacher's decoder."""
        return (self.recommender.backbone, self._decoder)

    @property
    def _decoder(self) -> Any:
        assert self.recommender.teacher is not None
        assert self.recommender.teacher.decoder is not None
        return self.recommender.teacher.decoder

    def build(self, folder: Path, work: Work) -> None:
        """Ask."""
        split = work.value(self.needs["prepare"])
        chosen = replace(split, train=training_windows(split, self.recommender.train))
        model: ScoringBackbone[Any] = self.recommender.backbone.make()
        teacher = _Teacher(self, work, chosen.train, self._taught(split))
        found = model.lessons(chosen, teacher, self.setting.seed, work.reporter)
        save_model(folder, found.arrays, FitReport(), self.setting.machine.device)
        if found.texts:
            lines = [json.dumps(text, ensure_ascii=False) for text in found.texts]
            (folder / TEXTS).write_text("\n".join(lines) + "\n", encoding="utf-8")

    def _taught(self, split: Split) -> list[tuple[Sequences, bool]]:
        """The windows of each training that the teacher went through, and whether every title was a target."""
        assert self.recommender.teacher is not None
        teacher = self.recommender.teacher
        trainings = (teacher.collaborative, teacher.reference, teacher)
        budgets = [own.train for own in trainings if own is not None and own.train is not None]
        return [(training_windows(split, budget), budget.targets == "all") for budget in budgets]

    def load(self, folder: Path, work: Work, made: Any = None) -> Mapping[str, Any]:
        """The arrays."""
        return load_model(folder)

    def pace(self) -> tuple[Mapping[str, Any], float, float]:
        """By backbone and the teacher's decoder."""
        return {"backbone": self.recommender.backbone.name, "decoder": self._decoder.name}, 1.0, 60.0


class _Teacher:
    """The teacher as :class:`recbench.interfaces.Teacher` describes it."""

    def __init__(
        self, step: LessonsTaken, work: Work, windows: Sequences, taught: list[tuple[Sequences, bool]]
    ) -> None:
        self._step, self._work, self._windows, self._taught = step, work, windows, taught
        self._place = work.checkpoints(step, minutes_of(step.recommender.train))

    @property
    def model(self) -> Any:
        """The tuned language model."""
        model = self._work.value(self._step.teacher)
        if "mixed" in self._step.needs:
            model.recommender = self._work.value(self._step.needs["mixed"])
        return model

    def sample(self, n: int, reporter: Reporter) -> Ints:
        """Rows of windows that the teacher was not trained on, if there are any."""
        return untaught_rows(self._windows, self._taught, n, reporter)

    def rank(self, cases: Histories, depth: int, reporter: Reporter) -> Ranking:
        """The best ``depth`` items of each case, by the teacher's own decoder."""
        reporter.begin(f"teacher ranks {len(cases)} training windows", len(cases))
        items = len(self._work.value(self._step.needs["prepare"]).catalog)
        return self._step.setting.rank(self._step._decoder, self.model, cases, depth, reporter, items, self._place)
