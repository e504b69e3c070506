"""Damaged, old or unlike records and steps: one sentence that names them."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from sentences import assert_one_sentence, listing

RUN = ["run", "--device", "cpu", "--model"]
OWN = ["--dataset", "csv", "--data-dir"]


@pytest.mark.parametrize(
    ("args", "culprits"),
    [
        (["show", "nope"], ["'nope'"]),
        (["show", "own-pop"], ["'own-pop'", "several"]),
        (["show", "{text}", "--user", "nobody"], ["'nobody'"]),
        (["show", "{text}", "--seed", "5"], ["--seed 5", "3, 17"]),
        (["show", "{text}", "--case", "999"], ["--case 999"]),
        (["compare", "{popularity}", "{few}"], ["{popularity}", "{few}", "different test cases"]),
        (["compare", "{few}", "{text}", "{popularity}"], ["different test cases"]),
        (["compare", "{few}", "{text}", "--metric", "NDCG@11"], ["NDCG@11 needs lists of 11 items"]),
        (["leaderboard", "add", "{few}", "nope"], ["'nope'"]),
    ],
)
def test_records_that_do_not_fit(args: list[str], culprits: list[str], done) -> None:
    before = listing(done.folder)
    result = done.call(*(a.format(**done.ids) for a in args))
    assert_one_sentence(result, *(c.format(**done.ids) for c in culprits), code=2)
    assert listing(done.folder) == before


@pytest.mark.parametrize(
    ("history", "culprits"),
    [
        ([], ["history is empty", "--history"]),
        (["--history", "Film & 3", "--history", "Film & 99"], ["'Film & 99' is not in the catalogue", "did you mean"]),
        (["--history", "i3", "--k", "41"], ["k=41", "1 and 40", "items"]),
        (["--history", "i3", "--seed", "5"], ["seed 5", "3, 17"]),
    ],
)
def test_histories_that_cannot_be(history: list[str], culprits: list[str], done) -> None:
    assert_one_sentence(done.call("recommend", done.ids["text"], *history), *culprits, code=2)


def test_a_record_of_another_protocol_is_not_compared(call) -> None:
    runs = []
    for protocol in ("sliding", "leave_one_out"):
        words = ["--set", f"dataset.protocol={protocol}", "--set", "evaluate.cases=8"]
        runs.append(call("run", "--model", "popularity", *OWN, "own.csv", *words).stdout.split()[1])
    refused = call("compare", *runs)
    assert_one_sentence(refused, *runs, "protocol sliding", "protocol leave_one_out", "different test cases", code=2)


@pytest.mark.parametrize("damage", ["truncated", "edited", "other"])
def test_damaged_records(damage: str, call, done, tmp_path: Path) -> None:
    text = (done.folder / "runs" / done.ids["few"] / "record.json").read_text()
    text = {"truncated": text[:-100], "edited": text.replace('"seed":0', '"seed":1'), "other": "{}"}[damage]
    (tmp_path / "bad.json").write_text(text)
    (tmp_path / "leaderboards/records").mkdir(parents=True)
    (tmp_path / "leaderboards/records/bad.json").write_text(text)
    before = listing(tmp_path)
    for command in (
        ["compare", "bad.json", "bad.json"],
        ["leaderboard", "add", "bad.json"],
        ["leaderboard", "build"],
        ["leaderboard", "rerun"],
    ):
        assert_one_sentence(call(*command), "bad.json", code=1)
    assert listing(tmp_path) == before


def test_show_without_its_steps(call, done, tmp_path: Path) -> None:
    shutil.copytree(done.folder / "runs" / done.ids["few"], tmp_path / "runs" / "gone")
    assert_one_sentence(call("show", "gone"), done.ids["few"], "runs/steps", "--again", code=1)


def test_a_step_of_an_older_version_is_refused(call, tmp_path: Path) -> None:
    words = ["run", "--model", "popularity", *OWN, "own.csv"]
    assert call(*words).exit_code == 0
    (meta,) = (tmp_path / "runs/steps").glob("prepare-*/step.json")
    meta.write_text(json.dumps({**json.loads(meta.read_text()), "format": 1}))
    assert_one_sentence(call(*words), str(meta.parent.name), "another version of recbench", "remove the folder", code=1)
    listed = call("store").stdout
    assert next(line for line in listed.splitlines() if meta.parent.name in line).endswith("left by an older recbench")


def test_what_an_older_recbench_left_is_listed_and_pruned(call, tmp_path: Path) -> None:
    old = tmp_path / "runs/artefacts/model-0123456789abcdef"
    old.mkdir(parents=True)
    (old / "stage.json").write_text("{}")
    assert "model-0123456789abcdef  left by an older recbench" in call("store").stdout
    assert "would remove" in call("store", "prune", "--dry-run").stdout
    assert old.is_dir()
    pruned = call("store", "prune")
    assert (pruned.exit_code, "1 step, " in pruned.stdout) == (0, True)
    assert not (tmp_path / "runs/artefacts").exists()


def test_a_step_that_another_process_builds_is_waited_for(call, tmp_path: Path) -> None:
    words = ["run", "--model", "popularity", *OWN, "own.csv"]
    assert call(*words).exit_code == 0
    (step,) = (path.name for path in (tmp_path / "runs/steps").glob("prepare-*"))
    shutil.rmtree(tmp_path / "runs")
    locks = tmp_path / "runs/steps/.locks"
    locks.mkdir(parents=True)
    hold = "import sys, time, filelock\nwith filelock.FileLock(sys.argv[1]):\n print('held', flush=True); time.sleep(2)"
    holder = subprocess.Popen(
        [sys.executable, "-c", hold, str(locks / f"{step}.lock")], stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    result = call(*words)
    assert holder.wait() == 0
    assert result.exit_code == 0, result.output
    assert f"waiting for another process that is building {step} in runs/steps" in result.stderr
