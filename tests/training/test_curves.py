"""What a training says of its course: lines that are stored with it, and the same as curves for TensorBoard."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from recbench import planning, registry
from recbench.errors import RecbenchError, UsageError
from recbench.interfaces import Curves, Fit, FitReport, Score, SilentReporter, TrainOptions
from recbench.spec.request import Request
from recbench.steps.artefacts import LOG, load_report, save_model
from recbench.steps.graph import graph
from recbench.testing import tiny_split, tiny_text_model
from recbench.training.curves import places
from recbench.training.preference import prefer
from recbench.training.text import tune

SPLIT = tiny_split()
BUDGET = TrainOptions(epochs=2, batch_size=8, learning_rate=1e-2, schedule="cosine", warmup_steps=2)


class Log(SilentReporter):
    def __init__(self) -> None:
        self.said: list[str] = []

    def message(self, text: str) -> None:
        self.said.append(text)


def plan(folder: Path | None, log: Any = None, validates: bool = True) -> Fit:
    scores = iter([Score(0.25, 0.03), Score(0.5)])
    curves = None if folder is None else Curves(("tensorboard",), folder / "tuned-0123")
    validate = (lambda: next(scores)) if validates else None
    return Fit(BUDGET, 3, "cpu", 1, validate, log or Log(), curves=curves)


def tuned(fit: Fit) -> FitReport:
    torch.manual_seed(0)
    plugin = registry.get("loss", "msl")
    model = tiny_text_model(SPLIT)
    return tune(model, plugin.implementation(plugin.options()), SPLIT.train, fit, model.encoder.backbone, "fp32")


def preferred(fit: Fit) -> FitReport:
    torch.manual_seed(0)
    plugin = registry.get("loss", "sdpo")
    loss = plugin.implementation(plugin.options(negatives=2))
    return prefer(tiny_text_model(SPLIT), loss, SPLIT.train, fit, "fp32")


def test_lines() -> None:
    report = tuned(plan(None))
    losses = [line for line in report.log if "loss" in line]
    assert [(line["step"], line["loss"]) for line in losses] == list(report.losses)
    assert losses[-1].keys() == {
        "step", "epoch", "loss", "learning_rate", "tau", "tau_estimate", "tau_clamped", "eta_unreached",
    }  # fmt: skip
    assert losses[-1]["tau"] == report.watched["tau"]
    assert [line for line in report.log if "validation" in line] == [
        {"step": 6, "epoch": 1.0, "validation": 0.25, "validation_error": 0.03},
        {"step": 12, "epoch": 2.0, "validation": 0.5, "validation_error": None},
    ]
    assert [line["step"] for line in report.log] == sorted(line["step"] for line in report.log)
    assert not [line for line in tuned(plan(None, validates=False)).log if "validation" in line]


@pytest.mark.parametrize("training", [tuned, preferred])
def test_tensorboard_reads_what_the_lines_say(training: Any, tmp_path: Path) -> None:
    before, log = dict(os.environ), Log()
    report = training(plan(tmp_path, log))
    assert dict(os.environ) == before
    assert log.said[0] == f"curves for tensorboard go to {tmp_path / 'tuned-0123'}"
    assert report.log == training(plan(None)).log
    events = EventAccumulator(str(tmp_path / "tuned-0123")).Reload()
    names = {"validation": "eval/ndcg@10", "validation_error": "eval/ndcg@10_error"}
    known = {name for line in report.log for name in line} - {"step", "epoch"}
    for name in known:
        read = [(event.step, event.value) for event in events.Scalars(names.get(name, f"train/{name}"))]
        said = [(line["step"], line[name]) for line in report.log if line.get(name) is not None]
        assert [step for step, _ in read] == [step for step, _ in said]
        for (_, one), (_, other) in zip(read, said, strict=True):
            assert one == np.float32(other)
    assert {"loss", "learning_rate", "validation", "validation_error"} <= known


def test_lines_are_stored_with_the_model(tmp_path: Path) -> None:
    report = FitReport(steps=1, log=({"step": 1, "epoch": 0.5, "loss": 0.1}, {"step": 2, "epoch": 1.0, "tau": None}))
    save_model(tmp_path, {"x": np.zeros(1)}, report, "cpu")
    assert [json.loads(line) for line in (tmp_path / LOG).read_text().splitlines()] == list(report.log)
    assert replace(load_report(tmp_path), peak_memory_bytes=0) == replace(report, log=())


def planned(to: Any) -> planning.Plan:
    options = {} if to is None else {"train": {"report_to": to}}
    return planning.plan(Request(model="sasrec", dataset="ml-100k", device="cpu", options=options))


def test_curves_are_part_of_no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(planning, "find_spec", lambda name: type("Found", (), {"origin": name}))
    monkeypatch.setattr(planning, "measured", lambda dataset: dataset)
    found = [planned(to) for to in (None, "none", "tensorboard", ["wandb", "mlflow"])]
    assert [p.spec.recommender.train.report_to for p in found] == [(), (), ("tensorboard",), ("wandb", "mlflow")]
    assert len({p.spec.spec_hash() for p in found}) == 1
    assert len({graph(p.spec, 1).model.folder for p in found}) == 1
    with pytest.raises(UsageError, match=r"train\.report_to='paper' is not valid"):
        planned("paper")


def test_a_tracker_that_refuses_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    refusal = type("Refusal", (Exception,), {"__module__": "tensorboard.somewhere"})
    with pytest.raises(RecbenchError, match=r"^train\.report_to=tensorboard failed: no key$"), places(plan(tmp_path)):
        raise refusal("no key")
    with pytest.raises(KeyError), places(plan(tmp_path)):
        raise KeyError


@pytest.mark.parametrize("found", [None, type("Folder", (), {"origin": None})])
def test_a_missing_package_is_one_sentence(found: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(planning, "find_spec", lambda name: found)
    monkeypatch.setattr(planning, "measured", lambda dataset: dataset)
    with pytest.raises(UsageError) as refusal:
        planned("wandb")
    assert str(refusal.value) == "train.report_to=wandb: the package is not installed; pip install wandb."
    assert refusal.value.exit_code == 2
