"""A seed's result is a function of spec and seed: whatever ran before, whatever was interrupted, however launched."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import recbench
from children import Child, several
from recbench.description import run_id
from recbench.errors import RecbenchError
from recbench.experiment import run
from recbench.interfaces import SilentReporter
from recbench.planning import Plan, plan
from recbench.results import RunRecord, read
from recbench.spec.request import Request

SETS: dict[str, dict[str, Any]] = {
    "llm": {"hidden": 32, "layers": 1, "heads": 2, "intermediate": 32, "vocabulary": 400},
    "train": {"samples": 163, "batch_size": 8, "epochs": 2},
    "evaluate": {"validation_cases": 20, "cases": 30},
    "machine": {"threads": 1},
}
PARTIAL = Path("runs/steps/.partial")


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


class Log(SilentReporter):
    def __init__(self) -> None:
        self.lines: list[str] = []

    def message(self, text: str) -> None:
        self.lines.append(text)


def planned(folder: Path, **words: Any) -> Plan:
    """A text run on the folder's data that takes about a second a seed."""
    asked = {"model": "bigrec", "loss": "msl", "dataset": "csv", "device": "cpu", "options": SETS, **words}
    return plan(Request(data_dir=str(folder / "own.csv"), **asked))


def finish(folder: Path, seeds: tuple[int, ...], **more: Any) -> RunRecord:
    """Run in this process."""
    return run(planned(folder), seeds, folder / "runs", "", **{"reporter": SilentReporter(), **more})


def record_of(folder: Path) -> Path:
    """Where the record is."""
    return folder / "runs" / run_id(planned(folder).spec) / "record.json"


def words(seeds: str) -> list[str]:
    """The same run by the command line."""
    line = ["run", "--model", "bigrec", "--loss", "msl", "--device", "cpu", "--dataset", "csv", "--data-dir", "own.csv"]
    words = [f"{group}.{option}={value}" for group, options in SETS.items() for option, value in options.items()]
    return [*line, "--seeds", seeds, *(w for word in words for w in ("--set", word))]


def same(one: RunRecord, other: RunRecord, seed: int) -> bool:
    """Whether a seed has the same ranks, losses and validation scores in both."""
    a, b = (next(s for s in r.seeds if s.seed == seed) for r in (one, other))
    return np.array_equal(a.ranks, b.ranks) and a.losses == b.losses and a.validation == b.validation


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, RunRecord]:
    """Seeds 3, 17 and 42, never interrupted."""
    folder = tmp_path_factory.mktemp("reference")
    write_data(folder / "own.csv")
    return folder, finish(folder, (3, 17, 42))


def test_an_empty_store_and_a_seed_alone_give_the_same_ranks(tmp_path: Path, reference: tuple[Path, RunRecord]) -> None:
    write_data(tmp_path / "own.csv")
    alone = finish(tmp_path, (17,))
    assert same(alone, reference[1], 17)
    assert not np.array_equal(reference[1].seeds[0].ranks, reference[1].seeds[1].ranks)  # the seed does matter
    assert alone.seeds[0].steps_trained == 40


def test_a_finished_seed_is_not_computed_again(reference: tuple[Path, RunRecord]) -> None:
    folder, before = reference
    log = Log()
    after = finish(folder, (3, 17, 42), reporter=log)
    assert [line for line in log.lines if "finished before" in line] == [
        f"seed {seed} ({n} of 3): finished before" for n, seed in enumerate((3, 17, 42), start=1)
    ]
    assert [s.started for s in after.seeds] == [s.started for s in before.seeds]


def test_a_second_decoder_trains_nothing(reference: tuple[Path, RunRecord]) -> None:
    folder, before = reference
    record = run(planned(folder, decoder="grounding"), (17,), folder / "runs", "", SilentReporter())
    result, trained = record.seeds[0], next(s for s in before.seeds if s.seed == 17)
    now, then = ({step.role: step for step in seed.steps} for seed in (result, trained))
    assert [role for role, step in now.items() if not step.reused] == ["rank"]
    assert now["model"].folder == then["model"].folder
    assert now["model"].seconds == then["model"].seconds > 0  # what it took when it was built
    assert result.invalid_share is not None


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_interrupted_in_the_third_seed(tmp_path: Path, reference: tuple[Path, RunRecord], how: signal.Signals) -> None:
    write_data(tmp_path / "own.csv")
    process = Child(*words("3,17,42"), folder=tmp_path)
    # what each training says first
    process.until(lambda: process.stderr.count("the warm-up of 50 steps is longer") == 3)
    process.send_signal(how)
    assert process.wait() == (-signal.SIGKILL if how == signal.SIGKILL else 130), process.stderr
    left = list((tmp_path / PARTIAL).glob("*"))
    assert bool(left) == (how == signal.SIGKILL)
    assert [s.seed for s in read(record_of(tmp_path)).seeds] == [3, 17]
    record = finish(tmp_path, (3, 17, 42))
    assert all(same(record, reference[1], seed) for seed in (3, 17, 42))
    assert not list((tmp_path / PARTIAL).glob("*"))


