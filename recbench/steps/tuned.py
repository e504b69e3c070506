"""A language model tuned by a loss over titles."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recbench.steps.artefacts import load_report, save_model
from recbench.steps.learned import Learned, text_needs
from recbench.steps.setting import RecommenderStep, Setting, training_windows, validation_decoder, work_of
from recbench.steps.step import Step, Work

if TYPE_CHECKING:
    from recbench.interfaces import FitReport, TextBackbone
    from recbench.language.textmodel import TextModel
    from recbench.spec.model import Method, Recommender
    from recbench.training.text import Probe


@dataclass(frozen=True, eq=False)
class TunedModel(RecommenderStep):
    """A fine-tuned language model; no decoder but the one that chooses its epoch."""

    kind = "tuned"
    phase = "training"
    together = True

    @property
    def title(self) -> str:
        """What is trained."""
        assert self.recommender.loss is not None
        return f"train {self.recommender.backbone.name} + {self.recommender.loss.name}, seed {self.setting.seed}"

    @cached_property
    def facts(self) -> Mapping[str, Any]:
        """Backbone, language model, loss and budget; never the decoder."""
        none = dict.fromkeys(("decoder", "collaborative", "reference", "teacher"))
        return {
            "recommender": self.recommender.model_copy(update=none).plain(),
            **self.setting.facts(self.recommender),
        }

    @cached_property
    def needs(self) -> Mapping[str, Step]:
        """See :func:`recbench.steps.learned.text_needs`; and what the backbone learns first."""
        needs = text_needs(self.recommender, self.setting)
        if self.recommender.backbone.plugin.learns:
            needs["learned"] = Learned(self.recommender, self.setting)
        return needs

    @property
    def methods(self) -> tuple[Method, ...]:
        """Backbone, loss and validation decoder."""
        assert self.recommender.loss is not None
        return (self.recommender.backbone, self.recommender.loss, validation_decoder(self.recommender))

    def build(self, folder: Path, work: Work) -> TextModel:
        """Tune."""
        from recbench.steps.text import to_arrays, untuned

        model, backbone = untuned(self.recommender, self.setting, self.needs, work)
        report = self.train(model, backbone, work)
        save_model(folder, to_arrays(model), with_learned(report, model, self.needs, work), self.setting.machine.device)
        return model

    def train(self, model: TextModel, backbone: TextBackbone[Any], work: Work, probe: Probe | None = None) -> FitReport:
        """Tune ``model``, which is :func:`recbench.steps.text.untuned`'s, in place."""
        from recbench.training.text import tune

        recommender = self.recommender
        assert recommender.train is not None
        assert recommender.loss is not None
        assert recommender.llm is not None
        split = work.value(self.needs["prepare"])
        validate = self.setting.validation(recommender, model, split, work)
        fit = self.setting.fit(recommender.train, validate, work, self)
        windows, precision = training_windows(split, recommender.train), recommender.llm.options.precision
        aligned = recommender.naming.alignment
        return tune(model, recommender.loss.make(), windows, fit, backbone, precision, probe, aligned)

    def load(self, folder: Path, work: Work, made: Any = None) -> TextModel:
        """The model."""
        from recbench.steps.text import restored

        return restored(self.recommender, self.setting, self.needs, work, folder, made)

    def pace(self) -> tuple[Mapping[str, Any], float, float]:
        """Windows times epochs."""
        return pace_of(self.recommender, self.setting)


def with_learned(report: FitReport, model: TextModel, needs: Mapping[str, Step], work: Work) -> FitReport:
    """The report with how long the model writes an item, and what the steps before it said of themselves."""
    tokens, choices = model.encoder.trie.sizes()
    before = {"tokens_an_item": tokens, "choices_an_item": choices} | {
        name: value
        for role in ("identifier", "learned")
        if role in needs
        for name, value in load_report(work.path(needs[role])).watched.items()
    }
    return replace(report, watched={**before, **report.watched})


def pace_of(recommender: Recommender, setting: Setting) -> tuple[Mapping[str, Any], float, float]:
    """The pace of a training by backbone, loss, language model and machine."""
    assert recommender.llm is not None
    assert recommender.loss is not None
    like = {"backbone": recommender.backbone.name, "loss": recommender.loss.name, "llm": recommender.llm.called}
    like |= {
        "threads": str(setting.machine.threads),
        "batch": str(recommender.train.batch_size if recommender.train else 0),
        "targets": recommender.train.targets if recommender.train else "",
    }
    return like, work_of(recommender.train), 3e-3 if recommender.llm.tiny else 1.0
