"""An interrupted training that goes on is the uninterrupted one, bit for bit; what cannot be used is ignored."""

from __future__ import annotations

import os
import signal
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from recbench import registry
from recbench.errors import RecbenchError, Stopped
from recbench.interfaces import Checkpoints, Fit, FitReport, Options, Resumable, Score, SilentReporter, TrainOptions
from recbench.testing import RandomScores, tiny_split, tiny_text_model
from recbench.training import checkpoint
from recbench.training.loop import fit
from recbench.training.plain import Unplain, packed, unpacked
from recbench.training.preference import prefer
from recbench.training.text import tune
from recbench_plugins.backbones.llara import LLaRA, LLaRAOptions

ALWAYS = 1e-9  # minutes
SPLIT = tiny_split()
BUDGET = TrainOptions(epochs=3, batch_size=8, learning_rate=1e-2, schedule="cosine", warmup_steps=2)  # 6 steps an epoch


class Log(SilentReporter):
    """Keeps messages, and calls ``at`` once when a step is done."""

    def __init__(self, step: int = 0, at: Callable[[], Any] = lambda: None) -> None:
        self.step, self.at, self.said = step, at, []

    def advance(self, done: int, total: int | None = None, **values: float) -> None:
        if done == self.step:
            self.step = 0
            self.at()

    def message(self, text: str) -> None:
        self.said.append(text)


class Killed(BaseException):
    """As kill -9 for the training: nothing gets to know of it."""


def kill() -> None:
    raise Killed


def ask() -> None:
    os.kill(os.getpid(), signal.SIGUSR1)


Training = Callable[[Fit], tuple[FitReport, dict[str, torch.Tensor]]]


def text(plan: Fit) -> tuple[FitReport, dict[str, torch.Tensor]]:
    """LLaRA with its curriculum, MSL with ATS; dropout, so that the generators count."""
    backbone = LLaRA(LLaRAOptions(micro_batch=2), RandomScores(len(SPLIT.catalog)))
    torch.manual_seed(0)
    model = tiny_text_model(SPLIT, backbone)
    model.lm.config.attention_dropout = 0.0
    model.lm.get_input_embeddings().register_forward_hook(
        lambda module, given, out: torch.nn.functional.dropout(out, 0.1, module.training)
    )
    loss = registry.get("loss", "msl").implementation(registry.get("loss", "msl").options(eta=0.5))
    plan = replace(plan, validate=_score_of(model.lm))
    return tune(model, loss, SPLIT.train, plan, backbone, "fp32"), dict(model.lm.named_parameters())


def scores(plan: Fit, name: str = "sasrec", loss: str = "bce") -> tuple[FitReport, dict[str, torch.Tensor]]:
    """SASRec, with its dropout and negatives drawn from torch's generator."""
    plugin, chosen = registry.get("backbone", name), registry.get("loss", loss)
    model = plugin.implementation(plugin.options())
    loss_made = chosen.implementation(chosen.options())
    plan = replace(plan, loss=loss_made, validate=lambda: _score_of(model.module)())
    report = model.fit(SPLIT, plan)
    return report, dict(model.module.state_dict())


def preferences(plan: Fit) -> tuple[FitReport, dict[str, torch.Tensor]]:
    """S-DPO on TRL's trainer."""
    torch.manual_seed(0)
    model = tiny_text_model(SPLIT)
    plugin = registry.get("loss", "sdpo")
    loss = plugin.implementation(plugin.options(negatives=2))
    return prefer(model, loss, SPLIT.train, plan, "fp32"), dict(model.lm.named_parameters())


def _score_of(module: Any) -> Callable[[], Score]:
    """A score that goes up and down with the weights, so that the best epoch is not the last one."""

    def validate() -> Score:
        total = sum(float(p.detach().double().abs().sum()) for p in module.parameters())
        return Score(total * 1e3 % 1, 0.01)

    return validate


def plan_of(folder: Path | None, log: Any = None, minutes: float = ALWAYS, **budget: Any) -> Fit:
    place = None if folder is None else Checkpoints(folder / "tuned-0123", minutes)
    options = BUDGET.model_copy(update=budget)
    return Fit(options, 3, "cpu", 1, None, log or Log(), checkpoints=place)


def same(one: tuple[FitReport, dict[str, torch.Tensor]], other: tuple[FitReport, dict[str, torch.Tensor]]) -> None:
    assert replace(one[0], seconds=0.0) == replace(other[0], seconds=0.0)
    assert one[1].keys() == other[1].keys()
    for name, tensor in one[1].items():
        assert torch.equal(tensor, other[1][name]), name


@pytest.fixture(scope="module")
def undisturbed() -> Callable[[Training], Any]:
    found: dict[Training, Any] = {}

    def once(training: Training) -> Any:
        if training not in found:
            found[training] = training(plan_of(None))
        return found[training]

    return once


