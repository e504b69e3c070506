"""Contract tests: what every plugin has to keep, as classes whose author subclasses them.

::

    from recbench.testing import LossTests

    class TestMine(LossTests):
        name = "mine"

Use :class:`LossTests`, :class:`TextBackboneTests` or :class:`ScoringBackboneTests`, :class:`TextDecoderTests` or
:class:`ScoringDecoderTests`. The package must be installed: the tests go through its entry point, as a run does. All
of it runs on a CPU in seconds. ``options`` holds option values to test with, where the defaults are too large.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import numpy.typing as npt
import pytest

from recbench import registry
from recbench.interfaces import (
    Decoder,
    Fit,
    FitReport,
    Loss,
    Options,
    Piece,
    Plugin,
    ScoringBackbone,
    Signal,
    SilentReporter,
    TextBackbone,
    TrainOptions,
)
from recbench.types import PAD, Catalog, Ranking, Sequences, Split

if TYPE_CHECKING:
    import torch

    from recbench.language.textmodel import TextModel
    from recbench.training.answers import AnswerBatch

_ADJECTIVES = ("Red", "Blue", "Silent", "Last", "Golden", "Broken")
_NOUNS = ("River", "Garden", "Clock", "Road", "Summer")


# ---- small data and models ------------------------------------------------------------------------------------


def tiny_split(users: int = 8, items: int = 24, history: int = 5, seed: int = 0) -> Split:
    """Windows in which each item tends to be followed by the next one: small, but something can be learned.

    Args:
        users: number of users, each with 6 training, 1 validation and 2 test windows.
        items: size of the catalogue, at most 30; some titles begin alike, some item is never a training target.
        history: longest history; the shortest has one item.
        seed: of the windows.
    """
    words = [f"{adjective} {noun}" for noun in _NOUNS for adjective in _ADJECTIVES]
    titles = tuple(words[:items])
    random = np.random.default_rng(seed)

    def windows(each: int, start: int) -> Sequences:
        n = users * each
        first = random.integers(items, size=n)
        grid = (first[:, None] + np.arange(history + 1)) % items
        skip = random.random(grid.shape) < 0.15
        grid = np.where(skip, random.integers(items, size=grid.shape), grid).astype(np.int32)
        shown, target = grid[:, :-1].copy(), grid[:, -1].copy()
        length = random.integers(1, history + 1, size=n)
        length[0] = 1
        shown[np.arange(history) < (history - length)[:, None]] = PAD
        owner = np.tile(np.arange(users, dtype=np.int32), each)
        return Sequences(owner, shown, target, np.arange(start, start + n, dtype=np.int64))

    train, valid, test = windows(6, 0), windows(1, 1_000), windows(2, 2_000)
    catalog = Catalog(tuple(str(i + 1) for i in range(items)), titles)
    return Split(catalog, tuple(f"u{i}" for i in range(users)), train, valid, test)


class TitlesOnly(TextBackbone[Options]):
    """The plainest text backbone: the titles and nothing else."""

    def prompt(self, titles: Any, items: Any, template: Any) -> list[Piece]:
        """One piece of text."""
        return [template.before + template.between.join(titles) + template.after]


class RandomScores(ScoringBackbone[Options]):
    """A stand-in recommender: fixed random item vectors, scores that depend on the history's last item."""

    vectors: npt.NDArray[np.float32]

    def __init__(self, items: int, width: int = 8, seed: int = 0) -> None:
        super().__init__(Options())
        self.vectors = np.random.default_rng(seed).normal(size=(items, width)).astype(np.float32)

    def fit(self, split: Split, fit: Fit) -> FitReport:
        """Nothing to learn."""
        return FitReport()

    def scores(self, cases: Sequences) -> npt.NDArray[np.float32]:
        """Inner products with the last item's vector."""
        # einsum without BLAS: the same row gives the same bits whatever batch it stands in
        grid: npt.NDArray[np.float32] = np.einsum("nd,id->ni", self.vectors[cases.history[:, -1]], self.vectors)
        return grid

    def state(self) -> dict[str, npt.NDArray[Any]]:
        """The vectors."""
        return {"vectors": self.vectors}

    def restore(self, split: Split, state: Mapping[str, npt.NDArray[Any]]) -> None:
        """Take the vectors back."""
        self.vectors = state["vectors"]

    def item_vectors(self) -> npt.NDArray[np.float32]:
        """The vectors."""
        return self.vectors


