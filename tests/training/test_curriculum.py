"""LLaRA's curriculum in a batch: a draw for each micro-batch of rows."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from recbench.interfaces import TrainOptions
from recbench.testing import RandomScores, tiny_split, tiny_text_model
from recbench.training.answers import AnswerModel
from recbench.training.text import Examples, _curriculum, collate
from recbench_plugins.backbones.llara import LLaRA, LLaRAOptions
from recbench_plugins.losses.lml import LML, LMLOptions

BUDGET = TrainOptions(epochs=2, batch_size=128, learning_rate=1e-3)


def shown(rows: int, step: int, steps: int, seed: int = 0, curriculum: str = "corrected") -> np.ndarray:
    backbone = LLaRA(LLaRAOptions(micro_batch=rows, curriculum=curriculum))
    return _curriculum(backbone, BUDGET, step, steps, np.random.default_rng(seed)).numpy()


def test_eight_rows_share_a_draw() -> None:
    found = shown(8, 50, 100)
    assert found.shape == (128,)
    groups = found.reshape(16, 8)
    assert (groups == groups[:, :1]).all()
    assert 0 < groups[:, 0].sum() < 16
    draws = np.random.default_rng(0).random(16)
    expected = draws < (50 * 16 + np.arange(16)) / (100 * 16)  # the counter is of micro-batches
    assert groups[:, 0].tolist() == expected.tolist()


def test_without_micro_batches_one_draw_decides() -> None:
    """And it is the first of the generator: a backbone without them is trained as it always was."""
    for seed in range(5):
        found = shown(0, 40, 100, seed)
        assert found.all() == (np.random.default_rng(seed).random() < 0.4)
        assert found.all() or not found.any()


@pytest.mark.parametrize("rows", [0, 8, 48])
def test_the_mean_share_is_that_of_the_curriculum(rows: int) -> None:
    """methods.md: .501 over a training, whatever the micro-batch."""
    shares = [shown(rows, step, 400, seed).mean() for step in range(400) for seed in (step, step + 1000)]
    assert np.mean(shares) == pytest.approx(0.501, abs=0.05)
    assert shown(rows, 0, 400, curriculum="none").all()


def test_a_mixed_batch_is_the_sum_of_its_parts() -> None:
    """Rows that show their tokens and rows that do not, in one pass: the loss and gradients of two batches apart."""
    split = tiny_split()
    model = tiny_text_model(split, LLaRA(LLaRAOptions(), RandomScores(len(split.catalog))))
    model.lm.double()
    for buffer in ("vectors", "placeholder"):
        setattr(model.collaborative, buffer, getattr(model.collaborative, buffer).double())
    module = AnswerModel(model, LML(LMLOptions(reduction="title_sum")))
    examples = Examples(model, split.train)
    rows = [examples[i] for i in range(12)]
    module.concealed = torch.arange(12) < 8
    mixed = module(collate(rows))["loss"] * 12
    mixed.backward()
    got = {name: p.grad.clone() for name, p in model.lm.named_parameters() if p.grad is not None}
    model.lm.zero_grad(set_to_none=True)
    module.concealed = None
    total = 0.0
    for hybrid, part in ((False, rows[:8]), (True, rows[8:])):
        model.collaborative.hybrid = hybrid
        loss = module(collate(part))["loss"] * len(part)
        loss.backward()
        total += float(loss.detach())
    assert float(mixed.detach()) == pytest.approx(total, rel=1e-9)
    for name, p in model.lm.named_parameters():
        if p.grad is not None:
            assert torch.allclose(got[name], p.grad, atol=1e-6 * float(p.grad.abs().max())), name
    assert any("projector" in name for name in got)


def test_the_training_sets_every_step(monkeypatch: pytest.MonkeyPatch) -> None:
    """Through ``tune``: batches are mixed, and inference shows every token."""
    from recbench.interfaces import Fit, SilentReporter
    from recbench.training import text

    split, seen = tiny_split(), []
    backbone = LLaRA(LLaRAOptions(micro_batch=2), RandomScores(len(split.catalog)))
    model = tiny_text_model(split, backbone)
    budget = TrainOptions(epochs=2, batch_size=8, learning_rate=1e-3)
    whole = AnswerModel.answers

    def answers(self, ids, **rest):
        concealed = self._shown(ids, rest["lengths"], rest["shared"]) < 0
        every = ids >= model.encoder.vocabulary
        seen.append(1.0 - float(concealed.sum() / every.sum()) if model.collaborative.hybrid else 0.0)
        return whole(self, ids, **rest)

    monkeypatch.setattr(AnswerModel, "answers", answers)
    plan = Fit(budget, 1, "cpu", 1, None, SilentReporter())
    text.tune(model, LML(LMLOptions()), split.train, plan, backbone, "fp32")
    assert len(seen) == 2 * (len(split.train) // 8)
    assert any(0 < share < 1 for share in seen)
    assert np.mean(seen) == pytest.approx(0.5, abs=0.25)
    assert model.collaborative.hybrid is True
