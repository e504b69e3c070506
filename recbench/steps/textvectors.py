"""A vector of each title: what a pretrained language model makes of it, untuned."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recbench.interfaces import FitReport
from recbench.language import load
from recbench.spec.llm import PretrainedOptions
from recbench.steps.artefacts import load_model, save_model
from recbench.steps.modelplace import llm_needs, model_place
from recbench.steps.prepared import Prepared
from recbench.steps.step import Step, Work

if TYPE_CHECKING:
    from recbench.spec.model import DataSet, LanguageModel
    from recbench.spec.options import MachineOptions


@dataclass(frozen=True, eq=False)
class TextVectors(Step):
    """[items, d] the mean of a pretrained model's last hidden states of each title; the same for every seed."""

    dataset: DataSet
    llm: LanguageModel
    on: MachineOptions

    kind = "textvectors"
    phase = "training"

    @property
    def title(self) -> str:
        """What is read."""
        return f"embed titles by {self.llm.called}"

    @property
    def machine(self) -> MachineOptions:
        """Where it is computed."""
        return self.on

    @property
    def facts(self) -> Mapping[str, Any]:
        """The language model's weights as they are loaded."""
        options = self._options
        kept = {"precision": options.precision, "bits": options.bits, "layers": options.layers}
        facts = {"fingerprint": self.llm.fingerprint, "commit": self.llm.commit}
        return {**facts, **kept, "machine": self.on.model_dump(mode="json")}

    @cached_property
    def needs(self) -> Mapping[str, Step]:
        """Data, and the converted checkpoint of a GGUF model."""
        return {"prepare": Prepared(self.dataset), **llm_needs(self.llm)}

    def build(self, folder: Path, work: Work) -> None:
        """Embed."""
        from recbench.language.embeddings import mean_states
        from recbench.language.trial import tried

        titles, options = work.value(self.needs["prepare"]).catalog.titles, self._options
        place = model_place(self.llm, self.needs, work)
        lm = load.load_pretrained(place, self.llm.commit, options, self.on.device).to(self.on.device).eval()
        tokenizer = load.load_tokenizer(place, self.llm.commit)
        vectors = mean_states(tokenizer, tried(lm), lm.get_output_embeddings(), titles)
        save_model(folder, {"vectors": vectors}, FitReport(), self.on.device)

    @property
    def _options(self) -> PretrainedOptions:
        assert isinstance(self.llm.options, PretrainedOptions)
        return self.llm.options

    def load(self, folder: Path, work: Work, made: Any = None) -> Any:
        """The vectors."""
        return load_model(folder)["vectors"]

    def pace(self) -> tuple[Mapping[str, Any], float, float]:
        """By language model."""
        return {"llm": self.llm.called}, 1.0, 120.0
