"""Each way to be wrong: one sentence that names the culprit, exit code 1 or 2, nothing left behind."""

from __future__ import annotations

import errno
import json
import os
import shutil
from pathlib import Path

import pytest

from recbench import device, files
from sentences import assert_one_sentence, listing

RUN = ["run", "--device", "cpu", "--model"]
OWN = ["--dataset", "csv", "--data-dir"]


@pytest.fixture
def inputs(call, tmp_path: Path) -> None:
    """Files that are wrong in one way each."""
    text = (tmp_path / "own.csv").read_text()
    (tmp_path / "list.yaml").write_text("- model\n")
    (tmp_path / "broken.yaml").write_text("model: [llara\n")
    (tmp_path / "key.yaml").write_text("model: bigrec\nsedes: 3\n")
    (tmp_path / "kind.yaml").write_text("model: bigrec\nepochs: many\n")
    (tmp_path / "seeds.yaml").write_text("model: bigrec\nseeds: [1, two]\n")
    (tmp_path / "option.yaml").write_text("model: bigrec\nset: {loss: {tua: 2}}\n")
    (tmp_path / "suite.yaml").write_text("cells: [{modle: bigrec}]\n")
    (tmp_path / "lists.csv").write_text("case,item\n0,nothing\n")
    (tmp_path / "column.csv").write_text(text.replace("timestamp", "time"))
    (tmp_path / "time.csv").write_text(text.replace(",1000,", ",noon,"))
    (tmp_path / "titles.csv").write_text("item,title\ni1,One\n")
    (tmp_path / "short.csv").write_text("\n".join(text.splitlines()[:6]) + "\n")
    (tmp_path / "empty.csv").write_text("")
    (tmp_path / "blocked").write_text("a file in the way")
    (tmp_path / "model").mkdir()
    (tmp_path / "release").mkdir()
    rows = "user_id,item_ids,timestamp\n" + "".join(f'{u},"[0, 1, {u % 2}]",{u}\n' for u in range(30))
    for name in ("release", "rows"):
        (tmp_path / name).mkdir(exist_ok=True)
        (tmp_path / name / "train.csv").write_text(rows)
        (tmp_path / name / "test.csv").write_text(rows)
    (tmp_path / "rows" / "id2name4Rec.json").write_text(json.dumps({"0": "A", "1": "B"}))
    (tmp_path / "rows" / "test.csv").write_text("user_id,item_ids,timestamp\n7,none,99\n")


