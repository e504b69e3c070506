"""Stages of models that score items, and of what some of them learn from a teacher."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

from recbench import registry
from recbench.artefacts import load_model, save_model
from recbench.interfaces import FitReport, Reporter, ScoringBackbone
from recbench.stages.base import Base
from recbench.stages.base import build as construct
from recbench.types import Histories, Ranking, Split

TEXTS = "texts.jsonl"


class ScoringStages(Base):
    """Models that score items."""

    def scoring_model(self, split: Split, part: Mapping[str, Any], seed: int, name: str) -> ScoringBackbone[Any]:
        """A trained scoring backbone; ``part`` holds name, options, loss and train."""
        plugin = registry.get("backbone", part["name"])
        model: ScoringBackbone[Any] = construct("backbone", part)

        key = self.keys.scoring(part, seed)
        budget = part["train"] or {"epochs": 0, "batch_size": 1, "learning_rate": 0.0, "samples": 0}
        chosen = replace(split, train=self._training_windows(split, budget))
        lessons: Mapping[str, Any] = {}
        if "teacher" in plugin.requires and not self._there("model", key):  # before, so that each time is its own
            lessons = self._lessons(split, chosen, model, seed)

        def build(folder: Path) -> None:
            fit = self._fit(budget, seed, self._validation(model, split, "scores"))
            report = model.fit(chosen, replace(fit, loss=self._loss(part["loss"]), lessons=lessons))
            save_model(folder, model.state(), self._measured(report))

        self.reporter.begin(f"train {part['name']}, seed {seed}")
        stage = self._stage(name, key, build, every_process=bool(part["train"]))
        model.restore(split, load_model(stage.path))
        return model

    def _lessons(self, split: Split, chosen: Split, model: ScoringBackbone[Any], seed: int) -> Mapping[str, Any]:
        """What ``model`` takes from its teacher; ``chosen`` holds the windows that it will be trained on."""
        key = self.keys.lessons(seed)
        teacher = TrainedTeacher(replace(self, spec=self.spec.teacher(), used={}), split, seed)
        if not self._there("lessons", key):
            _ = teacher.model  # every process takes part in its training

        def build(folder: Path) -> None:
            found = model.lessons(chosen, teacher, seed, self.reporter)
            save_model(folder, found.arrays, self._measured(FitReport()))
            if found.texts:
                lines = [json.dumps(text, ensure_ascii=False) for text in found.texts]
                (folder / TEXTS).write_text("\n".join(lines) + "\n", encoding="utf-8")

        stage = self._stage("lessons", key, build)
        self.used |= {f"teacher {name}": used for name, used in teacher.stages.used.items() if name != "prepare"}
        return load_model(stage.path)


class TrainedTeacher:
    """A teacher that is trained, or found in the store, when it is first asked."""

    def __init__(self, stages: Any, split: Split, seed: int) -> None:
        self.stages, self._split, self._seed = stages, split, seed

    @cached_property
    def model(self) -> Any:
        """The tuned language model."""
        return self.stages.text_model(self._split, self._seed)

    def rank(self, cases: Histories, depth: int, reporter: Reporter) -> Ranking:
        """The best ``depth`` items of each case, by the teacher's own decoder."""
        model = self.model
        reporter.begin(f"teacher ranks {len(cases)} training windows", len(cases))
        return self.stages.rank(model, cases, depth, reporter, self.stages.spec.parts["decoder"])