def tiny_text_model(split: Split | None = None, backbone: TextBackbone[Any] | None = None, seed: int = 0) -> TextModel:
    """A random two-layer Llama of width 32 with a tokenizer trained on the catalogue, in evaluation mode on the CPU.

    Args:
        split: the data, :func:`tiny_split` by default.
        backbone: makes the prompts, :class:`TitlesOnly` by default; its collaborative tokens are installed.
        seed: of the weights.
    """
    from recbench.language import collaborative as tokens
    from recbench.language import tiny
    from recbench.language.load import load_tokenizer
    from recbench.language.options import TinyOptions
    from recbench.language.textmodel import TextModel
    from recbench.prompts.encode import Encoder
    from recbench.prompts.templates import template
    from recbench.seeds import seed_everything

    split = split or tiny_split()
    backbone = backbone or TitlesOnly(Options())
    with tempfile.TemporaryDirectory(prefix="recbench-") as folder:
        tiny.train_tokenizer(split.catalog.titles, 300, Path(folder))
        tokenizer = load_tokenizer(folder)
    seed_everything(seed, "tiny text model")
    lm = tiny.build(TinyOptions(vocabulary=300, hidden=32, layers=2, heads=2, intermediate=64), tokenizer)
    vocabulary = lm.get_input_embeddings().num_embeddings
    vectors = backbone.item_vectors()
    if vectors is not None:
        tokens.install(lm, vectors, backbone.projector(vectors.shape[1], lm.get_input_embeddings().embedding_dim))
    encoder = Encoder.create(tokenizer, template("titles", "items"), split.catalog, backbone, vocabulary)
    return TextModel(lm.eval(), encoder, "cpu")


def tiny_answers(
    logits: torch.Tensor, allowed: list[list[int]], labels: list[int], rows: list[int], training: bool = False
) -> AnswerBatch:
    """Answer positions whose hidden states *are* their logits (the output matrix is the identity).

    Args:
        logits: [N, V]; gradients flow to it.
        allowed: N ascending lists of valid tokens.
        labels: N right tokens.
        rows: N titles that the positions belong to, those of a title in order.
        training: whether a loss may update running estimates.
    """
    import torch

    from recbench.training.answers import AnswerBatch

    vocabulary = logits.shape[1]
    head = torch.nn.Linear(vocabulary, vocabulary, bias=False, dtype=logits.dtype)
    head.weight.requires_grad_(False).copy_(torch.eye(vocabulary))
    sizes = torch.tensor([0, *map(len, allowed)])
    return AnswerBatch(
        labels=torch.tensor(labels, dtype=torch.long),
        hidden=logits,
        head=head,
        row=torch.tensor(rows, dtype=torch.long),
        depth=torch.tensor([rows[:n].count(row) for n, row in enumerate(rows)], dtype=torch.long),
        indptr=sizes.cumsum(0),
        allowed=torch.tensor([t for tokens in allowed for t in tokens], dtype=torch.long),
        training=training,
    )


# ---- what every kind keeps ------------------------------------------------------------------------------------


class _Contract:
    """An entry point, its descriptor and its options."""

    kind: ClassVar[str]
    signal: ClassVar[Signal | None] = None
    name: ClassVar[str]
    """What the user types: the entry point's name."""
    options: ClassVar[Mapping[str, Any]] = {}
    """Option values to test with."""

    @property
    def plugin(self) -> Plugin:
        """The descriptor."""
        return registry.get(self.kind, self.name)

    def make(self, *arguments: Any) -> Any:
        """A fresh instance with ``options``."""
        return registry.load(self.kind, self.name)(self.plugin.options(**self.options), *arguments)

    def test_is_registered(self) -> None:
        """The entry point names a descriptor of the right kind and signal."""
        assert self.name in registry.names(self.kind), f"no installed distribution registers {self.kind} {self.name!r}"
        assert self.plugin.summary, "the descriptor has no summary"
        assert "\n" not in self.plugin.summary, "the summary must be one line"
        assert self.signal in (None, self.plugin.signal), f"{self.name} is declared as {self.plugin.signal}"

    def test_descriptor_is_light(self) -> None:
        """Reading the descriptor imports no deep-learning library (in a fresh process)."""
        code = (
            "import sys; from recbench import registry; registry.get(sys.argv[1], sys.argv[2]); "
            "print(*{'torch', 'transformers', 'peft', 'recbole', 'trl'} & set(sys.modules))"
        )
        done = subprocess.run(
            [sys.executable, "-c", code, self.kind, self.name], capture_output=True, text=True, check=True
        )
        assert not done.stdout.strip(), f"reading the descriptor imports {done.stdout.strip()}"

    def test_unknown_options_are_errors(self) -> None:
        """A misspelt option is refused, not ignored."""
        with pytest.raises(ValueError, match="no_such_option"):
            self.plugin.options(**{"no_such_option": 1})

    def test_options_have_defaults_and_descriptions(self) -> None:
        """``recbench describe`` has something to say about every option, and each can be left out."""
        fields = self.plugin.options.model_fields
        silent = [name for name, field in fields.items() if not field.description]
        assert not silent, f"options without a description: {', '.join(silent)}"
        required = [name for name, field in fields.items() if field.is_required()]
        assert not required, f"options without a default: {', '.join(required)}"