def test_again_computes_each_step_anew_once_and_finds_the_same(tmp_path: Path, reference: Any) -> None:
    write_data(tmp_path / "own.csv")
    first = finish(tmp_path, (3, 17))
    made = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "runs/steps").glob("[!.]*")}
    log = Log()
    second = finish(tmp_path, (3,), again=True, reporter=log)
    assert [seed.seed for seed in second.seeds] == [3, 17]  # the other seed stays
    assert second.seeds[0].started >= first.seeds[0].started
    assert all(same(one, reference[1], seed) for one in (first, second) for seed in (3, 17))
    steps = {step.role: step for step in second.seeds[0].steps}
    assert not any(step.reused for step in steps.values())
    now = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "runs/steps").glob("[!.]*")}
    assert now.keys() == made.keys()
    assert {name for name in made if now[name] != made[name]} == {step.folder for step in steps.values()}


def test_a_step_that_is_gone_is_not_missed_until_it_is_needed(tmp_path: Path, reference: Any) -> None:
    write_data(tmp_path / "own.csv")
    first = finish(tmp_path, (3,))
    for step in first.seeds[0].steps:
        if step.role in ("tokenizer", "trie", "model"):
            shutil.rmtree(tmp_path / "runs/steps" / step.folder)
    assert finish(tmp_path, (3,)).seeds[0].started == first.seeds[0].started
    record_of(tmp_path).unlink()
    again = finish(tmp_path, (3,))  # the ranking is there: nothing is trained for it
    assert np.array_equal(again.seeds[0].ranks, reference[1].seeds[0].ranks)
    assert [step.role for step in again.seeds[0].steps if not step.reused] == []
    assert not list((tmp_path / "runs/steps").glob("tuned-*"))


def test_a_model_of_zeros_is_refused_by_its_file(tmp_path: Path) -> None:
    """Attack A6: it gave a valid, wrong record."""
    write_data(tmp_path / "own.csv")
    first = finish(tmp_path, (3,))
    model = next(step.folder for step in first.seeds[0].steps if step.role == "model")
    weights = tmp_path / "runs/steps" / model / "model.safetensors"
    content = weights.read_bytes()
    start = 8 + int.from_bytes(content[:8], "little")
    weights.write_bytes(content[:start] + bytes(len(content) - start))
    with pytest.raises(RecbenchError, match=r"model\.safetensors is not the file that was stored; remove the folder"):
        run(planned(tmp_path, decoder="grounding"), (3,), tmp_path / "runs", "", SilentReporter())
    shutil.rmtree(weights.parent)
    assert run(planned(tmp_path, decoder="grounding"), (3,), tmp_path / "runs", "", SilentReporter()).seeds


def test_a_damaged_record_is_one_sentence_and_again_replaces_it(tmp_path: Path, reference: Any) -> None:
    write_data(tmp_path / "own.csv")
    finish(tmp_path, (3,))
    record_of(tmp_path).write_text("{")
    with pytest.raises(RecbenchError, match=r"record\.json") as refusal:
        finish(tmp_path, (3,))
    assert "\n" not in str(refusal.value)
    assert same(finish(tmp_path, (3,), again=True), reference[1], 3)


