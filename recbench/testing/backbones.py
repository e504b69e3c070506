"""The contract of backbones that write titles and of those that score items."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import pytest

from recbench import registry
from recbench.interfaces import (
    USER,
    BackbonePlugin,
    Fit,
    Piece,
    ScoringBackbone,
    SilentReporter,
    TextBackbone,
    TrainOptions,
)
from recbench.testing.contract import Contract
from recbench.testing.data import RandomScores, tiny_split
from recbench.testing.models import tiny_text_model
from recbench.testing.teacher import TinyTeacher
from recbench.types import PAD, Split


class BackboneTests(Contract):
    """The contract of both kinds of backbone; subclass one of the two below."""

    kind = "backbone"

    @property
    def plugin(self) -> BackbonePlugin:
        """The descriptor."""
        return registry.get("backbone", self.name)

    def test_defaults_exist(self) -> None:
        """The loss and the decoder it uses by itself are installed and fit."""
        named = (("loss", self.plugin.default_loss), ("decoder", self.plugin.default_decoder))
        for kind, name in (*named, ("decoder", self.plugin.selects)):
            if name:
                assert registry.get(kind, name).signal == self.plugin.signal
        for role, name in self.plugin.requires.items():
            signal = "text" if role == "teacher" else "scores"
            assert registry.get("backbone", name).signal == signal, f"{role} must be a backbone of signal {signal}"


class TextBackboneTests(BackboneTests):
    """A backbone whose language model writes the next title."""

    signal = "text"

    def make(self, *arguments: Any) -> TextBackbone[Any]:
        """A fresh backbone, with a stand-in for the collaborative model where it requires one.

        One that learns something before the language model has learned it, from random embeddings of the titles.
        """
        split = tiny_split()
        collaborative = RandomScores(len(split.catalog)) if self.plugin.requires else None
        backbone: TextBackbone[Any] = super().make(*(arguments or (collaborative,)))
        if self.plugin.learns:
            texts = np.random.default_rng(0).normal(size=(len(split.catalog), 12)).astype(np.float32)
            backbone.learn(split, lambda titles: texts[: len(titles)], Fit(None, 1, "cpu", 1, None, SilentReporter()))
        return backbone

    def test_learns_as_declared(self) -> None:
        """What is learned before the language model can be stored and restored; other backbones store nothing."""
        first = self.make()
        state = {name: np.array(value) for name, value in first.state().items()}
        assert bool(state) == self.plugin.learns
        again: TextBackbone[Any] = super().make(first.collaborative)
        again.restore(state)
        vectors, taken = first.item_vectors(), again.item_vectors()
        if vectors is not None and taken is not None:
            assert np.array_equal(taken, vectors)

    @pytest.mark.parametrize("items", [[3], [0, 7, 2, 7]])
    @pytest.mark.parametrize("words", ["titles", "paper"])
    def test_prompt(self, items: list[int], words: str) -> None:
        """Text and collaborative tokens of the history, the same for the same history.

        A prompt may leave items out or put them in another order, but it must depend on the history: histories
        without a common item get different prompts.
        """
        backbone = self.make()
        pieces, again = (self._prompt(backbone, items, words) for _ in range(2))
        assert pieces == again, "the same history must give the same prompt"
        assert all(isinstance(piece, str | int) for piece in pieces), f"pieces must be text or numbers: {pieces}"
        others = [item + 10 for item in items]
        shown = [piece for piece in pieces if isinstance(piece, int) and piece != USER]
        assert set(shown) <= set(items), f"collaborative tokens of items that are not in the history: {shown}"
        if shown:
            assert backbone.collaborative is not None, "a prompt with collaborative tokens requires such a model"
        assert (USER in pieces) == (backbone.case_vectors(tiny_split().test.histories()) is not None)
        assert pieces != self._prompt(backbone, others, words), "the prompt says nothing about the history"

    @staticmethod
    def _prompt(backbone: TextBackbone[Any], items: list[int], words: str) -> list[Piece]:
        from recbench.prompts.templates import template

        found = template(words, "items")
        return backbone.prompt([found.quote(tiny_split().catalog.titles[i]) for i in items], items, found)

    def test_projector(self) -> None:
        """Maps collaborative vectors to the language model's width, and can be trained."""
        import torch

        backbone = self.make()
        if backbone.item_vectors() is not None:
            module = backbone.projector(8, 32)
            assert module(torch.zeros(3, 8)).shape == (3, 32)
            assert any(parameter.requires_grad for parameter in module.parameters())
        if backbone.case_vectors(tiny_split().test.histories()) is not None:
            assert backbone.case_projector(8, 32)(torch.zeros(3, 8)).shape == (3, 32)

    def test_curriculum_decides_every_step(self) -> None:
        """``hybrid`` answers yes or no for each step and draw."""
        backbone = self.make()
        answers = {backbone.hybrid(step, 12, 3, draw) for step in range(12) for draw in (0.0, 0.5, 0.999)}
        assert answers <= {True, False}

    def test_every_title_can_be_a_target(self) -> None:
        """With ``targets = "all"`` a prompt keeps its titles apart and shows nothing before a title that tells it."""
        if self.make().targets == "all":
            split = tiny_split()
            model = tiny_text_model(split, self.make(), apart=True)
            for row, prompt in zip(split.test.history, model.encoder.read(split.test.histories()), strict=True):
                assert prompt.items == [int(i) for i in row if i != PAD]
                for item, start in zip(prompt.items, prompt.starts, strict=True):
                    title = model.encoder.answers[item][:-1]
                    assert tuple(prompt.ids[start : start + len(title)]) == title

    def test_gradients_reach_every_trained_parameter(self) -> None:
        """Prompt, model and loss fit together, with collaborative tokens shown and hidden."""
        import torch

        from recbench.training.text import Examples, collate

        split = tiny_split()
        model = tiny_text_model(split, self.make())
        examples = Examples(model, split.train)
        batch = collate([examples[i] for i in range(8)])
        for shown in (True, False):
            model.lm.zero_grad()
            if model.collaborative is not None:
                model.collaborative.hybrid = shown
            hidden = model.hidden_states.rows(*(batch[name] for name in ("ids", "lengths", "shared", "asks")))
            torch.nn.functional.cross_entropy(model.head(hidden), batch["labels"]).backward()
            missing = [n for n, p in model.lm.named_parameters() if p.requires_grad and p.grad is None]
            assert not missing, f"no gradient reaches {missing[0]}: several devices would wait for it for ever"