# ---- losses ---------------------------------------------------------------------------------------------------

_VOCABULARY = 7
_ALLOWED = [[0, 2, 3, 6], [1, 4], [5], [0, 2, 3, 6], [0, 1, 3, 4, 5]]
_LABELS = [2, 4, 5, 6, 0]
_ROWS = [0, 0, 0, 1, 1]


class LossTests(_Contract):
    """A loss for models that write titles."""

    kind = "loss"
    signal = "text"
    forced_is_free: ClassVar[bool] = False
    """Whether a position with one valid token has no loss and no gradient (MSL)."""

    def make(self, *arguments: Any) -> Loss[Any]:
        """A fresh loss; the global generator is seeded, for losses that sample."""
        from recbench.seeds import seed_everything

        seed_everything(0, "loss contract")
        loss: Loss[Any] = super().make(*arguments)
        return loss

    def test_returns_a_sum_and_a_count(self) -> None:
        """A scalar sum with a finite gradient, and the number to divide it by."""
        import torch

        for training in (False, True):
            logits = _logits()
            loss = self.make()
            total, count = loss(tiny_answers(logits, _ALLOWED, _LABELS, _ROWS, training))
            assert total.shape == (), f"the sum has shape {tuple(total.shape)}, where a scalar is needed"
            assert float(count) > 0
            assert torch.isfinite(total)
            total.backward()
            assert logits.grad is not None
            assert torch.isfinite(logits.grad).all()
            assert logits.grad.abs().sum() > 0
            assert all(np.isfinite(value) for value in loss.state().values())

    def test_sums_add_up(self) -> None:
        """Two halves of a batch give its sum and its count, so that several devices agree with one."""
        whole, count = self._value(_logits(), slice(None))
        parts = [self._value(_logits(), part) for part in (slice(0, 3), slice(3, 5))]
        assert sum(total for total, _ in parts) == pytest.approx(whole, rel=1e-5)
        assert sum(number for _, number in parts) == pytest.approx(count)

    def test_falls_when_the_right_token_rises(self) -> None:
        """More weight on the right tokens is never worse, and better somewhere."""
        before, _ = self._value(_logits(), slice(None))
        raised = _logits().detach()
        raised[range(len(_LABELS)), _LABELS] += 1.0
        after, _ = self._value(raised, slice(None))
        assert after < before

    def test_gradient_matches_finite_differences(self) -> None:
        """Central differences along random directions (logits may pass through fp32, hence the tolerance)."""
        import torch

        logits = _logits()
        total, _ = self.make()(tiny_answers(logits, _ALLOWED, _LABELS, _ROWS))
        (gradient,) = torch.autograd.grad(total, logits)
        step = 1e-2
        for seed in range(4):
            direction = torch.randn(logits.shape, generator=torch.Generator().manual_seed(seed), dtype=logits.dtype)
            high, _ = self._value((logits + step * direction).detach(), slice(None))
            low, _ = self._value((logits - step * direction).detach(), slice(None))
            measured = (high - low) / (2 * step)
            scale = float(gradient.norm() * direction.norm())
            assert measured == pytest.approx(float((gradient * direction).sum()), abs=2e-3 * scale)

    def test_order_of_positions_does_not_matter(self) -> None:
        """The batch is a set of positions."""
        order = [3, 4, 0, 1, 2]
        before, count = self._value(_logits(), slice(None))
        batch = tiny_answers(
            _logits()[order], [_ALLOWED[i] for i in order], [_LABELS[i] for i in order], [_ROWS[i] for i in order]
        )
        after, again = self.make()(batch)
        assert float(after.detach()) == pytest.approx(before, rel=1e-5)
        assert float(again) == float(count)

    def test_extreme_logits_stay_finite(self) -> None:
        """No overflow where a model is very sure."""
        import torch

        logits = (_logits().detach() * 1e3).requires_grad_()
        total, _ = self.make()(tiny_answers(logits, _ALLOWED, _LABELS, _ROWS))
        (gradient,) = torch.autograd.grad(total, logits)
        assert torch.isfinite(total)
        assert torch.isfinite(gradient).all()

    def test_empty_batch(self) -> None:
        """No position at all: nothing to add, but still part of the graph."""
        import torch

        logits = torch.zeros(0, _VOCABULARY, requires_grad=True)
        total, count = self.make()(tiny_answers(logits, [], [], [], training=True))
        assert float(total.detach()) == 0
        assert float(count) == 0
        torch.autograd.grad(total, logits, allow_unused=True)

    def test_forced_positions(self) -> None:
        """Only one valid token everywhere: finite, in the graph, and free where the loss says so."""
        import torch

        logits = _logits()
        total, _ = self.make()(tiny_answers(logits, [[label] for label in _LABELS], _LABELS, _ROWS, training=True))
        (gradient,) = torch.autograd.grad(total, logits)
        assert torch.isfinite(total)
        assert torch.isfinite(gradient).all()
        if self.forced_is_free:
            assert float(total.detach()) == 0
            assert not gradient.any()

    def test_trains_a_language_model(self) -> None:
        """Twenty steps on one batch through the bench's own forward lower the loss."""
        import torch

        from recbench.training.answers import AnswerModel
        from recbench.training.text import Examples, collator

        split = tiny_split()
        model = tiny_text_model(split)
        examples = Examples(model, split.train)
        batch = collator(model.encoder.tokenizer.pad_token_id)([examples[i] for i in range(16)])
        module = AnswerModel(model.lm, model.decoder, model.head, self.make(), model.encoder.trie)
        optimizer = torch.optim.AdamW(module.parameters(), lr=1e-2)
        values = []
        for _ in range(20):
            loss = module(**batch)["loss"]
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            values.append(float(loss.detach()))
        assert np.mean(values[-3:]) < 0.9 * values[0], f"the loss went from {values[0]:.3f} to {values[-1]:.3f}"

    def _value(self, logits: torch.Tensor, part: slice) -> tuple[float, float]:
        total, count = self.make()(tiny_answers(logits[part], _ALLOWED[part], _LABELS[part], _ROWS[part]))
        return float(total.detach()), float(count)