CASES = {
    "command": (["rum"], "'rum'", "'run'"),
    "subcommand": (["leaderboard", "ad"], "'ad'", "'add'"),
    "flag": (["run", "--modle", "llara"], "--modle", "--model"),
    "no model": (["run"], "--model"),
    "backbone": ([*RUN, "lara"], "backbone 'lara'", "'llara'"),
    "loss": ([*RUN, "bigrec", "--loss", "mls"], "loss 'mls'", "'ms"),
    "decoder": ([*RUN, "bigrec", "--decoder", "beam"], "decoder 'beam'"),
    "data set": ([*RUN, "bigrec", "--dataset", "ml-10k"], "'ml-10k'", "'ml-100k'"),
    "too many seeds": ([*RUN, "bigrec", "--seeds", "99999999999"], "99999999999"),
    "bounds of tau": ([*RUN, "bigrec", "--loss", "msl", "--set", "loss.tau_min=9"], "tau_min=9 exceeds tau_max"),
    "word for tau": ([*RUN, "bigrec", "--loss", "msl", "--set", "loss.tau=hot"], "loss.tau", "ats, none or a positive"),
    "heads": ([*RUN, "bigrec", "--set", "llm.hidden=30"], "heads=4", "hidden=30"),
    "narrow beam": ([*RUN, "bigrec", "--set", "decoder.beams=3"], "decoder.beams=3", "at least 10"),
    "no batch": ([*RUN, "bigrec", "--set", "decoder.batch_size=0"], "decoder.batch_size=0", "auto or a whole number"),
    "near tiny": ([*RUN, "bigrec", "--llm", "tny"], "'tny'", "'tiny'"),
    "preset": ([*RUN, "bigrec", "--preset", "papr"], "'papr'", "'paper'"),
    "device": (["run", "--model", "bigrec", "--device", "gpu"], "--device", "gpu"),
    "loss for scores": ([*RUN, "sasrec", "--loss", "msl"], "msl", "sasrec"),
    "decoder for text": ([*RUN, "llara", "--decoder", "topk"], "topk", "llara"),
    "untrained with loss": ([*RUN, "popularity", "--loss", "msl"], "popularity"),
    "scores with llm": ([*RUN, "sasrec", "--llm", "owner/name"], "--llm", "sasrec"),
    "no seeds": ([*RUN, "bigrec", "--seeds", "0"], "--seeds 0"),
    "negative count": ([*RUN, "bigrec", "--seeds", "-2"], "--seeds -2"),
    "negative seed": ([*RUN, "bigrec", "--seeds", "3,-1"], "--seeds 3,-1"),
    "seed twice": ([*RUN, "bigrec", "--seeds", "3,4,3"], "seed 3", "twice"),
    "seeds in words": ([*RUN, "bigrec", "--seeds", "five"], "--seeds five", "3,17,42"),
    "set without value": ([*RUN, "bigrec", "--set", "loss.tau"], "'loss.tau'"),
    "set without group": ([*RUN, "bigrec", "--set", "tau=2"], "'tau=2'"),
    "set of no YAML": ([*RUN, "bigrec", "--set", "loss.tau=[2"], "--set loss.tau=[2: this is not YAML"),
    "option": ([*RUN, "bigrec", "--loss", "msl", "--set", "loss.tua=2"], "loss.tua", "'tau'"),
    "group": ([*RUN, "bigrec", "--set", "los.tau=2"], "los.tau", "'loss'"),
    "value": ([*RUN, "bigrec", "--loss", "msl", "--set", "loss.eta=warm"], "loss.eta='warm'"),
    "epochs 0": ([*RUN, "bigrec", "--epochs", "0"], "--epochs"),
    "epochs in words": ([*RUN, "bigrec", "--epochs", "many"], "--epochs", "many"),
    "no config": ([*RUN, "bigrec", "--config", "none.yaml"], "none.yaml"),
    "config no YAML": ([*RUN, "bigrec", "--config", "broken.yaml"], "broken.yaml"),
    "config a list": ([*RUN, "bigrec", "--config", "list.yaml"], "list.yaml"),
    "config key": (["run", "--config", "key.yaml"], "'sedes'", "'seeds'"),
    "config kind": (["run", "--config", "kind.yaml"], "kind.yaml", "epochs", "'many'"),
    "config seeds": (["run", "--config", "seeds.yaml"], "seeds.yaml", "seeds"),
    "config option": (["run", "--config", "option.yaml"], "option.yaml", "loss.tua"),
    "no data": ([*RUN, "popularity", *OWN, "none.csv"], "none.csv"),
    "data a folder": ([*RUN, "popularity", *OWN, "release"], "release"),
    "data not said": ([*RUN, "popularity", "--dataset", "csv"], "csv"),
    "data not one's own": ([*RUN, "popularity", "--data-dir", "release"], "--data-dir", "ml-100k"),
    "data empty": ([*RUN, "popularity", *OWN, "empty.csv"], "empty.csv"),
    "data column": ([*RUN, "popularity", *OWN, "column.csv"], "column.csv", "timestamp", "dataset.user"),
    "data as a name": ([*RUN, "popularity", "--dataset", "own.csv"], "--dataset csv --data-dir own.csv"),
    "data folder as a name": ([*RUN, "popularity", "--dataset", "release"], "--dataset prepared --data-dir release"),
    "data command": (["data", "audti", "own.csv"], "not audti, own.csv", "'audit'"),
    "data time": ([*RUN, "popularity", *OWN, "time.csv"], "time.csv", "noon"),
    "data too small": ([*RUN, "popularity", *OWN, "short.csv"], "short.csv"),
    "item without title": (
        [*RUN, "popularity", *OWN, "own.csv", "--set", "dataset.titles=titles.csv"],
        "title",
        "titles.csv",
    ),
    "no titles file": ([*RUN, "popularity", "--dataset", "prepared", "--data-dir", "release"], "id2name4Rec.json"),
    "row no list": ([*RUN, "popularity", "--dataset", "prepared", "--data-dir", "rows"], "test.csv", "none"),
    "runs a file": ([*RUN, "popularity", *OWN, "own.csv", "--runs", "blocked"], "blocked"),
    "runs below a file": ([*RUN, "popularity", *OWN, "own.csv", "--runs", "blocked/runs"], "blocked"),
    "no llm": ([*RUN, "bigrec", "--llm", "./none"], "--llm", "./none"),
    "llm without config": ([*RUN, "bigrec", "--llm", "./model"], "./model", "config.json"),
    "no gguf": ([*RUN, "bigrec", "--llm", "none.gguf"], "none.gguf"),
    "data of no file": (["data", "audit", "nothere.csv"], "There is no file or folder 'nothere.csv'"),
    "data of no atomic file": (["data", "nothere.INTER"], "There is no file or folder 'nothere.INTER'"),
    "data of no folder": (["data", "audit", "not/here"], "There is no file or folder 'not/here'"),
    "data of no set": (["data", "ml-10k"], "'ml-10k'"),
    "cases into data": (["data", "cases", "csv", "--data-dir", "own.csv", "--out", "release"], "release", "test.csv"),
    "cases next to data": (
        ["data", "cases", "csv", "--data-dir", "own.csv", "--out", "."],
        "--out .",
        "where the data",
    ),
    "data option": (
        ["data", "csv", "--data-dir", "own.csv", "--set", "dataset.cor=3"],
        "--set dataset.cor does not exist",
        "'core'",
    ),
    "data group": (["data", "csv", "--set", "loss.tau=3"], "--set loss.tau does not apply", "dataset.core=5"),
    "list": (["list", "looses"], "'looses'", "'losses'"),
    "describe kind": (["describe", "los", "msl"], "'los'", "'loss'"),
    "describe name": (["describe", "loss", "mls"], "'mls'", "'ms"),
    "describe nothing": (["describe", "loss"], "loss", "msl"),
    "no runs": (["show", "x"], "'x'", "no run"),
    "no record in folder": (["show", "release"], "release", "record.json"),
    "no records": (["leaderboard", "build"], "leaderboards/records"),
    "no records to rerun": (["leaderboard", "rerun"], "leaderboards/records"),
    "rerun form": (["leaderboard", "rerun", "--data-dir", "book"], "'book'"),
    "table of nothing": (["table", "own"], "No run of data set 'own'"),
    "suite name": (["suite", "plan", "tabel3"], "'tabel3'", "'table3'"),
    "suite of no YAML": (["suite", "run", "broken.yaml"], "broken.yaml, line 2"),
    "suite key": (["suite", "plan", "suite.yaml"], "suite.yaml, line 1", "'modle'", "'model'"),
    "teacher": ([*RUN, "dllm2rec", "--set", "teacher.loss=mls"], "teacher", "'mls'"),
    "no lists": (["evaluate", "--rankings", "none.csv", "--name", "X", *OWN, "own.csv"], "none.csv"),
    "lists of nothing known": (["evaluate", "--rankings", "lists.csv", "--name", "X", *OWN, "own.csv"], "lists.csv"),
    "plugin kind": (["plugin", "new", "los", "mine"], "'los'", "'loss'"),
    "plugin name": (["plugin", "check", "mls"], "'mls'", "'ms"),
    "prepare": (["data", "prepare", "boook", "--out", "x"], "'boook'", "'book'"),
    "compare with nothing": (["compare", "x"], "'x'"),
}