class ScoringBackboneTests(BackboneTests):
    """A backbone that scores every item."""

    signal = "scores"
    budget: ClassVar[TrainOptions] = TrainOptions(epochs=2, batch_size=16, learning_rate=1e-2)

    @pytest.fixture(scope="class")
    def split(self) -> Split:
        """The data."""
        return tiny_split()

    @pytest.fixture(scope="class")
    def model(self, split: Split) -> ScoringBackbone[Any]:
        """The backbone, trained with seed 1."""
        return self.trained(split, 1)

    def trained(self, split: Split, seed: int) -> ScoringBackbone[Any]:
        """A fresh backbone, trained."""
        model: ScoringBackbone[Any] = self.make()

        def validate() -> float:
            found = np.argsort(-model.scores(split.valid.histories()), axis=1, kind="stable")[:, :10]
            return float((found == split.valid.target[:, None]).any(axis=1).mean())

        loss = None
        if self.plugin.default_loss:
            named = registry.get("loss", self.plugin.default_loss)
            loss = named.implementation(named.options())
        lessons = self.learned(split, seed) if "teacher" in self.plugin.requires else {}
        budget = self.budget if self.plugin.default_loss or self.plugin.trained else None
        report = model.fit(split, Fit(budget, seed, "cpu", 1, validate, SilentReporter(), loss, lessons))
        if self.plugin.default_loss:
            assert report.steps > 0
            assert 1 <= report.best_epoch <= self.budget.epochs
            assert len(report.validation) == report.epochs
        return model

    def learned(self, split: Split, seed: int) -> Mapping[str, npt.NDArray[Any]]:
        """What a fresh backbone takes from a stand-in teacher."""
        backbone: ScoringBackbone[Any] = self.make()
        arrays = backbone.lessons(split, _shared_teacher(), seed, SilentReporter()).arrays
        assert all(isinstance(array, np.ndarray) for array in arrays.values()), "lessons are kept as numpy arrays"
        return arrays

    def test_lessons_repeat(self, split: Split) -> None:
        """The same seed takes the same from a teacher, also after other randomness was used up."""
        from recbench.seeds.everything import seed_everything

        if "teacher" not in self.plugin.requires:
            pytest.skip("learns from no teacher")
        first = self.learned(split, 1)
        seed_everything(98, "something else")
        second = self.learned(split, 1)
        assert first.keys() == second.keys()
        for name, array in first.items():
            assert np.array_equal(array, second[name]), f"the lesson {name} differs from call to call"

    def test_vectors(self, split: Split, model: ScoringBackbone[Any]) -> None:
        """Where it has embeddings: one finite row an item, one a case, independent of the other cases."""
        try:
            items = model.item_vectors()
        except NotImplementedError:
            with pytest.raises(NotImplementedError):
                model.user_vectors(split.test.histories())
            return
        _check_vectors(items, len(split.catalog))
        try:
            users = model.user_vectors(split.test.histories())
        except NotImplementedError:
            return
        _check_vectors(users, len(split.test))
        alone = model.user_vectors(split.test.histories().take(np.array([1])))
        np.testing.assert_allclose(alone[0], users[1], rtol=1e-4, atol=1e-5)

    def test_scores(self, split: Split, model: ScoringBackbone[Any]) -> None:
        """[N, items], finite, the same for the same case at every call and in every batch."""
        cases = split.test.histories()
        scores = model.scores(cases)
        assert scores.shape == (len(split.test), len(split.catalog))
        assert scores.dtype == np.float32
        assert np.isfinite(scores).all()
        assert np.array_equal(scores, model.scores(cases)), "scores change from call to call: is dropout on?"
        alone = model.scores(cases.take(np.array([1])))
        np.testing.assert_allclose(alone[0], scores[1], rtol=1e-4, atol=1e-5)

    def test_state_restores_the_model(self, split: Split, model: ScoringBackbone[Any]) -> None:
        """A new instance given the state is the same model, bit for bit."""
        state = {name: np.array(value) for name, value in model.state().items()}
        again: ScoringBackbone[Any] = self.make()
        again.restore(split, state)
        assert np.array_equal(again.scores(split.test.histories()), model.scores(split.test.histories()))

    def test_same_seed_same_model(self, split: Split, model: ScoringBackbone[Any]) -> None:
        """The seed alone decides, also after other randomness was used up."""
        from recbench.seeds.everything import seed_everything

        seed_everything(99, "something else")
        cases = split.test.histories()
        assert np.array_equal(self.trained(split, 1).scores(cases), model.scores(cases))

    def test_seed_matters_as_declared(self, split: Split, model: ScoringBackbone[Any]) -> None:
        """``seeded`` tells the truth."""
        cases = split.test.histories()
        same = np.array_equal(self.trained(split, 2).scores(cases), model.scores(cases))
        found = "agree" if same else "differ"
        assert same != self.plugin.seeded, f"seeded={self.plugin.seeded}, but seeds 1 and 2 {found}"


def _check_vectors(vectors: npt.NDArray[Any], rows: int) -> None:
    assert vectors.ndim == 2
    assert len(vectors) == rows
    assert vectors.dtype == np.float32
    assert np.isfinite(vectors).all()


@cache
def _shared_teacher() -> TinyTeacher:
    return TinyTeacher(tiny_split())
