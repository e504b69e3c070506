"""The tokenizer of the tiny language model, trained on its prompts and titles, or on what its prompts say else."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recbench.language import load, tiny
from recbench.steps.prepared import Prepared
from recbench.steps.setting import training_windows
from recbench.steps.step import Step, Work
from recbench.steps.words import words

if TYPE_CHECKING:
    from recbench.spec.llm import TinyOptions
    from recbench.spec.model import DataSet
    from recbench.spec.options import TrainBudget


@dataclass(frozen=True, eq=False)
class Tokenizer(Step):
    """A byte-level BPE; ``titles`` says whether the model reads any."""

    dataset: DataSet
    options: TinyOptions
    budget: TrainBudget
    titles: bool = True

    kind = "tokenizer"
    phase = "training"
    title = "train tokenizer"

    @property
    def facts(self) -> Mapping[str, Any]:
        """Size, template, and the training windows that it sees."""
        options, budget = self.options, self.budget
        if not self.titles:
            return {"vocabulary": options.vocabulary, "template": options.template, "titles": False}
        windows = {"samples": budget.samples, "stride": budget.stride}
        return {"vocabulary": options.vocabulary, "template": options.template, **windows}

    @cached_property
    def needs(self) -> Mapping[str, Step]:
        """The data."""
        return {"prepare": Prepared(self.dataset)}

    def build(self, folder: Path, work: Work) -> None:
        """Train."""
        split = work.value(self.needs["prepare"])
        frame, titles = words(self.dataset, self.options.template), split.catalog.titles
        if not self.titles:
            tiny.train_tokenizer([frame.before, frame.between, frame.after], self.options.vocabulary, folder)
            return
        history = [
            frame.before + frame.between.join(frame.quote(titles[i]) for i in row if i >= 0) + frame.after
            for row in training_windows(split, self.budget).history
        ]
        tiny.train_tokenizer([*history, *titles], self.options.vocabulary, folder)

    def load(self, folder: Path, work: Work, made: Any = None) -> Any:
        """A transformers tokenizer."""
        return load.load_tokenizer(str(folder))

    def pace(self) -> tuple[Mapping[str, Any], float, float]:
        """A few seconds."""
        return {}, 1.0, 4.0
