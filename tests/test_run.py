"""A seed's result is a function of spec and seed: whatever ran before, whatever was interrupted, however launched."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from recbench.config import Request, RunSpec

from recbench.description import run_id
from recbench.experiment import plan, run
from recbench.interfaces import SilentReporter
from recbench.results import RunRecord, read

SETS = (
    "llm.hidden=32", "llm.layers=1", "llm.heads=2", "llm.intermediate=32", "llm.vocabulary=400", "train.samples=163",
    "train.batch_size=8", "train.epochs=2", "evaluate.validation_cases=20", "evaluate.cases=40",
)  # fmt: skip
PARTIAL = Path("runs/artefacts/.partial")


def write_data(path: Path) -> None:
    """Users who walk through forty films, a little off the path now and then."""
    random = np.random.default_rng(0)
    rows = ["user,item,timestamp,title"]
    for user in range(60):
        place = int(random.integers(40))
        for time_ in range(15):
            place = (place + (1 if random.random() < 0.8 else int(random.integers(40)))) % 40
            rows.append(f"{user},{place},{user + 100 * time_},The {place}th Film")
    path.write_text("\n".join(rows) + "\n")


def request(folder: Path, loss: str = "msl") -> Request:
    """A text run on the folder's data that takes about a second a seed."""
    data = {"file": str(folder / "own.csv")}
    return Request(model="bigrec", loss=loss, dataset="csv", dataset_options=data, sets=SETS)


def finish(folder: Path, seeds: tuple[int, ...]) -> tuple[RunSpec, RunRecord]:
    """Run in this process."""
    spec = plan(request(folder))
    return spec, run(spec, seeds, folder / "runs", "", SilentReporter())


def command(folder: Path, seeds: str, *before: str) -> tuple[list[str], dict[str, str]]:
    """The same run as a process of its own."""
    line = [sys.executable, *before, "-m", "recbench", "run", "--model", "bigrec", "--loss", "msl", "--device", "cpu"]
    line += ["--dataset", "csv", "--data-dir", "own.csv", "--seeds", seeds]
    return line + [w for s in SETS for w in ("--set", s)], {**os.environ, "PYTHONUNBUFFERED": "1"}


def same(one: RunRecord, other: RunRecord, seed: int) -> bool:
    """Whether a seed has the same ranks, losses and validation scores in both."""
    a, b = (next(s for s in r.seeds if s.seed == seed) for r in (one, other))
    return np.array_equal(a.ranks, b.ranks) and a.losses == b.losses and a.validation == b.validation


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, RunRecord]:
    """Seeds 3, 17 and 42, never interrupted."""
    folder = tmp_path_factory.mktemp("reference")
    write_data(folder / "own.csv")
    return folder, finish(folder, (3, 17, 42))[1]


def test_an_empty_store_and_a_seed_alone_give_the_same_ranks(tmp_path: Path, reference: tuple[Path, RunRecord]) -> None:
    write_data(tmp_path / "own.csv")
    _, alone = finish(tmp_path, (17,))
    assert same(alone, reference[1], 17)
    assert not np.array_equal(reference[1].seeds[0].ranks, reference[1].seeds[1].ranks)  # the seed does matter
    assert alone.seeds[0].steps == 40


def test_a_finished_seed_is_not_computed_again(reference: tuple[Path, RunRecord]) -> None:
    folder, before = reference
    _, after = finish(folder, (3, 17, 42))
    assert [s.started for s in after.seeds] == [s.started for s in before.seeds]


def test_a_second_decoder_trains_nothing(reference: tuple[Path, RunRecord]) -> None:
    folder, before = reference
    other = replace(request(folder), decoder="grounding")
    record = run(plan(other), (17,), folder / "runs", "", SilentReporter())
    result, trained = record.seeds[0], next(s for s in before.seeds if s.seed == 17)
    assert {"tokenizer", "model"} <= set(result.reused)
    assert result.stages["model"] == trained.stages["model"]
    assert result.seconds["model"] == trained.seconds["model"]  # what it took when it was built
    assert result.invalid_share is not None


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_interrupted_in_the_third_seed(tmp_path: Path, reference: tuple[Path, RunRecord], how: signal.Signals) -> None:
    write_data(tmp_path / "own.csv")
    line, environment = command(tmp_path, "3,17,42")
    process = subprocess.Popen(
        line,
        cwd=tmp_path,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        # a job in the background inherits an ignored Ctrl-C
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    assert process.stderr is not None
    heard = []
    for text in process.stderr:
        heard.append(text.decode())
        if "train bigrec + msl, seed 42" in heard[-1]:
            deadline = time.monotonic() + 60
            while not list((tmp_path / PARTIAL).glob("model-*")) and time.monotonic() < deadline:
                time.sleep(0.001)
            process.send_signal(how)
            break
    process.stderr.read()
    assert process.wait(60) == (-signal.SIGKILL if how == signal.SIGKILL else 130), "".join(heard)
    left = list((tmp_path / PARTIAL).glob("*"))
    assert bool(left) == (how == signal.SIGKILL)
    spec = plan(request(tmp_path))
    path = tmp_path / "runs" / run_id(spec) / "record.json"
    assert [s.seed for s in read(path).seeds] == [3, 17]
    _, record = finish(tmp_path, (3, 17, 42))
    assert all(same(record, reference[1], seed) for seed in (3, 17, 42))
    assert not list((tmp_path / PARTIAL).glob("*"))


def test_two_processes_train_as_one_does(tmp_path: Path, reference: tuple[Path, RunRecord]) -> None:
    """Same global batch, same loss curve (to rounding: sums are added in another order)."""
    write_data(tmp_path / "own.csv")
    launch = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    line, environment = command(tmp_path, "3,", *launch)
    done = subprocess.run(line, cwd=tmp_path, env=environment, capture_output=True, timeout=300, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    record = read(next((tmp_path / "runs").glob("*/record.json")))
    one, two = reference[1].seeds[0], record.seeds[0]
    assert record.spec["machine"]["processes"] == 2
    assert [step for step, _ in two.losses] == [step for step, _ in one.losses]
    assert [v for _, v in two.losses] == pytest.approx([v for _, v in one.losses], rel=1e-3)
