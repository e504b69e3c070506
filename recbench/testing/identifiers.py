"""The contract of identifiers."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from recbench import registry
from recbench.interfaces import Fit, Identifier, IdentifierPlugin, Names, SilentReporter
from recbench.interfaces.identifiers import IdentifierOptions
from recbench.prompts.names import check
from recbench.testing.contract import Contract
from recbench.testing.data import tiny_split
from recbench.testing.models import tiny_text_model
from recbench.types import Catalog, Split

if TYPE_CHECKING:
    from recbench.language.textmodel import TextModel


class IdentifierTests(Contract):
    """Names for items."""

    kind = "identifier"

    @property
    def plugin(self) -> IdentifierPlugin:
        """The descriptor."""
        return registry.get("identifier", self.name)

    def learned(self, split: Split, seed: int = 1, same: bool = False) -> Identifier[Any]:
        """A fresh identifier that has learned what it wants to, from random vectors; ``same``: all of them equal."""
        made: Identifier[Any] = self.make()
        options, random = made.options, np.random.default_rng(0)
        sources = options.learns_from() if isinstance(options, IdentifierOptions) else frozenset()
        vectors: dict[str, npt.NDArray[np.float32]] = {}
        for source in sorted(sources - {"windows"}):
            drawn = random.normal(size=(len(split.catalog), 12)).astype(np.float32)
            vectors[source] = np.ones_like(drawn) if same else drawn
        if sources:
            made.learn(split, vectors, Fit(None, seed, "cpu", 1, None, SilentReporter()))
        return made

    def names(self, split: Split, seed: int = 1, same: bool = False) -> Names:
        """The names of a catalogue's items."""
        return self.learned(split, seed, same).names(split.catalog)

    def test_names_stand_for_items(self) -> None:
        """One for each item, no two equal, and every new token is asked for because some name has it."""
        split = tiny_split()
        names = self.names(split)
        check(names, len(split.catalog), self.name)
        assert bool(names.tokens) == self.plugin.tokens, "the descriptor says whether it asks for new tokens"
        assert all(any(token in text for text in names.texts) for token in names.tokens), "a token that no name has"

    def test_names_are_unique_whatever_was_learned(self) -> None:
        """Indistinguishable items get distinct names, with or without training windows."""
        split = tiny_split()
        check(self.names(split, same=True), len(split.catalog), self.name)
        alone = replace(split, train=split.train.take(np.arange(1)))
        check(self.names(alone, same=True), len(split.catalog), self.name)
        one = Catalog(split.catalog.ids[:1], split.catalog.titles[:1])
        windows = replace(split.train.take(np.arange(2)), target=np.zeros(2, np.int32))
        windows = replace(windows, history=np.zeros((2, 1), np.int32))
        check(self.names(replace(split, catalog=one, train=windows), same=True), 1, self.name)

    def test_same_seed_same_names(self) -> None:
        """The seed alone decides, also after other randomness was used up."""
        from recbench.seeds.everything import seed_everything

        first = self.names(tiny_split())
        seed_everything(99, "something else")
        assert self.names(tiny_split()) == first

    def test_state_restores_the_names(self) -> None:
        """What was learned can be stored and restored; an identifier that learns nothing stores nothing."""
        split = tiny_split()
        made = self.learned(split)
        state = {name: np.array(value) for name, value in made.state().items()}
        options = made.options
        learns = isinstance(options, IdentifierOptions) and bool(options.learns_from())
        assert bool(state) == learns
        again: Identifier[Any] = self.make()
        again.restore(state)
        assert again.names(split.catalog) == made.names(split.catalog)

    def test_a_model_writes_and_reads_them(self) -> None:
        """Trie, prompts and loss take the names: every item is found by its tokens, and gradients are finite."""
        import torch

        from recbench.training.text import Examples, collate

        split = tiny_split()
        model: TextModel = tiny_text_model(split, names=self.names(split), apart=True)
        encoder = model.encoder
        assert [encoder.item_of(answer) for answer in encoder.answers] == list(range(len(split.catalog)))
        for prompt in encoder.read(split.test.histories()):
            for item, start in zip(prompt.items, prompt.starts, strict=True):
                own = encoder.answers[item][:-1]
                assert tuple(prompt.ids[start : start + len(own)]) == own
        batch = collate([Examples(model, split.train, every=True)[i] for i in range(4)])
        hidden = model.hidden_states.rows(*(batch[name] for name in ("ids", "lengths", "shared", "asks")))
        torch.nn.functional.cross_entropy(model.head(hidden), batch["labels"]).backward()
        assert all(torch.isfinite(p.grad).all() for p in model.lm.parameters() if p.grad is not None)
