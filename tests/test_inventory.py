"""What a store holds, whose it is, and that pruning removes what nobody needs, and nothing else."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from recbench.experiment import run
from recbench.interfaces import SilentReporter
from recbench.inventory import inventory, prune
from recbench.planning import Plan, plan
from recbench.spec.request import Request
from recbench.steps.graph import graph
from recbench.steps.store import Store


def planned(folder: Path, **options: Any) -> Plan:
    words = {"model": "popularity", "dataset": "csv", "data_dir": str(folder / "own.csv"), "device": "cpu"}
    return plan(Request.model_validate({**words, "set": {"evaluate": options}}))


def finish(folder: Path, **options: Any) -> Any:
    return run(planned(folder, **options), (1,), folder / "runs", "", SilentReporter())


def stored(folder: Path) -> set[str]:
    return {path.name for path in (folder / "runs/steps").glob("[!.]*")}


def steps_of(found: Plan) -> set[str]:
    return {step.folder for step in graph(found.spec, 0)}


@pytest.fixture
def place(tmp_path: Path) -> Path:
    rows = [f"{u},{(u + i) % 40},{60 * i + u},The {(u + i) % 40}th Film" for u in range(40) for i in range(14)]
    (tmp_path / "own.csv").write_text("\n".join(["user,item,timestamp,title", *rows]) + "\n")
    return tmp_path


def test_the_inventory_names_steps_sizes_and_runs(place: Path) -> None:
    one, two = finish(place), finish(place, cases=20)
    entries = {entry.path.name: entry for entry in inventory(place / "runs")}
    assert entries.keys() == stored(place)
    assert len(entries) == 4  # they share data and model
    shared = next(entry for entry in entries.values() if entry.title == "train popularity, seed 0")
    assert set(shared.runs) == {one.run, two.run}
    rankings = [entry for entry in entries.values() if entry.title.startswith("rank")]
    assert sorted(entry.runs for entry in rankings) == sorted([(one.run,), (two.run,)])
    sizes = [entry.size for entry in inventory(place / "runs")]
    assert sizes == sorted(sizes, reverse=True)
    assert all(size > 0 for size in sizes)
    assert all(0 <= entry.age < 600 and entry.wanted and not entry.live for entry in entries.values())


def test_prune_removes_what_no_run_reaches_and_nothing_in_a_dry_run(place: Path) -> None:
    one, two = finish(place), finish(place, cases=20)
    assert prune(place / "runs", dry=False) == []
    shutil.rmtree(place / "runs" / two.run)
    lost = {step.folder for step in two.seeds[0].steps} - {step.folder for step in one.seeds[0].steps}
    before = stored(place)
    assert {entry.path.name for entry in prune(place / "runs", dry=True)} == lost
    assert stored(place) == before
    assert {entry.path.name for entry in prune(place / "runs", dry=False)} == lost
    assert stored(place) == {step.folder for step in one.seeds[0].steps}
    assert prune(place / "runs", dry=False) == []
    assert finish(place).seeds[0].started == one.seeds[0].started


def test_what_an_interrupted_run_made_is_kept(place: Path) -> None:
    finish(place)
    run_folder = next((place / "runs").glob("own-*"))
    (run_folder / "record.json").unlink()  # as if it had been killed before its first seed was done
    assert prune(place / "runs", dry=False) == []
    (run_folder / "local.json").unlink()
    assert len(prune(place / "runs", dry=False)) == 3


def test_a_record_that_was_set_aside_still_reaches_its_steps(place: Path) -> None:
    finish(place)
    run_folder = next((place / "runs").glob("own-*"))
    (run_folder / "record.json").rename(run_folder / "record-0123abcd.json")
    (run_folder / "local.json").unlink()
    assert prune(place / "runs", dry=False) == []


LIVE = """
import sys, time
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from test_inventory import planned
from recbench.steps.graph import graph
from recbench.steps.store import Store

folder = Path(sys.argv[1])
with Store(folder / "runs/steps").using([graph(planned(folder).spec, 0).ranked]):
    print("using", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def live(place: Path) -> Iterator[subprocess.Popen[str]]:
    """A process that uses the ranking, and so all that it was made of."""
    command = [sys.executable, "-c", LIVE, str(place), str(Path(__file__).parent)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "using\n"
    yield process
    process.kill()
    process.wait()


def test_what_a_live_process_uses_is_kept_until_it_ends(place: Path, live: subprocess.Popen[str]) -> None:
    finish(place)
    shutil.rmtree(next((place / "runs").glob("own-*")))
    assert all(entry.live and entry.wanted and not entry.runs for entry in inventory(place / "runs"))
    assert prune(place / "runs", dry=False) == []
    live.kill()
    live.wait()
    assert len(prune(place / "runs", dry=False)) == 3
    assert stored(place) == set()
    assert not list((place / "runs/steps/.live").iterdir())


def test_what_another_process_is_building_is_kept(place: Path) -> None:
    finish(place)
    shutil.rmtree(next((place / "runs").glob("own-*")))
    ranked = graph(planned(place).spec, 0).ranked
    with Store(place / "runs/steps")._locked(ranked.folder, None):
        assert {entry.path.name for entry in prune(place / "runs", dry=False)} == steps_of(planned(place)) - {
            ranked.folder
        }
    assert stored(place) == {ranked.folder}


def test_what_an_older_recbench_left_goes(place: Path) -> None:
    record = finish(place)
    older = place / "runs/artefacts/model-0123456789abcdef"
    older.mkdir(parents=True)
    (older / "key.json").write_text("{}")
    (place / "runs/artefacts/.locks").mkdir()
    old_format = place / "runs/steps/model-fedcba9876543210"
    shutil.copytree(place / "runs/steps" / record.seeds[0].steps[0].folder, old_format)
    (old_format / "step.json").write_text(json.dumps({"format": 1}))
    entries = {entry.path: entry for entry in inventory(place / "runs")}
    assert entries[older].title == entries[old_format].title == ""
    assert {entry.path for entry in prune(place / "runs", dry=True)} == {older, old_format}
    assert older.is_dir()
    assert {entry.path for entry in prune(place / "runs", dry=False)} == {older, old_format}
    assert not (place / "runs/artefacts").exists()
    assert stored(place) == {step.folder for step in record.seeds[0].steps}


def test_an_empty_folder_has_no_inventory(tmp_path: Path) -> None:
    assert inventory(tmp_path / "nothing") == prune(tmp_path / "nothing", dry=True) == []
    assert os.listdir(tmp_path) == []
