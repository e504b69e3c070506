"""A trained model that scores items."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recbench.steps.artefacts import load_model, save_model
from recbench.steps.prepared import Prepared
from recbench.steps.setting import RecommenderStep, Setting, training_windows, validation_decoder, work_of
from recbench.steps.step import Step, Work

if TYPE_CHECKING:
    from recbench.interfaces import ScoringBackbone
    from recbench.spec.model import Method, Recommender


@dataclass(frozen=True, eq=False)
class ScoringModel(RecommenderStep):
    """A model that scores items: the experiment's own, or one behind collaborative tokens. Both share one artefact."""

    lessons: Step | None = None

    kind = "scoring"
    phase = "training"

    @property
    def together(self) -> bool:  # type: ignore[override]
        """Every process takes part in a training."""
        return self.recommender.train is not None

    @property
    def title(self) -> str:
        """What is trained."""
        own = self.recommender
        loss = f" + {own.loss.name}" if own.loss else ""
        return f"train {own.backbone.name}{loss}, seed {self.setting.seed}"

    @cached_property
    def facts(self) -> Mapping[str, Any]:
        """Backbone, loss and budget; never the decoder."""
        own = self.recommender.model_copy(update={"decoder": None, "teacher": None, "collaborative": None})
        return {"recommender": own.plain(), **self.setting.facts(self.recommender)}

    @cached_property
    def needs(self) -> Mapping[str, Step]:
        """Data, and what a teacher taught."""
        lessons = {} if self.lessons is None else {"lessons": self.lessons}
        return {"prepare": Prepared(self.setting.dataset), **lessons}

    @property
    def methods(self) -> tuple[Method, ...]:
        """Backbone, loss and validation decoder."""
        loss = () if self.recommender.loss is None else (self.recommender.loss,)
        return (self.recommender.backbone, *loss, validation_decoder(self.recommender))

    def build(self, folder: Path, work: Work) -> ScoringBackbone[Any]:
        """Train."""
        recommender, setting = self.recommender, self.setting
        split = work.value(self.needs["prepare"])
        model: ScoringBackbone[Any] = recommender.backbone.make()
        budget = recommender.train
        lessons = {} if self.lessons is None else work.value(self.lessons)
        loss = None if recommender.loss is None else recommender.loss.make()
        validate = setting.validation(recommender, model, split, work)
        fit = setting.fit(budget, validate, work, self, loss=loss, lessons=lessons)
        report = model.fit(replace(split, train=training_windows(split, budget)), fit)
        save_model(folder, model.state(), report, setting.machine.device)
        return model

    def load(self, folder: Path, work: Work, made: Any = None) -> ScoringBackbone[Any]:
        """The model."""
        model: ScoringBackbone[Any] = self.recommender.backbone.make() if made is None else made
        model.restore(work.value(self.needs["prepare"]), load_model(folder))
        return model

    def pace(self) -> tuple[Mapping[str, Any], float, float]:
        """Windows times epochs."""
        like = {"backbone": self.recommender.backbone.name, "threads": self.setting.machine.threads}
        return like, work_of(self.recommender.train), 1e-4


def mixed_need(recommender: Recommender, setting: Setting) -> dict[str, Step]:
    """The model whose scores a recommender's decoder mixes in, by its role; empty for most decoders."""
    assert recommender.decoder is not None
    if "collaborative" not in recommender.decoder.options.requires():
        return {}
    assert recommender.collaborative is not None
    return {"mixed": ScoringModel(recommender.collaborative, setting)}
