"""A third party's plugin that changes between two runs (C1), and files behind its options (C2): never mixed, all said.

The plugin lies in a folder on the path, with the metadata that pip would leave. Every run is a process of its own.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from recbench.results import read

LOSS = '''
"""The loss of Tilt et al."""
from recbench.interfaces import LossPlugin, ScoringLoss

class Tilted(ScoringLoss):
    def __call__(self, batch):
        return 0.0, 1.0
    def tilt(self, seed):
        return 1 + seed % 2

plugin = LossPlugin(implementation=Tilted, summary="a tilted loss")
'''
BACKBONE = '''
from pathlib import Path
import numpy as np
from pydantic import Field
from recbench.interfaces import BackbonePlugin, FitReport, Options, ScoringBackbone

class TallyOptions(Options):
    file: str = ""
    marked: str = Field("", json_schema_extra={"path": True})
    typed: Path | None = None

class Tally(ScoringBackbone[TallyOptions]):
    """Counts, but for the items that a file names."""
    def fit(self, split, fit):
        counts = np.bincount(split.train.target, minlength=len(split.catalog)).astype(np.float32)
        self.counts = counts * (-1) ** fit.loss.tilt(fit.seed)
        return FitReport(steps=1, epochs=1, best_epoch=1, validation=(fit.validate(),))
    def scores(self, cases):
        scores = np.tile(self.counts, (len(cases), 1))
        options = self.options
        for place in filter(None, (options.file, options.marked, options.typed)):
            for rank, item in enumerate(Path(place).read_text().split()):
                scores[:, int(item)] = 1000 - rank
        return scores
    def state(self):
        return {"counts": self.counts}
    def restore(self, split, state):
        self.counts = state["counts"]

plugin = BackbonePlugin(
    implementation=Tally, options=TallyOptions, summary="a tally", default_loss="tilted", default_decoder="topk"
)
'''
ENTRIES = "[recbench.losses]\ntilted = their_loss:plugin\n[recbench.backbones]\ntally = their_backbone:plugin\n"

SERVER = """
import json, os, sys
import peft, scipy.stats, torch, transformers.trainer  # they take seconds
# each run is a child that imports recbench anew

for line in sys.stdin:
    child = os.fork()
    if not child:
        break
    os.waitpid(child, 0)
else:
    sys.exit()
asked, found = json.loads(line), {}
os.chdir(asked["folder"])
sys.path.insert(0, asked.pop("folder"))

import recbench
from recbench.interfaces import SilentReporter

class Log(SilentReporter):
    lines = []
    def message(self, text):
        self.lines.append(text)

try:
    run = recbench.run("tally", dataset="csv", data_dir="own.csv", device="cpu", progress=Log(), **asked)
    found["name"] = run.name
    found["list"] = [item.item for item in run.load().recommend([["1"]], k=3)[0]]
except Exception as error:
    found["error"] = f"{type(error).__name__}: {error}"
