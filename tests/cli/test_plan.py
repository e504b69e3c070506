"""``suite plan``: every distinct step once, each with a command that builds it; what a run builds is what it lists."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

import pytest

SUITE = """
defaults:
  dataset: csv
  data_dir: own.csv
  device: cpu
  seeds: 2
  set: {evaluate: {cases: 8, validation_cases: 4}, machine: {threads: 1}}
cells:
  - {model: sasrec, epochs: 1, train_samples: 32}
  - {model: popularity}
  - {model: sasrec, epochs: 1, train_samples: 32, grid: {backbone.hidden: [8, 16]}, name: tuned}
"""


@pytest.fixture
def own(call, tmp_path: Path):
    """``recbench`` in a folder with a suite whose file and runs have blanks in their names."""
    (tmp_path / "my suite.yaml").write_text(SUITE)
    return call


def planned(own) -> list[dict[str, Any]]:
    result = own("suite", "plan", "my suite.yaml", "--runs", "my runs", "--json")
    assert result.exit_code == 0, result.output
    return [json.loads(line) for line in result.stdout.splitlines()]


def there(tmp_path: Path) -> set[str]:
    return {path.parent.name for path in (tmp_path / "my runs/steps").glob("*/step.json")}


def test_each_command_builds_its_step_and_what_it_needs(own, tmp_path: Path) -> None:
    rows = planned(own)
    assert not (tmp_path / "my runs").exists()
    steps = {row["step"]: row for row in rows}
    assert len(steps) == len(rows)
    for number, row in enumerate(rows):
        assert set(row) == {
            "step", "kind", "title", "setting", "needs", "state", "seconds", "measured", "cells", "command",
        }  # fmt: skip
        assert (row["state"], row["measured"]) == ("to do", False)
        assert row["seconds"] >= 0
        assert set(row["needs"]) <= {before["step"] for before in rows[:number]}
    told = {(row["kind"], row["setting"]) for row in rows if row["cells"] == ["tuned"]}
    assert told == {(kind, f"hidden {width}") for kind in ("scoring", "ranking") for width in (8, 16)}
    assert {row["setting"] for row in rows if row["cells"] != ["tuned"]} == {None}
    (prepare,) = (row for row in rows if row["kind"] == "prepare")
    assert prepare["cells"] == ["sasrec", "popularity", "tuned"]

    def closure(step: str) -> set[str]:
        return {step}.union(*(closure(need) for need in steps[step]["needs"]))

    expected: set[str] = set()
    for row in reversed(rows):  # the last ones first: what they need is missing
        built = own(*shlex.split(row["command"])[1:])
        assert built.exit_code == 0, built.output
        expected |= closure(row["step"])
        assert there(tmp_path) == expected
    assert expected == set(steps)


def test_a_run_builds_the_planned_steps_and_the_rest_of_an_interrupted_one_is_shown(own, tmp_path: Path) -> None:
    first = planned(own)
    assert own("suite", "run", "my suite.yaml", "--runs", "my runs", "--only", "sasrec").exit_code == 0
    states = {row["step"]: row["state"] for row in planned(own)}
    assert states == {row["step"]: "there" if "sasrec" in row["cells"] else "to do" for row in first}
    tuned = {row["step"] for row in first if row["cells"] == ["tuned"]}
    for row in first:
        if row["step"] in tuned:
            assert own(*shlex.split(row["command"])[1:]).exit_code == 0
    last = planned(own)  # the options are chosen now, and what follows is known
    assert len(last) > len(first)
    assert own("suite", "run", "my suite.yaml", "--runs", "my runs").exit_code == 0
    assert there(tmp_path) == {row["step"] for row in last}
    assert {row["state"] for row in planned(own)} == {"there"}
    said = own("suite", "plan", "my suite.yaml", "--runs", "my runs").stdout
    assert f"{len(last)} distinct steps of 3 cells; all of them are there" in said


def test_the_plan_for_people(own) -> None:
    result = own("suite", "plan", "my suite.yaml")
    assert result.exit_code == 0
    assert "note: cell 'tuned': more steps follow once its options are chosen on validation" in result.stdout
    assert "to build a single step: recbench suite run 'my suite.yaml' --step STEP" in result.stdout
    assert "prepare own" in result.stdout
    wrong = own("suite", "run", "my suite.yaml", "--step", "prepare-0")
    assert wrong.exit_code == 2
    assert "--step 'prepare-0' is not a step of this plan" in wrong.stderr
