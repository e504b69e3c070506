"""What a new user met: printed commands can be pasted, the log is in order, what has no effect is said."""

from __future__ import annotations

import itertools
import json
import re
import shlex
import shutil
from pathlib import Path

import pytest

from recbench.results import read

FEW = ["--device", "cpu", "--set", "evaluate.cases=8"]


def lines_of(log: str) -> list[str]:
    """The lines of a log without their time of day."""
    return [line[9:] for line in log.splitlines()]


def assert_in_order(log: str) -> None:
    """Nothing is said twice, and what has begun is closed before the next seed or cell begins."""
    lines = lines_of(log)
    repeated = [a for a, b in itertools.pairwise(lines) if a.strip() == b.strip()]
    assert not repeated
    begun = ""
    for line in lines:
        if not line.startswith(" "):
            begun = line
        elif line.startswith(f"  {begun}: "):
            begun = ""
        elif re.match(r"  (seed|cell) \d+ (\(\d+ )?of", line):
            closing = f"  {begun}: "
            assert not begun or not any(later.startswith(closing) for later in lines[lines.index(line) :]), line


def test_a_runs_log_is_in_order(done) -> None:
    for name in ("text", "few"):
        log = done.results[name].stderr
        assert_in_order(log)
        assert sum(line.strip().startswith("prepare") for line in lines_of(log) if not line.startswith(" ")) <= 1
    assert "1 training step, best epoch 1" in done.results["text"].stderr
    assert "(1 step): the learning rate never reaches" in done.results["text"].stderr
    assert done.results["few"].stderr.count("does not depend on the seed") == 1
    assert "training step" not in done.results["few"].stderr


def test_a_suites_log_is_in_order_and_says_what_is_left_out(tools, tmp_path: Path) -> None:
    tools.write_csv(tmp_path / "own.csv")
    (tmp_path / "two.yaml").write_text(
        "defaults: {dataset: csv, data_dir: own.csv, device: cpu, epochs: 1,\n"
        "  set: {train: {warmup_steps: 0}, evaluate: {cases: 8}, machine: {threads: 1}}}\n"
        "cells:\n"
        "  - {model: popularity}\n"
        "  - {model: sasrec}\n"
    )
    left_out = "the default set.train.warmup_steps (suite two.yaml, line 2) is left out: popularity has no such option"
    in_vain = "suite two.yaml, line 1: epochs has no effect, since popularity is not trained"
    plan = tools.invoke(tmp_path, "suite", "plan", "two.yaml")
    assert plan.exit_code == 0, plan.output
    for note in (left_out, in_vain):
        assert f"note: cell 'popularity': {note}" in plan.stdout
    assert "cell 'sasrec'" not in plan.stdout
    ran = tools.invoke(tmp_path, "suite", "run", "two.yaml")
    assert ran.exit_code == 0, ran.output
    assert_in_order(ran.stderr)
    lines = lines_of(ran.stderr)
    assert lines[lines.index("  cell 1 of 2: popularity") + 1 :][:2] == [f"  note: {left_out}", f"  note: {in_vain}"]
    assert ran.stderr.count("note: ") == 2


def test_flags_in_vain_are_said_by_a_run_and_by_its_dry_run(call) -> None:
    words = ["run", "--model", "popularity", "--dataset", "csv", "--data-dir", "own.csv", *FEW, "--epochs", "3"]
    for more in ([], ["--dry-run"]):
        result = call(*words, *more)
        assert result.exit_code == 0, result.output
        assert "--epochs has no effect, since popularity is not trained" in result.output


@pytest.fixture
def elsewhere(tools, tmp_path: Path) -> Path:
    """An empty folder; the data is in another one, in the folder of this name with blanks in its name."""
    (tmp_path / "my data").mkdir()
    (tmp_path / "work").mkdir()
    tools.write_csv(tmp_path / "my data" / "own.csv")
    return tmp_path / "work"


def test_the_command_that_tune_prints_can_be_pasted(tools, elsewhere: Path) -> None:
    own = ["--dataset", "csv", "--data-dir", "../my data/own.csv", *FEW, "--epochs", "1", "--train-samples", "32"]
    words = ["tune", "--model", "sasrec", "--grid", "backbone.hidden=16,32", *own, "--runs", "my runs", "--seeds", "3,"]
    tuned = tools.invoke(elsewhere, *words)
    assert tuned.exit_code == 0, tuned.output
    assert len(list((elsewhere / "my runs").glob("*/record.json"))) == 0
    printed = next(line for line in tuned.stdout.splitlines() if line.startswith("to run it: ")).partition(": ")[2]
    pasted = tools.invoke(elsewhere, *shlex.split(printed)[1:])
    assert pasted.exit_code == 0, pasted.output
    (record,) = (elsewhere / "my runs").glob("*/record.json")
    assert [seed.seed for seed in read(record).seeds] == [3]
    assert pasted.stderr.count("train sasrec + ce, seed 3: ") == 1  # the winner's; the trials are there
    assert "train sasrec + ce, seed 1" not in pasted.stderr