print(json.dumps({**found, "lines": Log.lines}), flush=True)
os._exit(0)
"""


class Place:
    """A folder with data and the plugin."""

    def __init__(self, folder: Path, server: subprocess.Popen[str]) -> None:
        self.folder, self.server = folder, server
        walks = [(u, i, (u * u + i) % 40) for u in range(40) for i in range(9)]
        rows = [f"{u},{item},{60 * i + u},The {item}th Film" for u, i, item in walks]
        (folder / "own.csv").write_text("\n".join(["user,item,timestamp,title", *rows]) + "\n")
        (folder / "their_backbone.py").write_text(BACKBONE)
        (folder / "their.dist-info").mkdir()
        (folder / "their.dist-info" / "entry_points.txt").write_text(ENTRIES)
        self.install(LOSS, "1.0")

    def install(self, loss: str, version: str) -> None:
        (self.folder / "their_loss.py").write_text(loss)
        text = f"Metadata-Version: 2.1\nName: their-plugin\nVersion: {version}\n"
        (self.folder / "their.dist-info" / "METADATA").write_text(text)

    def run(self, **asked: Any) -> dict[str, Any]:
        print(json.dumps({**asked, "folder": str(self.folder)}), file=self.server.stdin, flush=True)
        assert self.server.stdout is not None
        found = json.loads(self.server.stdout.readline())
        assert "error" not in found, found
        return found

    def record(self, found: dict[str, Any]) -> Any:
        return read(self.folder / "runs" / found["name"] / "record.json")


@pytest.fixture(scope="module")
def server() -> Iterator[subprocess.Popen[str]]:
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    pipes: Any = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    server = subprocess.Popen([sys.executable, "-c", SERVER], env=environment, **pipes)
    yield server
    server.communicate()


@pytest.fixture
def place(tmp_path: Path, server: subprocess.Popen[str]) -> Place:
    return Place(tmp_path, server)


def said(found: dict[str, Any], words: str) -> list[str]:
    return [line for line in found["lines"] if words in line]


def codes(record: Any) -> dict[str, tuple[str, str, str]]:
    return {plugin.name: (plugin.distribution, plugin.version, plugin.code) for plugin in record.plugins}


def test_seeds_of_an_edited_loss_are_never_mixed_with_those_before(place: Place) -> None:
    first = place.run(seeds=2)
    before = place.record(first)
    assert [seed.seed for seed in before.seeds] == [1, 2]
    assert codes(before)["tilted"][:2] == codes(before)["tally"][:2] == ("their-plugin", "1.0")
    assert codes(before)["topk"][0] == "recbench-toolkit"
    assert len(said(place.run(seeds=2), "finished before")) == 2

    place.install(LOSS.replace('"""The loss', "# a comment\n" + '"""The reworded loss'), "1.1")
    assert len(said(place.run(seeds=2), "finished before")) == 2  # neither comment nor docstring changes what runs

    place.install(LOSS.replace("1 + seed % 2", "2 + seed % 2"), "2.0")
    one = place.run(seeds=[2])
    changed = "made by other code (their_loss changed since), so it no longer counts"
    assert said(one, changed) == [f"seed 1: {changed}", f"seed 2: {changed}"]
    assert said(one, "finished before") == []
    record = place.record(one)
    assert one["name"] == first["name"]  # the same experiment, by other code
    assert [seed.seed for seed in record.seeds] == [2]
    assert codes(record)["tilted"][:2] == ("their-plugin", "2.0")
    assert codes(record)["tilted"][2] != codes(before)["tilted"][2]
    assert codes(record)["tally"][2] == codes(before)["tally"][2]
    assert not (record.seeds[0].ranks == before.seeds[1].ranks).all()
    kept = list((place.folder / "runs" / one["name"]).glob("record-*.json"))
    assert len(kept) == 1
    assert said(one, "kept as") == [f"the record of seeds that no longer count is kept as {kept[0].name}"]
    assert codes(read(kept[0])) == codes(before)
    assert [seed.seed for seed in read(kept[0]).seeds] == [1, 2]

    both = place.run(seeds=2)
    assert said(both, "finished before") == ["seed 2 (2 of 2): finished before"]
    assert said(both, "does not count") == []
    record = place.record(both)
    assert [seed.seed for seed in record.seeds] == [1, 2]
    assert not any((new.ranks == old.ranks).all() for new, old in zip(record.seeds, before.seeds, strict=True))

    place.install(LOSS, "1.0")  # back to what it was: its steps are still there
    back = place.run(seeds=2)
    record = place.record(back)
    assert all((new.ranks == old.ranks).all() for new, old in zip(record.seeds, before.seeds, strict=True))
    assert all(step.reused for seed in record.seeds for step in seed.steps)


def test_files_behind_options_count_by_their_content(place: Place) -> None:
    """Plain text that names a file, an option marked as a path, and one typed so."""
    options = {"file": "7 8 9", "marked": "17 18 19", "typed": "27 28 29"}
    for option, text in options.items():
        (place.folder / f"{option}.txt").write_text(text)
    words = {"set": {"backbone": {option: str(place.folder / f"{option}.txt") for option in options}}}
    runs = [place.run(**words)]
    assert said(place.run(**words), "finished before")
    for option, text in options.items():
        (place.folder / f"{option}.txt").write_text(" ".join(reversed(text.split())))
        runs.append(place.run(**words))
        assert not said(runs[-1], "finished before")
    assert len({run["name"] for run in runs}) == 4  # other files, other experiments
    assert not set(runs[0]["list"]) & set(runs[-1]["list"])  # loaded again, it reads the files that it was run with
    record = place.record(runs[-1])
    assert str(place.folder) not in record.model_dump_json()
    assert all(f"{option}.txt" in record.command for option in options)
    elsewhere = place.folder / "elsewhere"
    elsewhere.mkdir()
    for option in options:
        (place.folder / f"{option}.txt").rename(elsewhere / f"{option}.txt")
    moved = place.run(set={"backbone": {option: str(elsewhere / f"{option}.txt") for option in options}})
    assert moved["name"] == runs[-1]["name"]
    assert said(moved, "finished before")