@pytest.mark.parametrize("training", [text, scores, preferences])
@pytest.mark.parametrize("step", [1, 4, 6, 7, 11, 12, 18])
def test_a_stopped_training_goes_on(training: Training, step: int, tmp_path: Path, undisturbed: Any) -> None:
    """By a signal: in the middle of an epoch, at its end, and when nothing is left to train."""
    log = Log(step, ask)
    with pytest.raises(Stopped, match=f"stopped at step {step} of 18: run the same command again"):
        training(plan_of(tmp_path, log, minutes=60))
    assert signal.getsignal(signal.SIGUSR1) == signal.SIG_DFL
    after = Log()
    same(training(plan_of(tmp_path, after, minutes=60)), undisturbed(training))
    assert f"continuing after step {step} of 18" in after.said


@pytest.mark.parametrize("training", [text, scores])
def test_killed_again_and_again(training: Training, tmp_path: Path, undisturbed: Any) -> None:
    """Each time it goes on from the last checkpoint: the one before the step that was cut off."""
    for step, said in ((2, []), (6, ["continuing after step 1 of 18"]), (8, ["continuing after step 5 of 18"])):
        log = Log(step, kill)
        with pytest.raises(Killed):
            training(plan_of(tmp_path, log))
        assert [text for text in log.said if "continuing" in text] == said
    place = plan_of(tmp_path)
    same(training(place), undisturbed(training))
    assert place.checkpoints.seconds > 0


def test_the_best_epoch_lies_before_the_interruption(undisturbed: Any) -> None:
    """Or the tests above would not show that the best weights are kept."""
    assert {undisturbed(training)[0].best_epoch for training in (text, scores)} - {3}
    assert set(undisturbed(text)[0].watched) == {"tau", "tau_estimate", "tau_clamped", "eta_unreached"}


@pytest.mark.parametrize("name", ["bert4rec", "dros"])
def test_other_models_that_score_items(name: str, tmp_path: Path) -> None:
    def training(plan: Fit) -> Any:
        return scores(plan, name, "ce")

    with pytest.raises(Stopped):
        training(plan_of(tmp_path, Log(8, ask)))
    same(training(plan_of(tmp_path)), training(plan_of(None)))


def test_the_first_stage_of_a_text_backbone(tmp_path: Path) -> None:
    """A-LLMRec's: no validation, no loss of its own."""
    plugin = registry.get("backbone", "allmrec")
    vectors = np.random.default_rng(1).normal(size=(len(SPLIT.catalog), 6)).astype(np.float32)

    def stage(plan: Fit) -> tuple[FitReport, dict[str, torch.Tensor]]:
        backbone = plugin.implementation(plugin.options(alignment_steps=20), RandomScores(len(SPLIT.catalog)))
        report = backbone.learn(SPLIT, lambda titles: vectors[: len(titles)], plan)
        return report, {name: torch.from_numpy(array) for name, array in backbone.state().items()}

    with pytest.raises(Stopped):
        stage(plan_of(tmp_path, Log(13, ask)))
    log = Log()
    same(stage(plan_of(tmp_path, log)), stage(plan_of(None)))
    assert any(text.startswith("continuing after step 13 of") for text in log.said)


def test_patience_and_a_signal_at_once(tmp_path: Path) -> None:
    """The epoch that ends a training by patience gets a signal: afterwards it is still over."""
    whole = scores(plan_of(None, patience=1, epochs=9))
    end = whole[0].steps
    assert end < 54
    with pytest.raises(Stopped):
        scores(plan_of(tmp_path, Log(end, ask), patience=1, epochs=9))
    same(scores(plan_of(tmp_path, patience=1, epochs=9)), whole)


# ---- what is not used ---------------------------------------------------------------------------------------------


def stopped(folder: Path, step: int = 8) -> Path:
    with pytest.raises(Stopped):
        scores(plan_of(folder, Log(step, ask)))
    return folder / "tuned-0123" / "0.pt"


def begins_again(folder: Path, why: str, undisturbed: Any) -> None:
    log = Log()
    same(scores(plan_of(folder, log, minutes=60)), undisturbed(scores))
    assert [text for text in log.said if "is ignored: " + why in text], log.said
    assert not [text for text in log.said if "continuing" in text]


