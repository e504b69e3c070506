"""The stages of one seed: prepared data, tokenizer, models, rankings; each an artefact named by what made it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from recbench import processes
from recbench.artefacts import load_ranking, load_report, save_ranking
from recbench.config import RunSpec
from recbench.data.prepare import open_source
from recbench.errors import RecbenchError
from recbench.interfaces import FitReport
from recbench.results import Stage
from recbench.stages.base import ndcg
from recbench.stages.scoring import TEXTS
from recbench.stages.text import TextStages
from recbench.types import Ranking, Split

__all__ = ["TEXTS", "Stages", "source_of"]


class Stages(TextStages):
    """Builds what a run needs, or finds it in the store."""

    def trained(self, split: Split, seed: int) -> Any:
        """The experiment's own model, of either kind."""
        if self.spec.signal == "text":
            return self.text_model(split, seed)
        return self.scoring_model(split, self.keys.part(), seed, "model")

    def validation_score(self, split: Split, seed: int) -> float:
        """NDCG@10 on the validation sample of the trained model under the spec's own decoder; never the test set."""
        model, cases = self.trained(split, seed), self.validation_cases(split)
        self.reporter.begin(f"rank {len(cases)} validation cases, seed {seed}", len(cases))
        # by one process: all must choose alike
        score: float = processes.once(
            lambda: ndcg(self.rank(model, cases, 10, self.reporter, self.spec.parts["decoder"]), cases)
        )
        return score

    def ranking(self, split: Split, seed: int) -> tuple[Ranking, Stage]:
        """The test set, ranked by the trained model."""
        parts = self.spec.parts
        key = self.keys.ranking(seed)
        there = self._there("ranking", key)
        model: Any = None if there else self.trained(split, seed)
        cases = self.test_cases(split)

        def build(folder: Path) -> None:
            self.reporter.begin(f"rank {len(cases)} test cases, seed {seed}", len(cases))
            save_ranking(folder, self.rank(model, cases, parts["evaluate"]["depth"], self.reporter, parts["decoder"]))

        stage = self._stage("rank", key, build, kind="ranking")
        if there or self.used["model"].reused:
            self._note_training(seed)
        return load_ranking(stage.path), stage

    def _note_training(self, seed: int) -> None:
        """What was there already was made by stages not asked now: record their times too, where they are kept."""
        for name, (kind, key) in self.keys.all(seed).items():
            if (
                name not in self.used
                and kind not in ("prepare", "ranking")
                and processes.is_main()
                and self.store.has(kind, key)
            ):
                self.used[name] = self.store.stage(kind, key, _unreachable)

    def report(self) -> FitReport:
        """What the training of the seed's own model said; empty where its artefact is gone."""
        stage = self.used.get("model")
        return FitReport() if stage is None else load_report(stage.path)


def source_of(spec: RunSpec) -> Any:
    """The spec's data source, not read yet."""
    data = spec.parts["dataset"]
    return open_source(data["name"], {**data["options"], **{k: v for k, v in spec.places.items() if k != "llm"}})


def _unreachable(folder: Path) -> None:
    raise RecbenchError(f"{folder} vanished while it was read: run again.")
