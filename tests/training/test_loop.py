"""The loop keeps the epoch that validation chose, stops when told to, and orders batches without losing any."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from recbench.errors import RecbenchError
from recbench.interfaces import Fit, SilentReporter, TrainOptions
from recbench.training import devices
from recbench.training.loop import fit
from recbench.training.order import LikeLengths
from recbench.training.schedule import llara_schedule


class Line(nn.Module):
    """Learns the mean of its examples."""

    def __init__(self) -> None:
        super().__init__()
        self.value = nn.Parameter(torch.zeros(()))

    def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        return {"loss": (x - self.value).square().mean()}


def train(scores: list[float], **budget: Any) -> tuple[Line, list[float], Any]:
    """Train for ``len(scores)`` epochs whose validation scores are given; also the value after each epoch."""
    module, values, left = Line(), [], list(scores)

    def validate() -> float:
        assert not module.training  # dropout is off while validating
        values.append(float(module.value))
        return left.pop(0)

    options = TrainOptions(**{"epochs": len(scores), "batch_size": 4, "learning_rate": 0.1, **budget})
    plan = Fit(options, 3, "cpu", 1, validate, SilentReporter())
    data = [torch.tensor(1.0)] * 8
    return module, values, fit(module, data, lambda rows: {"x": torch.stack(rows)}, plan, purpose="test")


def test_a_training_without_a_budget_says_what_to_declare() -> None:
    plan = Fit(None, 3, "cpu", 1, None, SilentReporter())
    with pytest.raises(RecbenchError, match=r"no budget: .* declares trained=True or a default_loss"):
        fit(Line(), [torch.tensor(1.0)], lambda rows: {"x": torch.stack(rows)}, plan, purpose="test")


def test_the_best_epoch_is_kept() -> None:
    module, values, report = train([0.1, 0.3, 0.2])
    assert report.best_epoch == 2
    assert report.validation == (0.1, 0.3, 0.2)
    assert report.steps == 6
    assert float(module.value) == values[1] != values[2]


def test_equal_scores_keep_the_earlier_epoch() -> None:
    assert train([0.2, 0.2])[2].best_epoch == 1


def test_patience_stops() -> None:
    _, values, report = train([0.3, 0.2, 0.1, 0.9], patience=2)
    assert (len(values), report.best_epoch, report.epochs) == (3, 1, 3)


@pytest.mark.parametrize("clip", [0.0, 1.0])
def test_a_training_that_diverges_is_an_error(clip: float) -> None:
    with pytest.raises(RecbenchError, match=r"gradient is not finite at step \d+ of 40: lower train.learning_rate"):
        train([0.1] * 20, learning_rate=1e38, gradient_clip=clip, weight_decay=1e38)


class Spoilt(Line):
    """Something is not finite at one step, counted from 1: the loss, the gradient, or the weight after it."""

    def __init__(self, what: str, step: int) -> None:
        super().__init__()
        self.what, self.step, self.done = what, step, 0
        self.idle = nn.Parameter(torch.zeros(()))  # takes no part in the loss

    def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        self.done += 1
        loss = super().forward(x)["loss"]
        if self.done == self.step and self.what == "loss":
            loss = loss + float("inf")
        elif self.done == self.step and self.what == "gradient":
            self.value.register_hook(lambda grad: grad * float("nan"))
        elif self.done == self.step:
            self.idle.data.fill_(float("inf"))
        return {"loss": loss}


@pytest.mark.parametrize("what", ["loss", "gradient", "weights"])
@pytest.mark.parametrize("step", [1, 3, 4])
@pytest.mark.parametrize("validated", [True, False])
def test_what_is_not_finite_is_named_with_its_step(what: str, step: int, validated: bool) -> None:
    """Four steps: the first, the first of an epoch, and the last, after which nothing is computed any more."""
    module = Spoilt(what, step)
    options = TrainOptions(epochs=2, batch_size=4, learning_rate=0.1, schedule="constant")
    plan = Fit(options, 3, "cpu", 1, (lambda: 0.5) if validated else None, SilentReporter())
    after = 2 * -(-step // 2)  # weights are looked at when an epoch ends
    said = {"weights": f"weights .idle. are not finite after step {after}"}.get(what, f"{what} is .* at step {step}")
    with pytest.raises(RecbenchError, match=said):
        fit(module, [torch.tensor(1.0)] * 8, lambda rows: {"x": torch.stack(rows)}, plan, purpose="test")


def test_short_trainings_keep_losses_too() -> None:
    _, _, report = train([0.1] * 5)  # ten steps
    assert [step for step, _ in report.losses] == [2, 4, 6, 8, 10]
    _, _, report = train([0.1] * 60)
    assert [step for step, _ in report.losses] == [20, 40, 60, 80, 100, 120]


@pytest.mark.parametrize(("warmup", "said"), [(3, ""), (4, "as long as"), (50, "longer than")])
def test_a_warm_up_that_never_ends_is_told(warmup: int, said: str) -> None:
    told: list[str] = []

    class Log(SilentReporter):
        def message(self, text: str) -> None:
            told.append(text)

    options = TrainOptions(epochs=2, batch_size=4, learning_rate=0.1, warmup_steps=warmup)
    plan = Fit(options, 3, "cpu", 1, None, Log())
    fit(Line(), [torch.tensor(1.0)] * 8, lambda rows: {"x": torch.stack(rows)}, plan, purpose="test")
    assert [f"the warm-up of {warmup} steps is {said} the training (4 steps)" in text for text in told] == [
        True
    ] * bool(said)


@pytest.mark.parametrize(
    ("patience", "examples", "told"), [(1, 8, True), (1, 1200, False), (0, 8, False), (2, 8, False)]
)
def test_a_patience_of_few_steps_is_told(patience: int, examples: int, told: bool) -> None:
    """An epoch of a small data set is a few steps: models on Toy and Book were stopped while they learned."""
    log: list[str] = []

    class Log(SilentReporter):
        def message(self, text: str) -> None:
            log.append(text)

    options = TrainOptions(epochs=2, batch_size=4, learning_rate=0.1, patience=patience)
    plan = Fit(options, 3, "cpu", 1, lambda: 0.5, Log())
    fit(Line(), [torch.tensor(1.0)] * examples, lambda rows: {"x": torch.stack(rows)}, plan, purpose="test")
    assert [text for text in log if "only 2 steps here" in text] == [text for text in log if "patience" in text]
    assert any("train.patience" in text for text in log) == told


@given(st.lists(st.integers(1, 50), min_size=1, max_size=300), st.integers(1, 16), st.integers(0, 9))
@settings(max_examples=40)
def test_each_epoch_is_a_permutation_and_the_same_again(lengths: list[int], batch: int, seed: int) -> None:
    one, other = LikeLengths(lengths, batch, seed), LikeLengths(lengths, batch, seed)
    first, second = list(one), list(one)
    whole = len(lengths) // batch * batch or len(lengths)  # what fills no batch sits the epoch out
    assert len(set(first)) == len(set(second)) == len(first) == len(one) == whole
    assert set(first) <= set(range(len(lengths)))
    assert (list(other), list(other)) == (first, second)


def test_batches_hold_like_lengths() -> None:
    lengths = np.random.default_rng(0).integers(1, 100, 3200)
    order = np.array(list(LikeLengths(lengths.tolist(), 32, 0))).reshape(-1, 32)
    shuffled = np.random.default_rng(1).permutation(3200).reshape(-1, 32)
    assert np.ptp(lengths[order], axis=1).mean() < 0.1 * np.ptp(lengths[shuffled], axis=1).mean()


@pytest.mark.parametrize(("step", "expected"), [(25, 4.04e-4), (49, 7.8416e-4), (50, 7.95125e-4), (500, 4.04e-4)])
def test_llaras_learning_rate(step: int, expected: float) -> None:
    """The numbers of its public code, for 1,000 steps up to 8e-4."""
    assert 8e-4 * llara_schedule(1000)(step) == pytest.approx(expected, rel=1e-5)
    assert 8e-4 * llara_schedule(1000)(1000) == pytest.approx(8e-6)


def rates(**budget: Any) -> list[float]:
    """The learning rate in force at each of 20 steps."""
    module, found = Line(), []
    options = TrainOptions(**{"epochs": 10, "batch_size": 4, "learning_rate": 0.1, **budget})
    before = torch.optim.AdamW.step

    def step(self: Any, *args: Any, **kwargs: Any) -> Any:
        found.append(float(self.param_groups[0]["lr"]))
        return before(self, *args, **kwargs)

    torch.optim.AdamW.step = step
    try:
        plan = Fit(options, 3, "cpu", 1, None, SilentReporter())
        fit(module, [torch.tensor(1.0)] * 8, lambda rows: {"x": torch.stack(rows)}, plan, purpose="test")
    finally:
        torch.optim.AdamW.step = before
    return found


def test_schedules_reach_the_optimiser() -> None:
    assert rates(schedule="constant") == pytest.approx([0.1] * 20)
    warm = rates(schedule="constant", warmup_share=0.25)
    assert warm[:6] == pytest.approx([0.0, 0.02, 0.04, 0.06, 0.08, 0.1])
    assert rates(schedule="constant", warmup_steps=5) == pytest.approx(warm)
    linear = rates(schedule="linear")
    assert linear[10] == pytest.approx(0.05)
    cosine = rates(schedule="cosine", warmup_steps=2)
    assert cosine[11] == pytest.approx(0.05)
    own = rates(schedule="llara")
    assert own[0] == pytest.approx(0.001)
    assert own[10] == pytest.approx(0.0505)


def test_without_validation_the_last_epoch_stays() -> None:
    module = Line()
    options = TrainOptions(epochs=3, batch_size=4, learning_rate=0.1, schedule="constant")
    plan = Fit(options, 3, "cpu", 1, None, SilentReporter())
    report = fit(module, [torch.tensor(1.0)] * 8, lambda rows: {"x": torch.stack(rows)}, plan, purpose="test")
    assert (report.epochs, report.best_epoch, report.validation, report.steps) == (3, 3, (), 6)
    assert float(module.value) > 0.4  # six AdamW steps of 0.1


def test_processes_draw_apart_from_one_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    """And their generators stay alike, so that what they draw next is the same again."""
    found, after = [], []
    monkeypatch.setattr(devices, "processes", lambda: 3)
    for rank in range(3):
        monkeypatch.setattr(devices, "process", lambda rank=rank: rank)
        torch.manual_seed(1)
        found.append(devices.own_uniform(5, torch.device("cpu")))
        after.append(float(torch.rand(())))
    assert len({float(value) for draws in found for value in draws}) == 15
    assert len(set(after)) == 1
