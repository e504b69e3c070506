"""Commands on Dask workers of this machine: the same records as without, also after kills and signals."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from children import Child, finished
from recbench.steps.store import CHECKPOINTS, PARTIAL

psutil = pytest.importorskip("psutil")
pytest.importorskip("distributed")
SUITE = """
title: Small
defaults:
  dataset: csv
  data_dir: own.csv
  device: cpu
  epochs: 40
  seeds: 2
  set:
    machine: {threads: 1}
    train: {patience: 0, checkpoint_minutes: 0.001}
    evaluate: {validation_cases: 10, cases: 20}
    backbone: {hidden: 8, layers: 1, heads: 1, inner: 8}
cells:
  - {model: popularity, name: popular}
  - {model: sasrec, name: plain}
  - {model: sasrec, name: tuned, seeds: 1, grid: {train.learning_rate: [0.001, 0.01]}}
"""


def records(runs: Path) -> dict[str, Any]:
    """What must be equal: everything but times and places."""
    found = {}
    for path in sorted(runs.glob("own-*/record.json")):
        record = json.loads(path.read_bytes())
        for seed in record["seeds"]:
            for name in ("started", "environment", "peak_memory_bytes"):
                seed.pop(name, None)
            seed["steps"] = [(step["role"], step["folder"]) for step in seed["steps"]]
        found[record["run"]] = (record["spec_hash"], record["seeds"])
    return found


def leftovers(runs: Path) -> list[Path]:
    return [path for name in (PARTIAL, CHECKPOINTS, ".live") for path in (runs / "steps" / name).glob("*")]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, tools: SimpleNamespace) -> SimpleNamespace:
    folder = tmp_path_factory.mktemp("workers")
    tools.write_csv(folder / "own.csv")
    (folder / "small.yaml").write_text(SUITE)
    assert tools.invoke(folder, "suite", "run", "small.yaml", "--runs", "serial").exit_code == 0
    plan = tools.invoke(folder, "suite", "plan", "small.yaml", "--runs", "serial").stdout
    return SimpleNamespace(folder=folder, steps=int(plan.split(" distinct steps")[0].split()[-1]))


def test_a_suite_on_workers_makes_the_same_records_from_as_many_steps(place: Any) -> None:
    words = ("suite", "run", "small.yaml", "--runs", "two", "--workers", "2")
    said = finished(*words, folder=place.folder).stderr
    assert records(place.folder / "two") == records(place.folder / "serial")
    assert f"{place.steps} steps built" in said
    assert leftovers(place.folder / "two") == []


def test_a_killed_worker_and_a_stopped_client_lose_no_more_than_since_the_last_checkpoint(
    place: Any, tools: SimpleNamespace
) -> None:
    runs = place.folder / "killed"
    words = ("run", "--model", "sasrec", "--dataset", "csv", "--data-dir", "own.csv", "--device", "cpu")
    options = (
        "train.patience=0",
        "train.checkpoint_minutes=0.01",
        "machine.threads=1",
        "evaluate.validation_cases=10",
        "evaluate.cases=20",
        "backbone.hidden=8",
        "backbone.layers=1",
        "backbone.heads=1",
        "backbone.inner=8",
    )
    words += ("--epochs", "400", *(word for text in options for word in ("--set", text)), "--runs")
    assert tools.invoke(place.folder, *words, "undisturbed").exit_code == 0
    words += ("killed", "--workers", "1")
    client = Child(*words, folder=place.folder)
    client.until(lambda: list(runs.glob(f"steps/{CHECKPOINTS}/*/0.pt")))
    for child in psutil.Process(client.pid).children(recursive=True):
        if "spawn_main" in " ".join(child.cmdline()):
            child.kill()
    client.until(lambda: "continuing after step" in client.stderr)
    client.send_signal(signal.SIGTERM)
    code = client.wait()
    assert code in (0, 75), client.stderr  # a busy machine may be done before the signal
    again = finished(*words, folder=place.folder)
    assert ("continuing after step" in again.stderr) == (code == 75)
    assert records(runs) == records(place.folder / "undisturbed")
    assert leftovers(runs) == []


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["run", "--model", "sasrec", "--workers", "2", "--scheduler", "tcp://x:1"], "choose one"),
        (["run", "--model", "sasrec", "--gpus-per-worker", "1"], "--gpus-per-worker goes with --workers"),
        (["run", "--model", "sasrec", "--workers", "0"], "--workers"),
        (["run", "--model", "sasrec", "--scheduler", "nonsense", "--runs", "."], "nonsense is not an address such as"),
        (["run", "--model", "sasrec", "--workers", "1", "--runs", "/dev/null/x"], "--runs /dev/null/x: "),
        (["run", "--model", "sasrec", "--workers", "1", "--again"], "--again computes seeds in this process"),
        (["suite", "run", "smoke", "--workers", "1", "--step", "x"], "--step builds in this process"),
        (["tune", "--model", "sasrec", "--workers", "1", "--space", "train.epochs=1..9"], "--space samples one trial"),
        (["run", "--model", "sasrec", "--store", "nowhere://x"], "nowhere"),
    ],
)
def test_flags_that_contradict_each_other(words: list[str], said: str, tmp_path: Path, tools: SimpleNamespace) -> None:
    result = tools.invoke(tmp_path, *words)
    assert result.exit_code == 2
    assert said in result.stderr
    assert "Traceback" not in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_gpus_that_are_not_there_are_refused(
    tmp_path: Path, tools: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torch.cuda.device_count", lambda: 3)
    words = ["run", "--model", "sasrec", "--workers", "2", "--gpus-per-worker", "2", "--runs", "."]
    result = tools.invoke(tmp_path, *words)
    assert result.exit_code == 2
    assert "--workers 2 --gpus-per-worker 2 needs 4 GPUs, and this machine has 3" in result.stderr
