"""The temperature of the epoch that validation chose goes with the model: into its report, the store and the record."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import recbench
from recbench.errors import RecbenchError
from recbench.interfaces import Fit, Options, SilentReporter, TrainOptions
from recbench.testing import tiny_split, tiny_text_model
from recbench.training.text import tune
from recbench_plugins.backbones.bigrec import BIGRec
from recbench_plugins.losses.lml import LML, LMLOptions
from recbench_plugins.losses.msl import MSL, MSLOptions
from title_scores import brute_force

SPLIT = tiny_split()


def tuned(loss: Any, scores: list[float] | None) -> tuple[Any, Any, list[float]]:
    """A model, its report, and the loss's temperature after each epoch."""
    model, seen = tiny_text_model(SPLIT), []

    def validate() -> float:
        seen.append(loss.softmax_temperature)
        assert scores is not None
        return scores[len(seen) - 1]

    budget = TrainOptions(epochs=3, batch_size=8, learning_rate=1e-2)
    plan = Fit(budget, 3, "cpu", 1, None if scores is None else validate, SilentReporter())
    return model, tune(model, loss, SPLIT.train, plan, BIGRec(Options()), "fp32"), seen


def test_the_best_epochs_temperature_is_kept() -> None:
    model, report, seen = tuned(MSL(MSLOptions()), [0.1, 0.3, 0.2])
    assert report.best_epoch == 2
    assert len(set(seen)) == 3
    assert model.trained_at == report.temperature == seen[1]


def test_without_validation_the_last_ones() -> None:
    loss = MSL(MSLOptions())
    model, report, _ = tuned(loss, None)
    assert model.trained_at == report.temperature == loss.tau != 1.5


@pytest.mark.parametrize(
    ("loss", "temperature"),
    [(LML(LMLOptions()), 1.0), (LML(LMLOptions(tau=0.5)), 0.5), (MSL(MSLOptions(tau=2)), 2.0),
     (MSL(MSLOptions(tau="none")), 1.0), (MSL(MSLOptions(scope="token")), 1.0)],
)  # fmt: skip
def test_losses_without_an_adaptive_one(loss: Any, temperature: float) -> None:
    model, report, _ = tuned(loss, [0.1, 0.2, 0.3])
    assert model.trained_at == report.temperature == temperature


class Odd(LML):
    given: Any = 2

    @property
    def softmax_temperature(self) -> Any:
        return self.given


@pytest.mark.parametrize("wrong", [0, -1.0, float("nan"), float("inf"), "tau", None, lambda: 2.0])
def test_a_wrong_temperature_ends_the_training_before_it_begins(wrong: Any) -> None:
    loss = Odd(LMLOptions())
    loss.given = wrong
    with pytest.raises(RecbenchError, match=r"^softmax_temperature of Odd must be a positive number, not "):
        tuned(loss, [])


def test_any_number_will_do() -> None:
    loss = Odd(LMLOptions())
    for number in (2, np.float32(2), torch.tensor(2.0)):
        loss.given = number
        assert type(tuned(loss, [0.1, 0.2, 0.3])[1].temperature) is float


def test_from_the_store_to_scores_and_the_record(tmp_path: Path) -> None:
    """A loaded model ranks and scores at the temperature that its record names."""
    random = np.random.default_rng(0)
    rows = [f"{u},i{i},{9 * s + u},Film {i}" for u in range(20) for s, i in enumerate(random.integers(12, size=9))]
    (tmp_path / "own.csv").write_text("\n".join(["user,item,timestamp,title", *rows]) + "\n")
    found = recbench.run(
        "bigrec", loss="msl", dataset="csv", data_dir=tmp_path / "own.csv", device="cpu", epochs=2, train_samples=64,
        batch_size=8, runs=tmp_path / "runs", progress=False,
        set={"machine": {"threads": 1}, "train": {"learning_rate": 0.02}, "decoder": {"temperature": "loss"},
             "evaluate": {"validation_cases": 8, "cases": 8}},
    )  # fmt: skip
    assert "temperature=loss" in found.record.labels.decoder
    stated = found.record.seeds[0].watched["temperature_of_best_epoch"]
    trained = found.load()
    assert trained.model.trained_at == stated != 1.0
    titles = list(trained.split.catalog.titles)
    history = titles[:3]
    prompt = trained.model.encoder.prompts(trained._cases([history]))[0]
    with torch.inference_mode():
        expected = brute_force(trained.model, prompt, False, stated)
    assert trained.scores([history])[0] == pytest.approx(expected, abs=1e-4)
    for item in trained.recommend([history], k=10)[0]:
        assert item.score == pytest.approx(expected[titles.index(item.title)], abs=1e-4)
