"""The contract of losses."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import numpy.typing as npt
import pytest

from recbench.interfaces import Loss, ScoringLoss
from recbench.testing.contract import Contract
from recbench.testing.data import tiny_split
from recbench.testing.models import tiny_answers, tiny_text_model

if TYPE_CHECKING:
    import torch

    from recbench.training.scores import ScoreBatch

_VOCABULARY = 7
_ALLOWED = [[0, 2, 3, 6], [1, 4], [5], [0, 2, 3, 6], [0, 1, 3, 4, 5]]
_LABELS = [2, 4, 5, 6, 0]
_ROWS = [0, 0, 0, 1, 1]


class LossTests(Contract):
    """A loss for models that write titles."""

    kind = "loss"
    signal = "text"
    forced_is_free: ClassVar[bool] = False
    """Whether a position with one valid token has no loss and no gradient (MSL); ``choices`` demands it."""

    def make(self, *arguments: Any) -> Loss[Any]:
        """A fresh loss; the global generator is seeded, for losses that sample."""
        from recbench.seeds.everything import seed_everything

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
        if self.forced_is_free or self.make().positions == "choices":
            assert float(total.detach()) == 0
            assert not gradient.any()

    def test_trains_a_language_model(self) -> None:
        """Twenty steps on one batch through the bench's own forward lower the loss."""
        values, _ = self._trained(20)
        assert np.mean(values[-3:]) < 0.9 * values[0], f"the loss went from {values[0]:.3f} to {values[-1]:.3f}"

    def test_same_seed_same_training(self) -> None:
        """Trained twice from one seed, losses and weights agree bit for bit."""
        (first, weights), (second, again) = self._trained(3), self._trained(3)
        assert first == second, f"the losses of two trainings from one seed are {first} and {second}"
        assert all(np.array_equal(weights[name], again[name]) for name in weights)

    def _trained(self, steps: int) -> tuple[list[float], dict[str, npt.NDArray]]:
        """The loss of each step on one batch, and the parameters behind the last."""
        import torch

        from recbench.training.answers import AnswerModel
        from recbench.training.text import Examples, collate

        split = tiny_split()
        model = tiny_text_model(split)
        examples = Examples(model, split.train)
        batch = collate([examples[i] for i in range(16)])
        module = AnswerModel(model, self.make())
        optimizer = torch.optim.AdamW(module.parameters(), lr=1e-2)
        values = []
        for _ in range(steps):
            loss = module(batch)["loss"]
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            values.append(float(loss.detach()))
        return values, {name: tensor.numpy() for name, tensor in model.trainable().items()}

    def _value(self, logits: torch.Tensor, part: slice) -> tuple[float, float]:
        total, count = self.make()(tiny_answers(logits[part], _ALLOWED[part], _LABELS[part], _ROWS[part]))
        return float(total.detach()), float(count)


def _logits() -> torch.Tensor:
    import torch

    draws = torch.randn(len(_LABELS), _VOCABULARY, generator=torch.Generator().manual_seed(7), dtype=torch.float64)
    return draws.mul_(2).requires_grad_()


