"""What an identifier learns before items are named."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recbench.steps.artefacts import load_model, save_model
from recbench.steps.naming import early, sources_of
from recbench.steps.prepared import Prepared
from recbench.steps.scoring import ScoringModel
from recbench.steps.setting import RecommenderStep, Setting
from recbench.steps.step import Step, Work
from recbench.steps.textvectors import TextVectors

if TYPE_CHECKING:
    from recbench.spec.model import Method, Recommender


@dataclass(frozen=True, eq=False)
class LearnedIdentifier(RecommenderStep):
    """What ``Identifier.learn`` leaves; the same for every loss, budget and decoder."""

    kind = "identifier"
    phase = "training"

    @property
    def title(self) -> str:
        """What is learned."""
        return f"learn identifiers ({self.recommender.naming.name}), seed {self.setting.seed}"

    @cached_property
    def facts(self) -> Mapping[str, Any]:
        """The identifier without its later options, machine and seed."""
        return {
            "identifier": early(self.recommender.naming),
            "machine": self.setting.machine.model_dump(mode="json"),
            "seed": self.setting.seed,
        }

    @cached_property
    def needs(self) -> Mapping[str, Step]:
        """Data, and the vectors that it asks for."""
        own, sources = self.recommender, sources_of(self.recommender.naming)
        needs: dict[str, Step] = {"prepare": Prepared(self.setting.dataset)}
        assert own.llm is not None
        if "text" in sources and not own.llm.tiny:
            needs["text"] = TextVectors(self.setting.dataset, own.llm, self.setting.machine)
        if "collaborative" in sources:
            assert own.collaborative is not None
            needs["collaborative"] = ScoringModel(own.collaborative, self.setting)
        return needs

    @property
    def methods(self) -> tuple[Method, ...]:
        """The identifier."""
        return (self.recommender.naming,)

    def build(self, folder: Path, work: Work) -> None:
        """Learn; the identifier's own options decide its budget."""
        split, vectors = work.value(self.needs["prepare"]), {}
        if "text" in self.needs:
            vectors["text"] = work.value(self.needs["text"])
        if "collaborative" in self.needs:
            vectors["collaborative"] = work.value(self.needs["collaborative"]).item_vectors()
        made = self.recommender.naming.make()
        report = made.learn(split, vectors, self.setting.fit(None, None, work, self))
        save_model(folder, made.state(), report, self.setting.machine.device)

    def load(self, folder: Path, work: Work, made: Any = None) -> Mapping[str, Any]:
        """What ``Identifier.restore`` takes."""
        return load_model(folder)

    def pace(self) -> tuple[Mapping[str, Any], float, float]:
        """By identifier."""
        return {"identifier": early(self.recommender.naming)}, 1.0, 20.0


def identifier_need(recommender: Recommender, setting: Setting) -> dict[str, Step]:
    """The step of what a recommender's identifier learns, by its role; empty for one that learns nothing."""
    return {"identifier": LearnedIdentifier(recommender, setting)} if sources_of(recommender.naming) else {}