def test_a_damaged_checkpoint_is_ignored(tmp_path: Path, undisturbed: Any) -> None:
    path = stopped(tmp_path)
    whole = path.read_bytes()
    places = np.random.default_rng(0).integers(0, len(whole), 2)
    for content in (whole[: len(whole) // 2], b"", b"garbage", *(_flipped(whole, int(i)) for i in places)):
        path.write_bytes(content)
        if content[:2] == whole[:2] and len(content) == len(whole) and checkpoint_reads(path):
            continue  # padding between the entries of the archive: nothing that counts
        begins_again(tmp_path, "it is damaged", undisturbed)


def test_a_pipe_is_not_waited_for(tmp_path: Path, undisturbed: Any) -> None:
    path = stopped(tmp_path)
    path.unlink()
    os.mkfifo(path)
    begins_again(tmp_path, "it is damaged", undisturbed)


def _flipped(content: bytes, place: int) -> bytes:
    return content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :]


def checkpoint_reads(path: Path) -> bool:
    try:
        checkpoint.read(path)
    except Exception:
        return False
    return True


def test_no_flipped_bit_of_the_weights_is_read(tmp_path: Path) -> None:
    path = stopped(tmp_path)
    whole, weights = path.read_bytes(), checkpoint.read(path)["trained"]
    largest = max(weights.values(), key=torch.numel).numpy().tobytes()
    place = whole.index(largest) + len(largest) // 2
    path.write_bytes(_flipped(whole, place))
    assert not checkpoint_reads(path)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"step": "tuned-9999"}, "it belongs to another step"),
        ({"purpose": "something else"}, "it belongs to another step"),
        ({"format": 0}, "another version of recbench"),
        ({"trained": {"x": torch.zeros(1)}}, "it is another model's"),
        ({"own": []}, "it is of another number of processes"),
        ({"seconds": "long"}, "its content is not what its labels say"),
        ({"state": "{}"}, "its content is not what its labels say"),
        ({"own": [{"draws": {}}]}, "its content is not what its labels say"),
        ({"trained": [1]}, "its content is not what its labels say"),
    ],
)
def test_another_trainings_checkpoint_is_ignored(change: Any, why: str, tmp_path: Path, undisturbed: Any) -> None:
    path = stopped(tmp_path)
    torch.save({**checkpoint.read(path), **change}, path)
    begins_again(tmp_path, why, undisturbed)


def test_a_checkpoint_runs_no_code(tmp_path: Path, undisturbed: Any) -> None:
    class Evil:
        def __reduce__(self) -> Any:
            return os.mkdir, (str(tmp_path / "ran"),)

    path = stopped(tmp_path)
    torch.save({**checkpoint.read(path), "optimizer": Evil()}, path)
    begins_again(tmp_path, "it is damaged", undisturbed)
    assert not (tmp_path / "ran").exists()


def test_a_disk_that_refuses_does_not_end_a_training(tmp_path: Path, undisturbed: Any) -> None:
    (tmp_path / "tuned-0123").write_text("in the way")
    log = Log()
    same(scores(plan_of(tmp_path, log)), undisturbed(scores))
    assert len([text for text in log.said if text.startswith("no checkpoint was written")]) == 1
    with pytest.raises(RecbenchError, match="stopped at step 8 without a checkpoint"):
        scores(plan_of(tmp_path, Log(8, ask)))


# ---- what is not written ------------------------------------------------------------------------------------------


def test_no_checkpoints_where_none_are_asked_for(tmp_path: Path) -> None:
    scores(plan_of(tmp_path, minutes=0))
    scores(plan_of(tmp_path, minutes=60))
    assert not list(tmp_path.iterdir())


class Line(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.value = torch.nn.Parameter(torch.zeros(()))

    def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        return {"loss": (x - self.value).square().mean()}


class Odd(Resumable):
    """A third party's state that no checkpoint can hold."""

    def __init__(self) -> None:
        self.options = Options()
        self.module = torch.nn.Linear(1, 1)


def line(plan: Fit, parts: Any) -> FitReport:
    data: Any = [torch.tensor(1.0)] * 48
    return fit(Line(), data, lambda rows: {"x": torch.stack(rows)}, plan, purpose="test", parts=parts)


def test_state_that_cannot_be_kept_means_no_checkpoints(tmp_path: Path) -> None:
    """And a signal does what it always did."""
    log = Log()
    line(plan_of(tmp_path, log), {"loss": Odd()})
    assert log.said == [
        "this training writes no checkpoints and starts over if it is interrupted: loss['module'] is a Linear, which "
        "a checkpoint cannot hold"
    ]
    line(plan_of(tmp_path), None)
    assert not list(tmp_path.iterdir())


def test_each_training_of_a_step_has_its_own(tmp_path: Path) -> None:
    place = Checkpoints(tmp_path / "step", ALWAYS)
    plan = replace(plan_of(None), checkpoints=place)
    line(plan, {})
    line(plan, {})
    assert sorted(path.name for path in place.folder.iterdir()) == ["0.pt", "1.pt"]


def test_plain_values() -> None:
    generator = np.random.default_rng(3)
    generator.random(5)
    legacy = np.random.Generator(np.random.MT19937(1))
    value = {
        "a": [1, 2.5, None, True, "x", float("nan")],
        "b": (torch.arange(3), np.arange(4.0), np.float32(0.1)),
        "c": deque([1.0, 2.0], maxlen=2),
        "d": {1: {"deep": generator}, 2: legacy},
    }
    found = unpacked(packed(value, "value"))
    assert found["a"][:5] == value["a"][:5]
    assert np.isnan(found["a"][5])
    assert torch.equal(found["b"][0], value["b"][0])
    assert np.array_equal(found["b"][1], value["b"][1])
    assert type(found["b"][2]) is np.float32
    assert found["b"][2] == np.float32(0.1)
    assert (found["c"], found["c"].maxlen) == (value["c"], 2)
    assert found["d"][1]["deep"].random() == generator.random()
    assert found["d"][2].random() == legacy.random()
    with pytest.raises(Unplain, match=r"value\['x'\]\[0\] is a set"):
        packed({"x": [{1}]}, "value")
