"""A suite's plan is what a run then builds; shared steps are built once; what is left after an interruption."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from recbench import inventory
from recbench.cells import Planned, SuitePlan, build_steps, planned, run_cell, suite_plan
from recbench.errors import UsageError
from recbench.interfaces import SilentReporter
from recbench.suites import Suite, load

SUITE = """
title: Small
defaults:
  dataset: csv
  data_dir: own.csv
  device: cpu
  epochs: 1
  train_samples: 64
  seeds: 2
  set:
    machine: {threads: 1}
    evaluate: {validation_cases: 10, cases: 20}
    backbone: {hidden: 8, layers: 1, heads: 1, inner: 8}
cells:
  - {model: popularity, name: popular}
  - {model: sasrec, name: plain}
  - {model: sasrec, name: deeper lists, set: {evaluate: {depth: 20}}}
  - {model: sasrec, name: tuned, seeds: 1, grid: {train.learning_rate: [0.001, 0.01]}}
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("suite")
    rows = [f"{u},{(u + i) % 40},{60 * i + u},The {(u + i) % 40}th Film" for u in range(40) for i in range(14)]
    (folder / "own.csv").write_text("\n".join(["user,item,timestamp,title", *rows]) + "\n")
    (folder / "small.yaml").write_text(SUITE)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        yield folder


@pytest.fixture
def suite(place: Path) -> tuple[Suite, dict[str, Planned]]:
    found = load("small.yaml")
    return found, {one.cell.name: one for one in planned(found, found.cells, [])}


def folders(found: SuitePlan, *states: str) -> set[str]:
    return {look.step.folder for look in found.steps if not states or look.state in states}


def stored(runs: Path) -> set[str]:
    return {path.name for path in (runs / "steps").glob("[!.]*")}


def test_the_plan_is_what_a_run_then_builds(place: Path, suite: Any, tmp_path: Path) -> None:
    found, cells = suite
    runs = tmp_path / "runs"
    fixed = [cells[name] for name in ("popular", "plain", "deeper lists")]
    before = suite_plan(fixed, runs)
    assert stored(runs) == set()  # planning builds nothing
    assert folders(before) == folders(before, "to do")
    assert len(before.steps) == 9  # data; popularity and two seeds of sasrec with their rankings, two lengths of these
    assert all(look.seconds > 0 for look in before.steps)
    assert sorted(map(len, before.uses.values())) == [1] * 6 + [2, 2, 3]
    assert before.open == []

    first = run_cell(found, cells["plain"], runs, SilentReporter())
    left = suite_plan(fixed, runs)  # an interrupted suite
    assert folders(left, "there") == stored(runs) == {s.folder for seed in first.seeds for s in seed.steps}
    assert folders(left, "to do") == folders(before) - stored(runs)

    records = [run_cell(found, one, runs, SilentReporter()) for one in fixed]
    assert stored(runs) == folders(before) == folders(suite_plan(fixed, runs), "there")
    built = [step.folder for record in (first, *records[::2]) for seed in record.seeds for step in seed.steps]
    reused = [s.folder for record in (first, *records[::2]) for seed in record.seeds for s in seed.steps if s.reused]
    assert sorted(set(built)) == sorted(folders(before))
    assert len(built) - len(reused) == len(before.steps)  # each was built once

    assert suite_plan(list(cells.values()), runs).open == ["tuned"]


def test_a_cell_with_a_grid_is_planned_to_its_end_once_it_has_chosen(place: Path, suite: Any, tmp_path: Path) -> None:
    found, cells = suite
    runs, one = tmp_path / "runs", [cells["tuned"]]
    before = suite_plan(one, runs)
    assert before.open == ["tuned"]
    assert len(before.steps) == 5  # data, two models, two validation rankings
    build_steps(before, [look.step.folder for look in before.steps], runs, SilentReporter())
    (data,) = (runs / "steps").glob("prepare-*")
    data.rename(tmp_path / "away")
    assert suite_plan(one, runs).open == ["tuned"]  # the choice needs it, and planning builds nothing
    assert not data.exists()
    (tmp_path / "away").rename(data)
    after = suite_plan(one, runs)
    assert after.open == []
    assert folders(after, "there") == folders(before)
    assert len(folders(after, "to do")) == 1  # the test ranking of the better setting
    record = run_cell(found, cells["tuned"], runs, SilentReporter())
    assert stored(runs) == folders(after)
    assert inventory.prune(runs, dry=False) == []  # what the choice rests on is kept with the run
    assert folders(suite_plan(one, runs), "there") == folders(after)
    shutil.rmtree(runs / record.run)
    assert len(inventory.prune(runs, dry=True)) == 1  # the steps that were asked for by name stay with the suite
    shutil.rmtree(runs / "suites")
    assert len(inventory.prune(runs, dry=False)) == len(after.steps)


def test_one_step_is_built_with_what_it_needs_and_no_more(place: Path, suite: Any, tmp_path: Path) -> None:
    _, cells = suite
    runs = tmp_path / "runs"
    found = suite_plan([cells["popular"]], runs)
    model = next(look.step for look in found.steps if look.step.kind == "scoring")
    build_steps(found, [model.folder], runs, SilentReporter())
    assert stored(runs) == {model.folder, model.needs["prepare"].folder}
    with pytest.raises(UsageError, match="not a step of this plan"):
        build_steps(found, ["scoring-0"], runs, SilentReporter())
