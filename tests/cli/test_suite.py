"""Suites and tuning: cells share steps, a second call does only what is missing, a report needs records alone."""

from __future__ import annotations

import json
import re
from pathlib import Path
from types import SimpleNamespace

import pytest

from recbench.results import read
from recbench.steps.store import read_meta

SMALL = """\
  dataset: csv
  data_dir: own.csv
  device: cpu
  seeds: 2
  epochs: 1
  train_samples: 32
  set:
    llm: {hidden: 32, layers: 1, vocabulary: 300}
    evaluate: {validation_cases: 4, cases: 8}
    machine: {threads: 1}
cells:
"""
SUITE = (
    """
title: Small
published: small.csv
names: {bigrec: BIGRec, lml: LML, sdpo: S-DPO}
defaults:
"""
    + SMALL
    + """  - {model: bigrec, loss: [lml, sdpo], name: "{model}+{loss}"}
  - {model: bigrec, loss: lml, decoder: exact, name: LML exact}
  - {model: bigrec, loss: msl, grid: {loss.tau: [1, 2]}, name: tuned}
comparisons:
  - {of: BIGRec+S-DPO, over: [BIGRec+LML]}
"""
)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory, tools: SimpleNamespace) -> SimpleNamespace:
    """A suite that ran."""
    folder = tmp_path_factory.mktemp("suite")
    tools.write_csv(folder / "own.csv")
    (folder / "small.yaml").write_text(SUITE)
    (folder / "small.csv").write_text("method,dataset,ndcg@10\nBIGRec+LML,toy,0.02\nBIGRec+S-DPO,toy,0.03\n")
    result = tools.invoke(folder, "suite", "run", "small.yaml")
    assert result.exit_code == 0, result.output
    call = lambda *args: tools.invoke(folder, *args)  # noqa: E731
    return SimpleNamespace(folder=folder, result=result, call=call, invoke=tools.invoke)


def cells(small: SimpleNamespace) -> dict[str, str]:
    return cells_in((small.folder / "runs/suites/small-own.json").read_text())


def cells_in(manifest: str) -> dict[str, str]:
    found: dict[str, str] = json.loads(manifest)["cells"]
    return found


def test_every_cell_has_a_record(small) -> None:
    assert list(cells(small)) == ["BIGRec+LML", "BIGRec+S-DPO", "LML exact", "tuned"]
    for run in cells(small).values():
        assert len(read(small.folder / "runs" / run / "record.json").seeds) == 2


def test_shared_steps_are_made_once(small) -> None:
    """The LML model serves its own cell, S-DPO as reference, and a second decoder."""
    records = {name: read(small.folder / "runs" / run / "record.json") for name, run in cells(small).items()}
    for number in (0, 1):
        steps = {name: {step.role: step for step in record.seeds[number].steps} for name, record in records.items()}
        lml = steps["BIGRec+LML"]["model"].folder
        assert steps["BIGRec+S-DPO"]["reference"].folder == lml
        assert steps["LML exact"]["model"].folder == lml
        assert steps["LML exact"]["model"].reused
        assert steps["BIGRec+S-DPO"]["model"].folder != lml
    counts = {kind: len(list((small.folder / "runs/steps").glob(f"{kind}-*"))) for kind in ("tuned", "preferred")}
    assert counts == {"tuned": 5, "preferred": 2}  # two seeds of LML, S-DPO and the chosen tau, one of the other tau
    table = [line.split() for line in small.result.stdout.splitlines()]
    assert ["tuned", "4", "8", "3"] in table  # of the recorded ones, LML's two serve three cells each


def test_a_second_call_computes_nothing(small) -> None:
    before = {p: p.stat().st_mtime_ns for p in (small.folder / "runs/steps").glob("*/*")}
    result = small.call("suite", "run", "small.yaml")
    assert result.exit_code == 0, result.output
    assert {p: p.stat().st_mtime_ns for p in (small.folder / "runs/steps").glob("*/*")} == before
    assert result.stderr.count("finished before") == 8


