"""Test or validation cases, ranked by the trained model."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from recbench.steps.artefacts import REPORT, load_ranking, save_ranking
from recbench.steps.prepared import Prepared
from recbench.steps.scoring import mixed_need
from recbench.steps.setting import RecommenderStep, minutes_of
from recbench.steps.step import Step, Work

if TYPE_CHECKING:
    from recbench.spec.model import Decoder, Method
    from recbench.types import Ranking, Sequences, Split


@dataclass(frozen=True, eq=False)
class Ranked(RecommenderStep):
    """The ranked cases; ``model`` is the step of the trained model."""

    model: Step
    part: Literal["test", "validation"] = "test"

    kind = "ranking"
    phase = "decoding"
    together = True

    @property
    def title(self) -> str:
        """What is ranked."""
        own = self.recommender
        who = own.backbone.name + (f" + {own.loss.name}" if own.loss else "")
        return f"rank {self.part} cases of {who} by {self.decoder.name}, seed {self.setting.seed}"

    @cached_property
    def facts(self) -> Mapping[str, Any]:
        """Decoder, depth and cases."""
        evaluate = self.setting.evaluate.model_dump(mode="json")
        validation = ("validation_cases", "validation_per_user")
        unused = validation if self.part == "test" else ("depth", "per_user", "cases")
        kept = {name: value for name, value in evaluate.items() if name not in unused}
        return {"decoder": self.decoder.plain(), "part": self.part, "evaluate": kept}

    @cached_property
    def needs(self) -> Mapping[str, Step]:
        """Data, the model, and the recommender whose scores the decoder mixes in."""
        mixed = mixed_need(self.recommender, self.setting)
        return {"prepare": Prepared(self.setting.dataset), "model": self.model, **mixed}

    @property
    def methods(self) -> tuple[Method, ...]:
        """The decoder."""
        return (self.decoder,)

    @property
    def decoder(self) -> Decoder:
        """The experiment's decoder."""
        assert self.recommender.decoder is not None
        return self.recommender.decoder

    def cases(self, split: Split) -> Sequences:
        """What is ranked."""
        return self.setting.test_cases(split) if self.part == "test" else self.setting.validation_cases(split)

    def build(self, folder: Path, work: Work) -> Ranking:
        """Rank."""
        split, model = work.value(self.needs["prepare"]), work.value(self.model)
        if "mixed" in self.needs:
            model.recommender = work.value(self.needs["mixed"])
        cases = self.cases(split)
        depth = self.setting.evaluate.depth if self.part == "test" else 10
        work.reporter.begin(self.title, len(cases))
        place, items = work.checkpoints(self, minutes_of(self.recommender.train)), len(split.catalog)
        found = self.setting.rank(
            self.decoder, model, cases.histories(), depth, work.reporter, items, place, shared=True
        )
        save_ranking(folder, found)
        shutil.copyfile(work.path(self.model) / REPORT, folder / REPORT)  # a record needs it, whatever is pruned
        return found

    def load(self, folder: Path, work: Work, made: Any = None) -> Ranking:
        """The ranking."""
        return load_ranking(folder)

    def pace(self) -> tuple[Mapping[str, Any], float, float]:
        """Cases, by decoder and model."""
        llm, evaluate = self.recommender.llm, self.setting.evaluate
        like = {"decoder": self.decoder.plain(), "llm": llm.name if llm else "", "part": self.part}
        amount = evaluate.validation_cases if self.part == "validation" else evaluate.cases or 3000
        if llm is None:
            return like, float(amount), 1e-4
        # measured on Book: free generation may go on to the longest title's length, in the whole vocabulary
        free = 20 if self.decoder.plugin.reads_titles else 1
        return like, float(amount), free * (8e-3 if llm.tiny else 1.0)