class ScoringLossTests(Contract):
    """A loss for models that score items. A loss that samples draws from the seeded global generator."""

    kind = "loss"
    signal = "scores"

    def value(self, batch: ScoreBatch, seed: int = 0) -> tuple[torch.Tensor, float]:
        """The sum and the count of a fresh loss; ``seed`` is that of the global generator."""
        from recbench.seeds.everything import seed_everything

        loss: ScoringLoss[Any] = self.make()
        seed_everything(seed, "scoring loss contract")
        total, count = loss(batch)
        return total, float(count)

    def test_returns_a_sum_and_a_count(self) -> None:
        """A scalar sum with a finite gradient for histories and items, and the number to divide it by."""
        import torch

        batch = _scored()
        total, count = self.value(batch)
        assert total.shape == (), f"the sum has shape {tuple(total.shape)}, where a scalar is needed"
        assert count > 0
        total.backward()
        for tensor in (batch.states, batch.items, batch.bias):
            assert tensor is not None
            assert tensor.grad is not None
            assert torch.isfinite(tensor.grad).all()
            assert tensor.grad.abs().sum() > 0

    def test_same_seed_same_loss(self) -> None:
        """Called twice with one seed, sum and gradient agree bit for bit."""
        import torch

        found = []
        for _ in range(2):
            batch = _scored()
            total, _ = self.value(batch)
            found.append((total.detach(), *torch.autograd.grad(total, [batch.states, batch.items])))
        assert all(map(torch.equal, *found))

    def test_sums_add_up(self) -> None:
        """A batch has half the count of the same batch repeated twice and, whatever was drawn, half its mean sum."""
        once, twice = _scored(), _scored(repeat=2)
        count = self.value(once)[1]
        assert self.value(twice)[1] == pytest.approx(2 * count)
        draws = range(200)
        single = np.mean([float(self.value(once, seed)[0].detach()) for seed in draws])
        double = np.mean([float(self.value(twice, seed)[0].detach()) for seed in draws])
        assert double == pytest.approx(2 * single, rel=0.05)

    def test_gradient_matches_finite_differences(self) -> None:
        """Central differences along random directions, in double precision."""
        import torch

        batch = _scored()
        gradient = torch.autograd.grad(self.value(batch)[0], [batch.states, batch.items])
        step = 1e-5
        for seed in range(4):
            random = torch.Generator().manual_seed(seed)
            moves = [torch.randn(t.shape, generator=random, dtype=t.dtype) for t in (batch.states, batch.items)]
            high, low = (
                float(self.value(_scored(move=(sign * step * moves[0], sign * step * moves[1])))[0].detach())
                for sign in (1, -1)
            )
            expected = sum(float((g * m).sum()) for g, m in zip(gradient, moves, strict=True))
            assert (high - low) / (2 * step) == pytest.approx(expected, rel=1e-5, abs=1e-7)

    def test_falls_when_the_target_rises(self) -> None:
        """A higher score of each target is better."""
        import torch

        batch = _scored()
        before = float(self.value(batch)[0].detach())
        raised = _scored(raise_target=1.0)
        after = float(self.value(raised)[0].detach())
        assert torch.equal(raised.target, batch.target)
        assert after < before

    def test_extreme_scores_stay_finite(self) -> None:
        """No overflow where a model is very sure."""
        import torch

        batch = _scored(scale=1e4)
        total, _ = self.value(batch)
        assert torch.isfinite(total)
        for gradient in torch.autograd.grad(total, [batch.states, batch.items]):
            assert torch.isfinite(gradient).all()

    def test_empty_batch(self) -> None:
        """No prediction at all: nothing to add, but still part of the graph."""
        import torch

        batch = _scored(repeat=0)
        total, count = self.value(batch)
        assert float(total.detach()) == 0
        assert count == 0
        torch.autograd.grad(total, batch.items, allow_unused=True)


def _scored(
    repeat: int = 1,
    scale: float = 1.0,
    raise_target: float = 0.0,
    move: tuple[torch.Tensor, torch.Tensor] | None = None,
) -> ScoreBatch:
    """Five predictions over seven items, in double precision.

    Item i also stands alone in dimension 3 + i, where a history holds by how much its target is to be raised.
    """
    import torch

    from recbench.training.scores import ScoreBatch

    random = torch.Generator().manual_seed(11)
    states = torch.randn(5, 3, generator=random, dtype=torch.float64) * scale
    items = torch.cat([torch.randn(7, 3, generator=random, dtype=torch.float64), torch.eye(7, dtype=torch.float64)], 1)
    bias = torch.randn(7, generator=random, dtype=torch.float64)
    target = torch.tensor([2, 4, 5, 6, 0])
    states = torch.cat([states, raise_target * torch.eye(7, dtype=torch.float64)[target]], 1)
    if move is not None:
        states, items = states + move[0], items + move[1]
    return ScoreBatch(
        states.repeat(repeat, 1).requires_grad_(), items.requires_grad_(), target.repeat(repeat), bias.requires_grad_()
    )