def test_a_record_says_what_made_it(reference: tuple[Path, RunRecord]) -> None:
    folder, record = reference
    assert str(folder) not in record.model_dump_json()
    assert {(p.kind, p.name) for p in record.plugins} == {
        ("backbone", "bigrec"), ("loss", "msl"), ("decoder", "constrained_beam"), ("source", "csv"),
    }  # fmt: skip
    for plugin in record.plugins:
        assert (plugin.distribution, plugin.version) == ("recbench-toolkit", recbench.__version__)
        assert len(plugin.code) == 16
    for seed in record.seeds:
        assert [step.role for step in seed.steps] == ["prepare", "tokenizer", "trie", "model", "rank"]
        assert {step.phase for step in seed.steps} == {"data", "training", "decoding"}
        assert all((folder / "runs/steps" / step.folder).is_dir() for step in seed.steps)
        assert seed.top is not None
        assert np.array_equal(seed.top[np.arange(len(seed.ranks)), 0] == record.cases.target, seed.ranks == 1)


def test_a_method_without_a_seed_runs_once(tmp_path: Path) -> None:
    write_data(tmp_path / "own.csv")
    log, found = Log(), planned(tmp_path, model="popularity", loss=None, options={})
    record = run(found, (3, 17), tmp_path / "runs", "recbench run", log)
    assert [seed.seed for seed in record.seeds] == [0]
    assert "popularity does not depend on the seed: it runs once" in log.lines
    assert record.command == "recbench run --seeds 0,"


def test_a_backbone_that_declares_no_training_gets_no_budget(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_data(tmp_path / "own.csv")
    found = planned(tmp_path, model="popularity", loss=None, options={})
    popularity = found.spec.recommender.backbone.plugin.implementation
    monkeypatch.setattr(popularity, "fit", lambda self, split, fit: fit.budget)
    with pytest.raises(RecbenchError, match=r"no budget: .* declares trained=True or a default_loss"):
        run(found, (3,), tmp_path / "runs", "", SilentReporter())


def end_one(folder: Path, how: signal.Signals, *line: str) -> list[Child]:
    """Begin, send the second process a signal as soon as there is a new checkpoint, and wait for both."""
    begun = time.time()
    two = several(2, *line, folder=folder)
    files = (folder / "runs/steps/.checkpoints").glob
    two[1].until(lambda: any(file.stat().st_mtime > begun for file in files("*/0.pt")))
    two[1].send_signal(how)
    for process in two:
        process.wait()
    return two


def test_two_processes_train_as_one_does(tmp_path: Path, reference: tuple[Path, RunRecord]) -> None:
    """Same global batch, same loss curve (to rounding: sums are added in another order), whatever ends one of them."""
    write_data(tmp_path / "own.csv")
    line = [*words("3,"), "--set", "machine.processes=2", "--set", "train.checkpoint_minutes=0.0001"]
    left, killed = end_one(tmp_path, signal.SIGKILL, *line)
    assert (left.wait(), killed.wait()) == (1, -signal.SIGKILL)
    ended = "recbench: process 0 of 2: another process of this run has ended, so this one ends too: run the same"
    assert ended in left.stderr
    two = end_one(tmp_path, signal.SIGTERM, *line)
    assert [process.wait() for process in two] == [75, 75]
    assert sum(process.stderr.count("recbench: stopped at step ") for process in two) == 1
    launch = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2", "-m", "recbench"]
    done = subprocess.run(
        [sys.executable, *launch, *line], cwd=tmp_path, capture_output=True, timeout=300, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert "continuing after step" in done.stderr
    record = read(next((tmp_path / "runs").glob("*/record.json")))
    one, two = reference[1].seeds[0], record.seeds[0]
    assert record.spec["machine"]["processes"] == 2
    assert [step for step, _ in two.losses] == [step for step, _ in one.losses]
    assert [v for _, v in two.losses] == pytest.approx([v for _, v in one.losses], rel=1e-3)
    # two processes ranked what one ranks with the same model, bit for bit
    loaded = recbench.load(tmp_path / "runs" / record.run)
    cases = loaded._setting.test_cases(loaded.split)
    ranking = loaded._setting.rank(
        loaded.decoder, loaded.model, cases.histories(), 10, Log(), len(loaded.split.catalog)
    )
    assert np.array_equal(two.top, ranking.items[:, :10])
    assert np.array_equal(two.ranks, ranking.target_ranks(cases.target))
    # one process loads what two made; two load it again for another decoder
    assert recbench.load(tmp_path / "runs" / record.run).recommend([["1", "2"]], k=3)[0][0].title.endswith("Film")
    for process in several(2, *line, "--decoder", "exact", folder=tmp_path):
        assert process.wait() == 0, process.stderr