def test_the_command_that_show_prints_can_be_pasted(tools, elsewhere: Path) -> None:
    own = ["--dataset", "csv", "--data-dir", "../my data/own.csv", *FEW, "--runs", "my runs"]
    assert tools.invoke(elsewhere, "run", "--model", "popularity", *own).exit_code == 0
    (run,) = (path.parent.name for path in (elsewhere / "my runs").glob("*/record.json"))
    shown = tools.invoke(elsewhere, "show", run, "--runs", "my runs", "--limit", "1").stdout
    shutil.rmtree(elsewhere / "my runs" / "steps")
    refused = tools.invoke(elsewhere, "show", run, "--runs", "my runs", "--limit", "1")
    assert refused.exit_code == 1
    printed = refused.stderr.partition("recreate it with recbench ")[2]
    assert "--again" in printed
    assert tools.invoke(elsewhere, *shlex.split(printed)).exit_code == 0
    assert tools.invoke(elsewhere, "show", run, "--runs", "my runs", "--limit", "1").stdout == shown


def test_the_command_on_the_page_of_a_suites_file_names_the_file(tools, tmp_path: Path) -> None:
    tools.write_csv(tmp_path / "own.csv")
    (tmp_path / "suites").mkdir()
    (tmp_path / "suites/mine.yaml").write_text(
        "defaults: {dataset: csv, data_dir: own.csv, device: cpu}\ncells: [{model: popularity}]\n"
    )
    assert tools.invoke(tmp_path, "suite", "run", "suites/mine.yaml").exit_code == 0
    page = tools.invoke(tmp_path, "suite", "report", "suites/mine.yaml").stdout
    assert "recbench suite report mine.yaml generates this page" in page
    added = tools.invoke(tmp_path, "suite", "add", "suites/mine.yaml", "--records", "board").stdout
    printed = added.partition("next: recbench ")[2].partition(";")[0].replace("FILE.md", "page.md")
    assert tools.invoke(tmp_path, *shlex.split(printed)).exit_code == 0
    assert (tmp_path / "page.md").is_file()


def test_a_hub_model_without_a_network_is_one_sentence_before_anything_is_done(
    call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import huggingface_hub
    import huggingface_hub.constants

    def unreachable(*_: object, **__: object) -> None:
        raise ConnectionError("[Errno -2] Name or service not known")

    monkeypatch.setattr(huggingface_hub.HfApi, "model_info", unreachable)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    result = call("run", "--model", "bigrec", "--llm", "owner/name", "--dataset", "csv", "--data-dir", "own.csv")
    assert result.exit_code == 1
    assert len(result.stderr.splitlines()) == 1
    assert "--llm owner/name: the hub cannot be reached" in result.stderr
    assert not (tmp_path / "runs").exists()


def test_seeds_say_how_a_single_one_is_written(call) -> None:
    assert "for one seed: 17," in " ".join(call("run", "--help").stdout.split())
    assert "(the single seed 2024 is written '2024,')" in call("run", "--model", "bigrec", "--seeds", "2024").stderr


def test_diagnose_takes_a_third_partys_loss_and_overwrites_nothing(call, tmp_path: Path) -> None:
    pytest.importorskip("recbench_focal")
    tiny = ["--set", "llm.hidden=32", "--set", "llm.layers=1", "--set", "llm.vocabulary=300", "--epochs", "1"]
    tiny += ["--train-samples", "32", "--set", "evaluate.validation_cases=4", "--set", "machine.threads=1"]
    words = ["diagnose", "--model", "bigrec", "--dataset", "csv", "--data-dir", "own.csv", "--device", "cpu", *tiny]
    folders: list[Path] = []
    for loss, seed in (("focal", "3,"), ("focal", "4,"), ("lml", "3,")):
        result = call(*words, "--loss", loss, "--seeds", seed, "--figures", "4")
        assert result.exit_code == 0, result.output
        folders.append(tmp_path / result.stdout.rpartition("figures: ")[2].strip())
        assert (folders[-1] / "figure4.png").is_file()
    assert len(set(folders)) == 3
    assert set(json.loads((folders[0] / "figure4.json").read_text())["curves"]) == {"LML", "focal"}
