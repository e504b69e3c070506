"""What a text backbone trains before the language model (A-LLMRec's first stage)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recbench.steps.artefacts import load_model, save_model
from recbench.steps.identified import identifier_need
from recbench.steps.prepared import Prepared
from recbench.steps.scoring import ScoringModel
from recbench.steps.setting import RecommenderStep, Setting
from recbench.steps.step import Step, Work
from recbench.steps.trie import NameTrie, model_needs

if TYPE_CHECKING:
    from recbench.spec.model import Method, Recommender


def text_needs(recommender: Recommender, setting: Setting) -> dict[str, Step]:
    """What every step of a language model reads: data, tokens, and the collaborative model in the prompt."""
    llm, budget = recommender.llm, recommender.first_budget
    assert llm is not None
    naming, learned = recommender.naming, identifier_need(recommender, setting)
    needs: dict[str, Step] = {
        "prepare": Prepared(setting.dataset),
        **learned,
        **model_needs(setting.dataset, llm, budget, naming),
        "trie": NameTrie(setting.dataset, llm, budget, naming, learned.get("identifier")),
    }
    if "collaborative" in recommender.backbone.plugin.requires:
        assert recommender.collaborative is not None
        needs["collaborative"] = ScoringModel(recommender.collaborative, setting)
    return needs


@dataclass(frozen=True, eq=False)
class Learned(RecommenderStep):
    """What ``TextBackbone.learn`` leaves."""

    kind = "learned"
    phase = "training"
    together = True

    @property
    def title(self) -> str:
        """What is trained."""
        return f"train {self.recommender.backbone.name} before the language model, seed {self.setting.seed}"

    @cached_property
    def facts(self) -> Mapping[str, Any]:
        """The backbone without its later options, and the untuned language model."""
        backbone, llm = self.recommender.backbone, self.recommender.llm
        assert llm is not None
        return {
            "backbone": {"name": backbone.name, "options": backbone.early_options(), "files": backbone.files},
            "llm": llm.plain(),
            "machine": self.setting.machine.model_dump(mode="json"),
            "seed": self.setting.seed,
        }

    @cached_property
    def needs(self) -> Mapping[str, Step]:
        """See :func:`text_needs`."""
        return text_needs(self.recommender, self.setting)

    @property
    def methods(self) -> tuple[Method, ...]:
        """The backbone."""
        return (self.recommender.backbone,)

    def build(self, folder: Path, work: Work) -> None:
        """Learn; the method's own options decide its budget."""
        from recbench.language.embeddings import text_means
        from recbench.steps.text import bare

        model, backbone = bare(self.recommender, self.setting, self.needs, work)
        model.lm.to(self.setting.machine.device).eval()
        split = work.value(self.needs["prepare"])
        fit = replace(self.setting.fit(self.recommender.first_budget, None, work, self), train=None)
        report = backbone.learn(split, lambda texts: text_means(model, texts), fit)
        save_model(folder, backbone.state(), report, self.setting.machine.device)

    def load(self, folder: Path, work: Work, made: Any = None) -> Mapping[str, Any]:
        """What ``TextBackbone.restore`` takes."""
        return load_model(folder)

    def pace(self) -> tuple[Mapping[str, Any], float, float]:
        """By backbone and language model."""
        assert self.recommender.llm is not None
        return {"backbone": self.recommender.backbone.name, "llm": self.recommender.llm.name}, 1.0, 20.0
