"""Damaged steps, records and lists in a folder of runs: refused with a sentence, or made again; never believed."""

from __future__ import annotations

import json
import random
import shutil
from pathlib import Path
from typing import Any

import pytest

STEPS = {
    "step.json": "steps/prepare-*/step.json",
    "split.json": "steps/prepare-*/split.json",
    "split.npz": "steps/prepare-*/split.npz",
    "model": "steps/scoring-*/model.safetensors",
    "model report": "steps/scoring-*/report.json",
    "ranking": "steps/ranking-*/ranking.npz",
    "ranking report": "steps/ranking-*/report.json",
}
OWN = ["--dataset", "csv", "--data-dir", "own.csv", "--device", "cpu"]
POPULARITY = ["run", "--model", "popularity", *OWN, "--set", "evaluate.cases=8"]
CHANGES: list[Any] = [None, True, -1, 10**40, 1.5, "x", "../../x", [], {}, [[]], {"a": 1}, "\ud800", "x" * 10_000]


def one(folder: Path, pattern: str) -> Path:
    (found,) = folder.glob(pattern)
    return found


@pytest.mark.parametrize("name", STEPS)
def test_a_damaged_step_is_refused(name: str, damage: Any, again: Any) -> None:
    """Also where the record is gone, so that the step is used."""
    damage(one(again.work / "runs", STEPS[name]), again.outside)
    shutil.rmtree(one(again.work / "runs", "own-*"))
    again.call(*POPULARITY, refused=True)
    again.call("store", refused=False)


def test_a_damaged_record(damage: Any, again: Any) -> None:
    record = one(again.work / "runs", "*/record.json")
    run = record.parent.name
    damage(record, again.outside)
    for words in (["show", run], ["compare", run, run], ["leaderboard", "add", run, "--records", "lb"], ["table"]):
        again.call(*words)
    assert not (again.work / "lb").exists() or record.name == "x"
    again.call("store", refused=False)


def test_a_damaged_list_of_steps_is_only_a_list(damage: Any, again: Any) -> None:
    damage(one(again.work / "runs", "*/local.json"), again.outside)
    again.call("store", refused=False)
    again.call("show", "own-popularity", "--case", "0")
    again.call("store", "prune", "--dry-run", refused=False)
    again.call(*POPULARITY)


@pytest.mark.parametrize("seed", range(24))
def test_a_step_whose_facts_are_something_else(seed: int, again: Any) -> None:
    """A value somewhere in step.json is another one: its name no longer fits, or the reader says what is wrong."""
    draws = random.Random(seed)
    path = (
        one(again.work / "runs", draws.choice(["steps/prepare-*", "steps/scoring-*", "steps/ranking-*"])) / "step.json"
    )
    meta = json.loads(path.read_bytes())
    name = draws.choice(sorted(meta))
    meta[name] = draws.choice(CHANGES)
    path.write_text(json.dumps(meta))
    shutil.rmtree(one(again.work / "runs", "own-*"))
    again.call(*POPULARITY)
    again.call("store", refused=False)


@pytest.mark.parametrize("payload", ["pickle", "object array", "zip-slip", "bomb", "many", "no arrays"])
def test_a_hostile_ranking(payload: str, again: Any) -> None:
    """Even with a right sha256 in step.json nothing in an npz file is executed or written anywhere."""
    import hashlib
    import io
    import pickle
    import zipfile

    import numpy as np

    class Call:
        def __reduce__(self) -> Any:
            return Path.touch, (again.canary,)

    path = one(again.work / "runs", STEPS["ranking"])
    if payload == "pickle":
        path.write_bytes(pickle.dumps(Call()))
    elif payload == "object array":
        np.savez(path, items=np.array([Call()], dtype=object), scores=np.zeros(1), invalid=0.0)
    else:
        header = io.BytesIO()
        np.lib.format.write_array_header_1_0(
            header, {"descr": "<i8", "fortran_order": False, "shape": (10**9, 10**6) if payload == "bomb" else (1,)}
        )
        names = {"zip-slip": ["../../../../outside/canary", "items.npy"], "many": [f"{i}.npy" for i in range(5000)]}
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for name in names.get(payload, ["items.npy", "scores.npy", "invalid.npy"] if payload == "bomb" else []):
                archive.writestr(name, header.getvalue() + bytes(8))
    meta = path.with_name("step.json")
    content = json.loads(meta.read_bytes())
    content["files"]["ranking.npz"] = hashlib.sha256(path.read_bytes()).hexdigest()
    meta.write_text(json.dumps(content))
    shutil.rmtree(one(again.work / "runs", "own-*"))
    again.call(*POPULARITY, refused=True)


@pytest.mark.parametrize("kind", ["link to a file", "link to a folder", "link up", "pipe", "name"])
def test_what_a_step_never_wrote(kind: str, again: Any) -> None:
    import os

    folder = one(again.work / "runs", "steps/scoring-*")
    if kind == "pipe":
        os.mkfifo(folder / "pipe")
    elif kind == "name":
        (folder / "a\nb\x1b[31m").write_text("x")
    else:
        targets = {"link to a file": again.outside / "secret", "link to a folder": again.outside, "link up": Path("..")}
        (folder / "link").symlink_to(targets[kind])
    shutil.rmtree(one(again.work / "runs", "own-*"))
    again.call(*POPULARITY)
    again.call("store", refused=False)
    again.call("store", "prune")
    assert (again.outside / "secret").read_text() == "secret"
