"""A language model tuned on preferences, from the model that a first loss tuned."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recbench.steps.artefacts import save_model
from recbench.steps.setting import RecommenderStep, training_windows, validation_decoder
from recbench.steps.step import Step, Work
from recbench.steps.tuned import TunedModel, pace_of, with_learned

if TYPE_CHECKING:
    from recbench.language.textmodel import TextModel
    from recbench.spec.model import Method


@dataclass(frozen=True, eq=False)
class PreferredModel(RecommenderStep):
    """A language model after a preference loss."""

    kind = "preferred"
    phase = "training"
    together = True

    @property
    def title(self) -> str:
        """What is trained."""
        assert self.recommender.loss is not None
        return f"train {self.recommender.backbone.name} + {self.recommender.loss.name}, seed {self.setting.seed}"

    @cached_property
    def facts(self) -> Mapping[str, Any]:
        """Loss and budget; the rest is the reference's."""
        loss, train = self.recommender.loss, self.recommender.train
        assert loss is not None
        assert train is not None
        facts = {"loss": loss.plain(), "train": train.model_dump(mode="json")}
        return {**facts, **self.setting.facts(self.recommender)}

    @cached_property
    def needs(self) -> Mapping[str, Step]:
        """The reference, and what it needs itself."""
        assert self.recommender.reference is not None
        reference = TunedModel(self.recommender.reference, self.setting)
        return {**reference.needs, "reference": reference}

    @property
    def methods(self) -> tuple[Method, ...]:
        """Backbone, loss and validation decoder."""
        assert self.recommender.loss is not None
        return (self.recommender.backbone, self.recommender.loss, validation_decoder(self.recommender))

    def build(self, folder: Path, work: Work) -> TextModel:
        """Tune the reference itself, which nothing else reads."""
        from recbench.steps.text import to_arrays
        from recbench.training.preference import prefer

        recommender = self.recommender
        assert recommender.train is not None
        assert recommender.loss is not None
        assert recommender.llm is not None
        model: TextModel = work.take(self.needs["reference"])
        split = work.value(self.needs["prepare"])
        validate = self.setting.validation(recommender, model, split, work)
        fit = self.setting.fit(recommender.train, validate, work, self)
        windows, precision = training_windows(split, recommender.train), recommender.llm.options.precision
        report = prefer(model, recommender.loss.make(), windows, fit, precision)
        save_model(folder, to_arrays(model), with_learned(report, model, self.needs, work), self.setting.machine.device)
        return model

    def load(self, folder: Path, work: Work, made: Any = None) -> TextModel:
        """The model."""
        from recbench.steps.text import restored

        return restored(self.recommender, self.setting, self.needs, work, folder, made)

    def pace(self) -> tuple[Mapping[str, Any], float, float]:
        """Windows times epochs."""
        like, amount, rough = pace_of(self.recommender, self.setting)
        # measured on Book with three rejected titles: each is read after the whole prompt, by two models
        return like, amount, 25 * rough