def test_tuning_is_part_of_the_record_and_saw_no_test_case(small) -> None:
    record = read(small.folder / "runs" / cells(small)["tuned"] / "record.json")
    assert record.spec["tuning"] == {"grid": {"loss.tau": [1, 2]}, "seed": 1, "trials": 2}
    assert "2 settings" in record.budget["tuning"]
    assert "recbench tune" in record.command
    assert "--grid loss.tau=1,2" in record.command
    # the loser was trained and never ranked on the test set
    rankings = [read_meta(path) for path in (small.folder / "runs/steps").glob("ranking-*")]
    assert sorted(meta["facts"]["part"] for meta in rankings) == ["test"] * 8 + ["validation"] * 2


def test_report_from_committed_records(small) -> None:
    printed = small.call("suite", "report", "small.yaml")
    assert printed.exit_code == 0, printed.output
    assert "| BIGRec+S-DPO † | 2 |" in printed.stdout
    assert "+50.0%" in printed.stdout  # published .03 over .02
    assert small.call("suite", "add", "small.yaml", "--records", "board").exit_code == 0
    (first,) = (small.folder / "board").glob("*bigrec-sdpo*.json")
    small.call("leaderboard", "add", first.stem, "--records", "rows/records", "--no-examples")
    said = small.call("suite", "add", "small.yaml", "--records", "rows/tables").stdout
    assert f"already there: rows/records/{first.name}" in said  # without the examples that were left out
    assert not (small.folder / "rows/tables" / first.name).exists()
    out = ["--records", "board", "--out", "page.md"]
    assert small.call("suite", "report", "small.yaml", *out).exit_code == 0
    assert (small.folder / "page.md").read_text().rstrip() == printed.stdout.rstrip()
    assert small.call("suite", "report", "small.yaml", *out, "--check").exit_code == 0
    latex = small.call("suite", "report", "small.yaml", "--format", "latex").stdout
    assert latex.startswith("% Generated by recbench suite report")
    assert r"BIGRec+S-DPO \dag{} & 2 &" in latex
    assert small.call("suite", "report", "small.yaml", *out[:2], "--out", "page.tex").exit_code == 0
    assert (small.folder / "page.tex").read_text().rstrip() == latex.rstrip()
    assert small.call("suite", "report", "small.yaml", *out, "--format", "html").exit_code == 2
    (small.folder / "page.md").write_text("edited")
    assert small.call("suite", "report", "small.yaml", *out, "--check").exit_code == 1


def test_cells_of_several_machines_come_together(small) -> None:
    """Adding one machine's cells keeps those of another; a cell whose record is gone, or that is none, is left out."""
    here = small.folder / "runs/suites/small-own.json"
    whole = here.read_text()
    manifest = small.folder / "both/suites/small-own.json"
    names = list(cells(small))
    try:
        for part in (names[2:], names[:2]):
            here.write_text(json.dumps({"suite": "small", "cells": {n: cells_in(whole)[n] for n in part}}))
            assert small.call("suite", "add", "small.yaml", "--records", "both").exit_code == 0
        assert manifest.read_text() == whole
        (small.folder / "both" / f"{cells_in(whole)[names[3]]}.json").unlink()
        manifest.write_text(whole.replace(f'"{names[2]}"', '"renamed"'))
        assert small.call("suite", "add", "small.yaml", "--records", "both").exit_code == 0
        assert list(cells_in(manifest.read_text())) == names[:2]
    finally:
        here.write_text(whole)


def test_a_report_does_not_mix_settings(small, tmp_path: Path) -> None:
    """A cell run with another budget, or defined otherwise now, is left out and counted in the family."""
    import shutil

    folder = tmp_path / "copy"
    shutil.copytree(small.folder, folder)
    lml = ["suite", "run", "small.yaml", "--only", "BIGRec+LML"]
    assert small.invoke(folder, *lml, "--seeds", "1", "--set", "evaluate.cases=6").exit_code == 0
    page = small.invoke(folder, "suite", "report", "small.yaml").stdout
    assert "BIGRec+LML: left out, since its record has evaluate.cases 6 and the suite 8" in page
    assert "0 of 1 declared comparison," in page
    assert small.invoke(folder, *lml, "--seeds", "1", "--set", "train.learning_rate=0.002").exit_code == 0
    page = small.invoke(folder, "suite", "report", "small.yaml").stdout
    assert re.search(
        r"LML exact[^\n]*: left out, since its train\.learning\\_rate differs from that of BIGRec\+LML", page
    )
    (folder / "small.yaml").write_text((folder / "small.yaml").read_text().replace("epochs: 1", "epochs: 2"))
    result = small.invoke(folder, "suite", "report", "small.yaml")
    assert result.exit_code == 2
    assert "No record of small fits" in result.stderr