@pytest.mark.usefixtures("inputs")
@pytest.mark.parametrize("name", CASES)
def test_one_sentence(name: str, call, tmp_path: Path) -> None:
    before = listing(tmp_path)
    args, *culprits = CASES[name]
    assert_one_sentence(call(*args), *culprits)
    assert listing(tmp_path) == before


@pytest.mark.usefixtures("inputs")
def test_a_failing_run_leaves_an_existing_runs_folder_as_it_was(call, done, tmp_path: Path) -> None:
    shutil.copytree(done.folder / "runs", tmp_path / "runs")
    before = listing(tmp_path)
    assert_one_sentence(call(*RUN, "popularity", *OWN, "time.csv"), "time.csv", code=1)
    assert listing(tmp_path) == before


def test_cuda_that_is_not_there(call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    before = listing(tmp_path)
    result = call("run", "--model", "popularity", *OWN, "own.csv", "--device", "cuda")
    assert_one_sentence(result, "--device cuda", code=2)
    assert listing(tmp_path) == before


def test_full_disk(call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(files.os, "fsync", full)
    before = listing(tmp_path)
    assert_one_sentence(call(*RUN, "popularity", *OWN, "own.csv"), "space", code=1)
    assert listing(tmp_path) == before


def test_unexpected_errors_are_one_line_unless_debugging(call, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> None:
        raise KeyError("inside")

    monkeypatch.setattr("recbench.data.catalog.datasets", broken)
    result = call("list", "datasets")
    assert (result.exit_code, len(result.stderr.splitlines())) == (1, 1)
    assert "KeyError" in result.stderr
    assert "RECBENCH_DEBUG" in result.stderr
    monkeypatch.setenv("RECBENCH_DEBUG", "1")
    assert "Traceback" in call("list", "datasets").stderr


def test_a_run_without_a_finished_seed_is_known(call, tmp_path: Path) -> None:
    (tmp_path / "runs/own-sasrec-ce-topk-1234abcd").mkdir(parents=True)
    (tmp_path / "runs/own-sasrec-ce-topk-1234abcd/local.json").write_text("{}")
    assert_one_sentence(call("show", "own-sasrec"), "own-sasrec", "has not finished a seed", code=2)
    assert_one_sentence(call("show", "own-dros"), "own-dros", "no run yet", code=2)
    assert_one_sentence(call("show", str(tmp_path / "none")), "Unknown run", "no run yet", code=2)


def test_interrupt(call, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("recbench.planning.plan", interrupted)
    result = call(*RUN, "bigrec")
    assert result.exit_code == 130
    assert result.stderr == "recbench: interrupted; finished work is kept, and the same command continues\n"


# ---- files and values as people write them -------------------------------------------------------------------------


def test_a_pipe_is_not_waited_for(call, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.yaml")
    assert_one_sentence(call("run", "--config", "pipe.yaml"), "pipe.yaml is not a regular file", code=2)


@pytest.mark.parametrize(
    ("content", "culprits"),
    [
        ("model: bigrec\nloss: msl\nmodel: llara\n", ["x.yaml, line 3", "'model'", "line 1"]),
        ("model: bigrec\nset:\n  evaluate:\n    cases: 1:30\n", ["x.yaml, line 4", "evaluate.cases='1:30'"]),
        ("model: bigrec\nset:\n  train: {schedule: on}\n", ["x.yaml, line 3", "train.schedule='on'"]),
        ("model: bigrec\nset: {loss: {tua: 2}}\n", ["x.yaml, line 2", "loss.tua", "'tau'"]),
        ("model: &a bigrec\nloss: *a\n", ["x.yaml, line 1", "anchors"]),
    ],
)
def test_errors_of_a_file_name_its_line(content: str, culprits: list[str], call, tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_text(content)
    assert_one_sentence(call("run", "--config", "x.yaml"), *culprits, code=2)


def test_numbers_are_read_as_they_look(call) -> None:
    words = ["run", "--model", "bigrec", "--dataset", "csv", "--data-dir", "own.csv", "--dry-run"]
    lines = [line.split() for line in call(*words, "--set", "evaluate.cases=010").stdout.splitlines()]
    assert ["cases", "10", "--set"] in lines
    lines = [line.split() for line in call(*words, "--set", "train.learning_rate=1e-3").stdout.splitlines()]
    assert ["learning_rate", "0.001", "--set"] in lines


def test_an_error_names_who_said_the_value(call, tmp_path: Path) -> None:
    (tmp_path / "s.yaml").write_text(
        "cells:\n  - {model: bigrec, name: one}\n  - model: bigrec\n    name: two\n    set: {loss: {tua: 2}}\n"
    )
    (tmp_path / "x.yaml").write_text("model: bigrec\nepochs: 0\n")
    for words, begin in (
        (["suite", "plan", "s.yaml"], "recbench: Within cell 'two', suite s.yaml, line 5: loss.tua does not exist"),
        (
            ["suite", "plan", "s.yaml", "--set", "los.tau=1"],
            "recbench: Within cell 'one', --set los.tau does not apply, since this run has no",
        ),
        (["run", "--config", "x.yaml"], "recbench: x.yaml, line 2: epochs=0 is not valid"),
        (["run", "--config", "x.yaml", "--epochs", "2", "--seeds", "0"], "recbench: --seeds 0 is not valid"),
    ):
        result = call(*words)
        assert result.stderr.startswith(begin), result.stderr
        assert_one_sentence(result, code=2)


def test_a_tilde_is_the_home_for_every_command(call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert call("run", "--model", "popularity", *OWN, "own.csv", "--runs", "~/x").exit_code == 0
    (record,) = (tmp_path / "home/x").glob("*/record.json")
    assert not (tmp_path / "~").exists()
    for words in (["show", record.parent.name], ["table"], ["store"], ["compare", record.parent.name, str(record)]):
        result = call(*words, "--runs", "~/x")
        assert result.exit_code == 0, result.output
    assert not (tmp_path / "runs").exists()


def test_device_detection(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device, "_gpu", lambda: True)
    monkeypatch.setattr(device.metadata, "version", lambda name: "2.13.0+cpu")
    assert device.automatic() == "cpu"
    monkeypatch.setattr(device.metadata, "version", lambda name: "2.13.0")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert device.automatic() == "cuda"
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert device.automatic() == "cpu"
