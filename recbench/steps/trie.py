"""The token trie of the catalogue's titles."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recbench.errors import RecbenchError
from recbench.language import load
from recbench.language.facts import is_gguf
from recbench.language.fingerprint import fingerprint
from recbench.prompts.chat import close_turns
from recbench.prompts.encode import title_trie
from recbench.prompts.trie import Trie
from recbench.steps.converted import ConvertedModel
from recbench.steps.prepared import Prepared
from recbench.steps.step import Step, Work
from recbench.steps.tokenizer import Tokenizer
from recbench.steps.words import words

if TYPE_CHECKING:
    from recbench.spec.model import DataSet, LanguageModel
    from recbench.spec.options import TrainBudget

FILE = "trie.npz"


@dataclass(frozen=True, eq=False)
class TitleTrie(Step):
    """The trie of a catalogue under a language model's tokenizer."""

    dataset: DataSet
    llm: LanguageModel
    budget: TrainBudget

    kind = "trie"
    phase = "training"
    title = "build the trie of titles"

    @property
    def facts(self) -> Mapping[str, Any]:
        """How titles are quoted, and which model's tokenizer reads them."""
        frame = words(self.dataset, self.llm.options.template)
        named = {"title": frame.title, "fingerprint": self.llm.fingerprint, "commit": self.llm.commit}
        return {**named, "chat": True} if frame.chat else named

    @cached_property
    def needs(self) -> Mapping[str, Step]:
        """Data, and the tokenizer where it is made here."""
        return {"prepare": Prepared(self.dataset), **model_needs(self.dataset, self.llm, self.budget)}

    def build(self, folder: Path, work: Work) -> Trie:
        """Tokenise every title."""
        frame = words(self.dataset, self.llm.options.template)
        tokenizer = tokenizer_of(self.llm, self.needs, work)
        trie = title_trie(tokenizer, frame, work.value(self.needs["prepare"]).catalog)
        trie.save(folder / FILE)
        return trie

    def load(self, folder: Path, work: Work, made: Any = None) -> Trie:
        """The trie."""
        return Trie.load(folder / FILE) if made is None else made


def model_needs(dataset: DataSet, llm: LanguageModel, budget: TrainBudget) -> dict[str, Step]:
    """What has to be made before a language model can be loaded: a tokenizer, a converted checkpoint, or nothing."""
    if llm.tiny:
        from recbench.spec.llm import TinyOptions

        assert isinstance(llm.options, TinyOptions)
        return {"tokenizer": Tokenizer(dataset, llm.options, budget)}
    return {"llm": ConvertedModel(llm)} if is_gguf(llm.place or llm.name) else {}


def tokenizer_of(llm: LanguageModel, needs: Mapping[str, Step], work: Work) -> Any:
    """The language model's tokenizer; where prompts are turns of a chat, its end of text is the end of a turn.

    Raises:
        UsageError: prompts are turns, and the model has no chat template.
    """
    if llm.tiny:
        return work.value(needs["tokenizer"])
    tokenizer = load.load_tokenizer(model_place(llm, needs, work), llm.commit)
    return close_turns(tokenizer) if llm.options.template == "chat" else tokenizer


def model_place(llm: LanguageModel, needs: Mapping[str, Step], work: Work) -> str:
    """Where a pretrained model is read from: its folder, its converted checkpoint, or the hub.

    Raises:
        RecbenchError: a local model has changed since its fingerprint was taken.
    """
    if "llm" in needs:
        return str(work.path(needs["llm"]))
    check_unchanged(llm)
    return llm.place


def check_unchanged(llm: LanguageModel) -> None:
    """Refuse a local model that is not the one whose fingerprint was taken.

    Raises:
        RecbenchError: it is another one.
    """
    if llm.fingerprint and fingerprint(Path(llm.place)) != llm.fingerprint:
        raise RecbenchError(f"{llm.place} changed while it was in use: run the command again.")