BETTER = (
    """
defaults:
  model: bigrec
"""
    + SMALL
    + """  - {loss: [lml, sdpo], grid: {decoder: [constrained_beam, grounding]}, name: "{loss}"}
comparisons: [{of: sdpo, over: [lml], improvement: true}]
controls: [{of: sdpo, cell: lml, without: preferences}]
"""
)


def test_the_better_decoder_is_chosen_on_validation_of_one_model(small, tmp_path: Path) -> None:
    """As the paper reports Table 5: nothing is trained for the second decoder, and the record says what was chosen."""
    import shutil

    folder = tmp_path / "copy"
    shutil.copytree(small.folder, folder)
    (folder / "better.yaml").write_text(BETTER)
    trained = {p.name for kind in ("tuned", "preferred") for p in (folder / "runs/steps").glob(f"{kind}-*")}
    before = {p.name for p in (folder / "runs/steps").glob("ranking-*")}
    result = small.invoke(folder, "suite", "run", "better.yaml")
    assert result.exit_code == 0, result.output
    assert {p.name for kind in ("tuned", "preferred") for p in (folder / "runs/steps").glob(f"{kind}-*")} == trained
    metas = [read_meta(p) for p in (folder / "runs/steps").glob("ranking-*") if p.name not in before]
    tried = [meta["facts"]["decoder"]["name"] for meta in metas if meta["facts"]["part"] == "validation"]
    assert sorted(tried) == ["constrained_beam", "constrained_beam", "grounding", "grounding"]
    runs = json.loads((folder / "runs/suites/better-own.json").read_text())["cells"]
    for name in ("lml", "sdpo"):
        record = read(folder / "runs" / runs[name] / "record.json")
        assert record.spec["tuning"]["grid"] == {"decoder": ["constrained_beam", "grounding"]}
        found = re.findall(r"decoder=(\w+): validation NDCG@10 ([\d.]+)", result.stderr)
        scores = {decoder: float(score) for decoder, score in (found[:2] if name == "lml" else found[2:])}
        chosen = record.spec["recommender"]["decoder"]["name"]
        # the first of the grid unless the second is better by more than the error of their difference
        assert chosen in scores
        assert chosen == "constrained_beam" or scores["grounding"] > scores["constrained_beam"]
    page = small.invoke(folder, "suite", "report", "better.yaml", "--figure", "time.png")
    assert page.exit_code == 0, page.output
    assert "improvement over lml" in page.stdout
    assert "control, without preferences: lml" in page.stdout
    assert "(of 2)" in page.stdout
    assert "## Trie" in page.stdout
    assert (folder / "time.png").read_bytes().startswith(b"\x89PNG")
    refused = small.invoke(folder, "suite", "report", "better.yaml", "--figure", "time.svg")
    assert (refused.exit_code, "must end in .png" in refused.stderr) == (2, True)


def test_tune_prints_every_setting(small, tools) -> None:
    own = ["--dataset", "csv", "--data-dir", "own.csv", "--device", "cpu", *tools.text]
    result = small.call("tune", "--model", "bigrec", "--loss", "lml", "--grid", "loss.tau=1,2", *own)
    assert result.exit_code == 0, result.output
    assert "to run it: recbench tune" in result.stdout
    assert result.stdout.count("best") == 1


