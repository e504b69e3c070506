"""A run that a signal stops ends with exit code 75, and the same command gives the undisturbed run's result."""

from __future__ import annotations

import json
import os
import re
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from children import Child, finished
from recbench.cli import cli
from recbench.inventory import inventory, prune
from recbench.results import read
from recbench.steps.store import CHECKPOINTS, Store


def words(folder: Path, runs: str, *more: str) -> list[str]:
    model = "bigrec" if "llm.hidden=32" in more else "sasrec"
    words = ["--model", model, "--dataset", "csv", "--data-dir", str(folder / "own.csv"), "--device", "cpu"]
    budget = ["train.patience=0", "train.checkpoint_minutes=0.001", "machine.threads=1", "evaluate.validation_cases=20"]
    epochs = ["--epochs", "30"] if model == "sasrec" else []
    sets = [word for text in (*budget, *more) for word in ("--set", text)]
    return ["run", *words, *epochs, "--runs", str(folder / runs), *sets]


def run(folder: Path, runs: str, *more: str) -> Child:
    return finished(*words(folder, runs, *more), folder=folder)


def stopped(folder: Path, runs: str, number: int, file: str = "*/0.pt", *more: str) -> tuple[int, str]:
    """Begin, send a signal as soon as there is a checkpoint, and wait for the end: exit code and standard error."""
    process = Child(*words(folder, runs, *more), folder=folder)
    process.until(lambda: list((folder / runs).glob(f"steps/{CHECKPOINTS}/{file}")))
    process.send_signal(number)
    return process.wait(), process.stderr


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("stopped")
    rows = [f"{u},{(u + i) % 40},{60 * i + u},The {(u + i) % 40}th Film" for u in range(40) for i in range(14)]
    (folder / "own.csv").write_text("\n".join(["user,item,timestamp,title", *rows]) + "\n")
    # neither the interval nor an interruption is part of the spec, of a step's key or of the result
    run(folder, "undisturbed", "train.checkpoint_minutes=0")
    return folder


def result(folder: Path, runs: str) -> dict[str, Any]:
    """What must be equal: everything but times."""
    record = json.loads(next((folder / runs).glob("own-*/record.json")).read_bytes())
    logs = [file.read_bytes() for file in sorted((folder / runs).glob("steps/*/training.jsonl"))]
    assert len(logs) == 1
    (seed,) = record["seeds"]
    steps = [(step["role"], step["folder"]) for step in seed.pop("steps")]
    for name in ("started", "environment", "peak_memory_bytes"):
        seed.pop(name, None)
    return {"spec": record["spec_hash"], "steps": steps, "logs": logs, **seed}


@pytest.fixture(scope="module")
def ranking(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """More test windows than a chunk has, for a language model that learns nothing."""
    folder = tmp_path_factory.mktemp("ranking")
    random = np.random.default_rng(0)
    films = [(u, i, film) for u in range(90) for i, film in enumerate(random.permutation(90)[:80])]
    rows = [f"{u},{film},{60 * i + u},The {film}th Film" for u, i, film in films]
    (folder / "own.csv").write_text("\n".join(["user,item,timestamp,title", *rows]) + "\n")
    run(folder, "undisturbed", *TEXT)
    return folder


TEXT = (
    "llm.hidden=32",
    "llm.layers=1",
    "llm.vocabulary=300",
    "train.samples=32",
    "train.batch_size=32",
    "train.epochs=1",
)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_an_interrupted_ranking_goes_on(number: int, ranking: Path) -> None:
    runs = f"runs{number}"
    code, said = stopped(ranking, runs, number, "ranking-*/*.npz", *TEXT)
    (place,) = (ranking / runs / "steps" / CHECKPOINTS).iterdir()
    assert place.name.startswith("ranking-")
    if number == signal.SIGTERM:
        assert code == 75, said
        last = said.strip().splitlines()[-1]
        assert re.fullmatch(
            r"recbench: stopped after \d+ of \d+ cases were ranked: run the same command again to go on.", last
        )
        (entry,) = [one for one in inventory(ranking / runs) if one.path.parent.name == CHECKPOINTS]
        assert (entry.title, entry.wanted) == ("checkpoint of an unfinished ranking", True)
    again = run(ranking, runs, *TEXT)
    assert re.search(r"continuing after (256|512|768) of \d+ cases were ranked", again.stderr), again.stderr
    assert not list((ranking / runs / "steps" / CHECKPOINTS).glob("*"))
    assert result(ranking, runs) == result(ranking, "undisturbed")


def test_a_signal_ends_with_75_and_the_same_command_goes_on(place: Path) -> None:
    code, said = stopped(place, "a", signal.SIGTERM)
    assert code == 75, said
    last = said.strip().splitlines()[-1]
    assert last.startswith("recbench: stopped at step ")
    assert last.endswith("run the same command again to continue.")
    assert not list((place / "a/steps/.partial").glob("*"))

    (entry,) = [one for one in inventory(place / "a") if one.path.parent.name == CHECKPOINTS]
    assert entry.title == "checkpoint of an unfinished training"
    assert entry.size > 1000
    assert entry.wanted
    assert prune(place / "a", dry=False) == []
    listed = CliRunner().invoke(cli, ["store", "--runs", str(place / "a")])
    assert "checkpoint of an unfinished training" in listed.output

    again = run(place, "a")
    assert "continuing after step" in again.stderr
    assert not list((place / "a/steps" / CHECKPOINTS).glob("*"))

    assert result(place, "a") == result(place, "undisturbed")
    record = read(next((place / "a").glob("own-*/record.json")))
    assert "checkpoint_minutes" not in record.model_dump_json(include={"recommender"})


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGKILL")
def test_kill_9_keeps_the_last_checkpoint(place: Path) -> None:
    code, _ = stopped(place, "c", signal.SIGKILL)
    assert code == -signal.SIGKILL
    Store(place / "c/steps").sweep()
    again = run(place, "c")
    assert "continuing after step" in again.stderr
    assert result(place, "c") == result(place, "undisturbed")