def _logits() -> torch.Tensor:
    import torch

    draws = torch.randn(len(_LABELS), _VOCABULARY, generator=torch.Generator().manual_seed(7), dtype=torch.float64)
    return draws.mul_(2).requires_grad_()


# ---- backbones ------------------------------------------------------------------------------------------------


class BackboneTests(_Contract):
    """What both kinds of backbone keep; subclass one of the two below."""

    kind = "backbone"

    def test_defaults_exist(self) -> None:
        """The loss and the decoder it uses by itself are installed and fit."""
        for kind, name in (("loss", self.plugin.default_loss), ("decoder", self.plugin.default_decoder)):
            if name:
                assert registry.get(kind, name).signal == self.plugin.signal
        assert self.plugin.default_decoder, "a backbone names a default decoder"
        for role, name in self.plugin.requires.items():
            assert registry.get("backbone", name).signal == "scores", f"{role} must be a backbone that scores items"


class TextBackboneTests(BackboneTests):
    """A backbone whose language model writes the next title."""

    signal = "text"

    def make(self, *arguments: Any) -> TextBackbone[Any]:
        """A fresh backbone, with a stand-in for the collaborative model where it requires one."""
        collaborative = RandomScores(len(tiny_split().catalog)) if self.plugin.requires else None
        backbone: TextBackbone[Any] = super().make(*(arguments or (collaborative,)))
        return backbone

    @pytest.mark.parametrize("items", [[3], [0, 7, 2, 7]])
    @pytest.mark.parametrize("words", ["titles", "paper"])
    def test_prompt(self, items: list[int], words: str) -> None:
        """Every title stands in the prompt, oldest first; a collaborative token is an item of the history."""
        from recbench.prompts.templates import template

        found = template(words, "items")
        titles = [found.quote(tiny_split().catalog.titles[i]) for i in items]
        pieces = self.make().prompt(titles, items, found)
        assert pieces == self.make().prompt(titles, items, found), "the same history must give the same prompt"
        text = "".join(piece if isinstance(piece, str) else "\0" for piece in pieces)
        place = 0
        for title in titles:
            place = text.find(title, place) + len(title)
            assert place >= len(title), f"{title!r} is missing from the prompt, or out of order: {text!r}"
        shown = [piece for piece in pieces if isinstance(piece, int)]
        assert set(shown) <= set(items), f"collaborative tokens of items that are not in the history: {shown}"
        if shown:
            assert self.make().collaborative is not None, "a prompt with collaborative tokens requires such a model"

    def test_projector(self) -> None:
        """Maps collaborative vectors to the language model's width, and can be trained."""
        import torch

        backbone = self.make()
        if backbone.item_vectors() is not None:
            module = backbone.projector(8, 32)
            assert module(torch.zeros(3, 8)).shape == (3, 32)
            assert any(parameter.requires_grad for parameter in module.parameters())

    def test_curriculum_decides_every_step(self) -> None:
        """``hybrid`` answers yes or no for each step and draw."""
        backbone = self.make()
        answers = {backbone.hybrid(step, 12, 3, draw) for step in range(12) for draw in (0.0, 0.5, 0.999)}
        assert answers <= {True, False}

    def test_gradients_reach_every_trained_parameter(self) -> None:
        """Prompt, model and loss fit together, with collaborative tokens shown and hidden."""
        import torch

        from recbench.training.text import Examples, collator

        split = tiny_split()
        model = tiny_text_model(split, self.make())
        examples = Examples(model, split.train)
        batch = collator(model.encoder.tokenizer.pad_token_id)([examples[i] for i in range(8)])
        for shown in (True, False):
            model.lm.zero_grad()
            if model.collaborative is not None:
                model.collaborative.hybrid = shown
            hidden = model.decoder(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"])[0]
            keep = batch["labels"][:, 1:] != -100
            torch.nn.functional.cross_entropy(model.head(hidden[:, :-1][keep]), batch["labels"][:, 1:][keep]).backward()
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
            found = np.argsort(-model.scores(split.valid), axis=1, kind="stable")[:, :10]
            return float((found == split.valid.target[:, None]).any(axis=1).mean())

        report = model.fit(split, Fit(self.budget, seed, "cpu", 1, validate, SilentReporter()))
        if self.plugin.default_loss:
            assert report.steps > 0
            assert 1 <= report.best_epoch <= self.budget.epochs
            assert len(report.validation) == report.epochs
        return model

    def test_scores(self, split: Split, model: ScoringBackbone[Any]) -> None:
        """[N, items], finite, the same for the same case at every call and in every batch."""
        scores = model.scores(split.test)
        assert scores.shape == (len(split.test), len(split.catalog))
        assert scores.dtype == np.float32
        assert np.isfinite(scores).all()
        assert np.array_equal(scores, model.scores(split.test)), "scores change from call to call: is dropout on?"
        alone = model.scores(split.test.take(np.array([1])))
        np.testing.assert_allclose(alone[0], scores[1], rtol=1e-4, atol=1e-5)

    def test_state_restores_the_model(self, split: Split, model: ScoringBackbone[Any]) -> None:
        """A new instance given the state is the same model, bit for bit."""
        state = {name: np.array(value) for name, value in model.state().items()}
        again: ScoringBackbone[Any] = self.make()
        again.restore(split, state)
        assert np.array_equal(again.scores(split.test), model.scores(split.test))

    def test_same_seed_same_model(self, split: Split, model: ScoringBackbone[Any]) -> None:
        """The seed alone decides, also after other randomness was used up."""
        from recbench.seeds import seed_everything

        seed_everything(99, "something else")
        assert np.array_equal(self.trained(split, 1).scores(split.test), model.scores(split.test))

    def test_seed_matters_as_declared(self, split: Split, model: ScoringBackbone[Any]) -> None:
        """``seeded`` tells the truth."""
        same = np.array_equal(self.trained(split, 2).scores(split.test), model.scores(split.test))
        found = "agree" if same else "differ"
        assert same != self.plugin.seeded, f"seeded={self.plugin.seeded}, but seeds 1 and 2 {found}"


# ---- decoders -------------------------------------------------------------------------------------------------


class DecoderTests(_Contract):
    """What both kinds of decoder keep; subclass one of the two below."""

    kind = "decoder"
    tolerance: ClassVar[float] = 1e-4
    """How far a score may move when a case is decoded among others."""

    def model(self) -> Any:
        """What is decoded."""
        raise NotImplementedError

    def rank(self, cases: Sequences, depth: int = 10, exclude_history: bool = False) -> Ranking:
        """Rank with a fresh decoder."""
        decoder: Decoder[Any] = self.make()
        return decoder.rank(self.model(), cases, depth, exclude_history, SilentReporter())

    @pytest.mark.parametrize("depth", [1, 10])
    @pytest.mark.parametrize("exclude_history", [False, True])
    def test_ranking(self, depth: int, exclude_history: bool) -> None:
        """Distinct items, best first, ``PAD`` only at the end and with a score of -inf, history left out if asked."""
        split = tiny_split()
        found = self.rank(split.test, depth, exclude_history)
        assert found.items.shape == found.scores.shape == (len(split.test), depth)
        assert (found.items != PAD).any(), "nothing was recommended at all"
        for row, (items, scores) in enumerate(zip(found.items, found.scores, strict=True)):
            kept = items[items != PAD]
            assert (items[: len(kept)] == kept).all(), "an empty place stands before an item"
            assert np.isneginf(scores[len(kept) :]).all()
            assert len(set(kept.tolist())) == len(kept), f"an item is recommended twice: {items}"
            assert ((kept >= 0) & (kept < len(split.catalog))).all()
            best = scores[: len(kept)]
            assert not np.isnan(best).any()
            assert (best[1:] <= best[:-1]).all(), f"scores do not descend: {scores}"
            if exclude_history:
                assert not set(kept.tolist()) & set(split.test.history[row].tolist())
        if found.invalid_share is not None:
            assert 0 <= found.invalid_share <= 1

    def test_repeats(self) -> None:
        """The same call gives the same bits."""
        first, second = (self.rank(tiny_split().test) for _ in range(2))
        assert np.array_equal(first.items, second.items)
        assert np.array_equal(first.scores, second.scores)

    def test_order_of_cases_does_not_matter(self) -> None:
        """A case's ranking is its own: neighbours in the batch, or their absence, move scores by rounding only."""
        cases = tiny_split().test
        whole = self.rank(cases)
        order = np.random.default_rng(3).permutation(len(cases))
        self._agree(whole, self.rank(cases.take(order)), order)
        self._agree(whole, self.rank(cases.take(order[:1])), order[:1])

    def _agree(self, whole: Ranking, part: Ranking, order: npt.NDArray[Any]) -> None:
        """Scores agree; items may swap where two scores are as near as rounding."""
        scores = whole.scores[order].astype(np.float64)
        np.testing.assert_allclose(part.scores, scores, rtol=0, atol=self.tolerance)
        gap = np.full((len(scores), scores.shape[1] + 1), np.inf)
        with np.errstate(invalid="ignore"):
            gap[:, 1:-1] = scores[:, :-1] - scores[:, 1:]
        gap[:, -1] = 0  # the item that just missed the list is unknown
        clear = (gap[:, 1:] > 2 * self.tolerance) & (gap[:, :-1] > 2 * self.tolerance)
        assert np.array_equal(part.items[clear], whole.items[order][clear])


class TextDecoderTests(DecoderTests):
    """A decoder of language models, on a tiny random one."""

    signal = "text"

    def model(self) -> TextModel:
        """A tiny random Llama."""
        return _shared_text_model()


class ScoringDecoderTests(DecoderTests):
    """A decoder of item scores."""

    signal = "scores"

    def model(self) -> ScoringBackbone[Any]:
        """Random but fixed scores."""
        return RandomScores(len(tiny_split().catalog))


@cache
def _shared_text_model() -> TextModel:
    return tiny_text_model()


__all__ = [
    "BackboneTests",
    "DecoderTests",
    "LossTests",
    "RandomScores",
    "ScoringBackboneTests",
    "ScoringDecoderTests",
    "TextBackboneTests",
    "TextDecoderTests",
    "TitlesOnly",
    "tiny_answers",
    "tiny_split",
    "tiny_text_model",
]
