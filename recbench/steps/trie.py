"""The tokenizer that knows an identifier's tokens, and the trie of what stands for the catalogue's items."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recbench.language import load
from recbench.prompts.chat import close_turns
from recbench.prompts.encode import name_trie
from recbench.prompts.names import with_tokens
from recbench.prompts.trie import Trie
from recbench.steps.modelplace import llm_needs, model_place
from recbench.steps.naming import early, names_of
from recbench.steps.prepared import Prepared
from recbench.steps.step import Step, Work
from recbench.steps.tokenizer import Tokenizer
from recbench.steps.words import words

if TYPE_CHECKING:
    from recbench.interfaces import Names
    from recbench.spec.model import DataSet, Identifier, LanguageModel, Method
    from recbench.spec.options import TrainBudget

FILE = "trie.npz"


@dataclass(frozen=True, eq=False)
class NameTrie(Step):
    """The trie of a catalogue under a language model's tokenizer; ``learned`` is what the identifier learned first."""

    dataset: DataSet
    llm: LanguageModel
    budget: TrainBudget
    naming: Identifier
    learned: Step | None = None

    kind = "trie"
    phase = "training"

    @property
    def title(self) -> str:
        """What it is of."""
        return f"build the trie of {'titles' if self.naming.plugin.titles else 'identifiers'}"

    @property
    def facts(self) -> Mapping[str, Any]:
        """What stands for items, how titles are quoted, and which model's tokenizer reads them."""
        frame = words(self.dataset, self.llm.options.template)
        named = {"title": frame.title, "fingerprint": self.llm.fingerprint, "commit": self.llm.commit}
        facts = {**named, "identifier": early(self.naming)}
        return {**facts, "chat": True} if frame.chat else facts

    @cached_property
    def needs(self) -> Mapping[str, Step]:
        """Data, the tokenizer where it is made here, and what the identifier learned."""
        learned = {} if self.learned is None else {"identifier": self.learned}
        own = model_needs(self.dataset, self.llm, self.budget, self.naming)
        return {"prepare": Prepared(self.dataset), **own, **learned}

    @property
    def methods(self) -> tuple[Method, ...]:
        """The identifier."""
        return (self.naming,)

    def build(self, folder: Path, work: Work) -> Trie:
        """Tokenise every name."""
        frame, catalog = words(self.dataset, self.llm.options.template), work.value(self.needs["prepare"]).catalog
        names = names_of(self.naming, self.learned, catalog, work)
        trie = name_trie(tokenizer_of(self.llm, self.needs, work, names), frame, catalog, names)
        trie.save(folder / FILE)
        return trie

    def load(self, folder: Path, work: Work, made: Any = None) -> Trie:
        """The trie."""
        return Trie.load(folder / FILE) if made is None else made


def model_needs(dataset: DataSet, llm: LanguageModel, budget: TrainBudget, naming: Identifier) -> dict[str, Step]:
    """What has to be made before a language model can be loaded: a tokenizer, a converted checkpoint, or nothing."""
    if llm.tiny:
        from recbench.spec.llm import TinyOptions

        assert isinstance(llm.options, TinyOptions)
        reads_titles = naming.shows != "identifiers" or naming.alignment > 0
        return {"tokenizer": Tokenizer(dataset, llm.options, budget, reads_titles)}
    return llm_needs(llm)


def tokenizer_of(llm: LanguageModel, needs: Mapping[str, Step], work: Work, names: Names) -> Any:
    """The language model's tokenizer, with the new tokens of ``names``.

    Where prompts are turns of a chat, its end of text is the end of a turn.

    Raises:
        UsageError: prompts are turns, and the model has no chat template.
    """
    if llm.tiny:
        own = work.value(needs["tokenizer"])
    else:
        own = load.load_tokenizer(model_place(llm, needs, work), llm.commit)
        own = close_turns(own) if llm.options.template == "chat" else own
    return with_tokens(own, names.tokens)