@pytest.mark.parametrize(
    ("content", "culprit"),
    [
        ("cells: [{model: bigrec, los: msl}]", "line 1: unknown key 'los'"),
        ("cells: [{model: nosuch}]", "nosuch"),
        ("cells: [{model: bigrec, set: {loss: {gamma: 1}}}]", "gamma"),
        (
            "cells: [{model: bigrec, loss: lml, grid: {loss.tau: [1]}}]",
            "bad.yaml, line 1: loss.tau=1: it takes two or more",
        ),
        ("cells:\n- model: bigrec\n  grid: {loss.tua: [1, 2]}", "bad.yaml, line 3: loss.tua does not exist"),
        ("defaults:\n  grid: {loss.tua: [1, 2]}\ncells: [{model: bigrec}]", "bad.yaml, line 2: loss.tua"),
        ("cells: [{model: bigrec, loss: lml, grid: {decoder: [exact, beem]}}]", "beem"),
    ],
)
def test_bad_suites(tmp_path: Path, tools: SimpleNamespace, content: str, culprit: str) -> None:
    (tmp_path / "bad.yaml").write_text(content)
    before = sorted(tmp_path.rglob("*"))
    result = tools.invoke(tmp_path, "suite", "run", "bad.yaml")
    assert result.exit_code == 2, result.output
    assert culprit in result.stderr
    assert "Traceback" not in result.output
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize(
    ("args", "culprit"),
    [
        (["suite", "run", "tabel5"], "table5"),
        (["suite", "run", "gone.yaml"], "gone.yaml"),
        (["suite", "run", "smoke", "--only", "sasrek"], "sasrek"),
        (["suite", "report", "smoke"], "no finished cell"),
        (["tune", "--model", "bigrec"], "nothing to tune"),
        (["tune", "--model", "bigrec", "--grid", "tau=1,2"], "GROUP.OPTION"),
        (["tune", "--model", "bigrec", "--grid", "loss.tau=1"], "two or more"),
        (["tune", "--model", "bigrec", "--grid", "loss.tau=1,1"], "two or more"),
        (["tune", "--model", "bigrec", "--grid", "loss.tau=1,2", "--grid", "loss.tau=3,4"], "occurs twice"),
        (["tune", "--model", "bigrec", "--grid", "loss.tua=1,2"], "tua"),
        (["tune", "--model", "bigrec", "--grid", "evaluate.validation_cases=1,2"], "must share their evaluate options"),
        (["suite", "run", "smoke", "--part", "3/2"], "--part"),
        (["diagnose", "--model", "sasrec"], "--model sasrec"),
        (["diagnose", "--model", "bigrec", "--loss", "sdpo"], "--loss sdpo"),
        (["diagnose", "--model", "bigrec", "--figures", "7"], "--figures 7"),
        (["diagnose", "--model", "bigrec", "--taus", "0"], "--taus 0"),
    ],
)
def test_bad_requests(tmp_path: Path, tools: SimpleNamespace, args: list[str], culprit: str) -> None:
    result = tools.invoke(tmp_path, *args)
    assert result.exit_code == 2, result.output
    assert culprit in result.stderr
    assert "Traceback" not in result.output
    assert not any(tmp_path.iterdir())


def test_a_failing_cell_does_not_stop_the_others(tmp_path: Path, tools: SimpleNamespace) -> None:
    tools.write_csv(tmp_path / "own.csv")
    (tmp_path / "two.yaml").write_text(
        "defaults: {dataset: csv, data_dir: own.csv, device: cpu}\n"
        "cells:\n"
        "  - {model: bigrec, loss: sdpo, name: too many, epochs: 1, train_samples: 16,\n"
        "     set: {loss: {negatives: 60}, llm: {hidden: 32, layers: 1, vocabulary: 300},\n"
        "           evaluate: {validation_cases: 4, cases: 8}}}\n"
        "  - {model: popularity}\n"
    )
    result = tools.invoke(tmp_path, "suite", "run", "two.yaml")
    assert result.exit_code == 1, result.output
    assert "negatives=60" in result.stderr
    assert "'too many' failed" in result.stderr
    assert list(json.loads((tmp_path / "runs/suites/two-own.json").read_text())["cells"]) == ["popularity"]
