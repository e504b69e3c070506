"""What an edit retrains: recbench's own code in a copy, one edit at a time, keys of all steps before and after.

``python tests/steps/test_edits.py`` prints the table in Markdown.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
COPIED = ("recbench", "plugins/recbench_plugins", "plugins/recbench-focal/recbench_focal.py", "datasets.yaml")
METHODS: dict[str, dict[str, Any]] = {
    "popularity": {"model": "popularity"},
    "sasrec": {"model": "sasrec"},
    "bigrec+lml": {"model": "bigrec", "loss": "lml"},
    "bigrec+msl": {"model": "bigrec", "loss": "msl"},
    "bigrec+focal": {"model": "bigrec", "loss": "focal"},
    "llara+msl": {"model": "llara", "loss": "msl"},
    "allmrec": {"model": "allmrec"},
    "dllm2rec": {"model": "dllm2rec"},
    "student": {"model": "student"},
}
TEXT = {"bigrec+lml", "bigrec+msl", "bigrec+focal", "llara+msl", "allmrec"}
TAUGHT = {"dllm2rec", "student"}

# A third party's method: its descriptor apart from its code, a helper apart from both, and an option that it forgot to
# call ``later``.
STUDENT = {
    "student_helper.py": "FACTOR = 2\n",
    "student_code.py": """
from recbench.interfaces import FitReport, Options, ScoringBackbone
from student_helper import FACTOR

class StudentOptions(Options):
    weight: float = 1.0

class Student(ScoringBackbone[StudentOptions]):
    def fit(self, split, fit):
        return FitReport()
    def scores(self, cases):
        return FACTOR
    def state(self):
        return {}
    def restore(self, split, state):
        pass
""",
    "student.py": """
from recbench.interfaces import BackbonePlugin
from student_code import Student, StudentOptions

plugin = BackbonePlugin(
    implementation=Student, options=StudentOptions, summary="a student", default_decoder="topk",
    requires={"teacher": "bigrec"}, revision=1,
)
""",
    "student-1.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: student\nVersion: 1.0\n",
    "student-1.0.dist-info/entry_points.txt": "[recbench.backbones]\nstudent = student:plugin\n",
}

PROBE = """
import json, os, sys
from importlib import metadata
import numpy, pydantic, yaml, filelock  # what no edit changes; each child imports the rest

for line in sys.stdin:
    child = os.fork()
    if not child:
        break
    os.waitpid(child, 0)
else:
    sys.exit()
asked = json.loads(line)
installed = metadata.version
metadata.version = lambda name: asked["versions"].get(name) or installed(name)

from recbench.planning import plan
from recbench.spec.request import Request
from recbench.steps.graph import graph, seeds_of

found = {}
for name, words in asked["methods"].items():
    spec = plan(Request.model_validate({**words, "device": "cpu"})).spec
    steps = graph(spec, seeds_of(spec, [1])[0]).steps
    found[name] = {role: step.folder for role, step in steps.items()}
print(json.dumps(found), flush=True)
os._exit(0)
"""


@dataclass(frozen=True)
class Row:
    """An edit and what it changes.

    Attributes:
        says: the edit, in the table's words.
        files: a file to what is edited in it: text to append, or (old, new).
        options: what the run says after the edit, by method; before it, the default.
        versions: a library's version after the edit.
        changes: the roles whose keys change, by method; the others' stay.
    """

    says: str
    changes: Mapping[str, str]
    files: Mapping[str, str | tuple[str, str]] = field(default_factory=dict)
    options: Mapping[str, dict[str, Any]] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)


CODE = "\n_EDITED = 1\n"
ALL = "prepare tokenizer trie collaborative learned teacher_tokenizer teacher_trie teacher_model lessons model rank"
TRAINED = "collaborative learned teacher_model lessons model rank"
NOTHING: dict[str, str] = {}
ROWS = [
    Row("a comment in `language/packed.py`", NOTHING, {"recbench/language/packed.py": "\n# a comment\n"}),
    Row(
        "a docstring in `losses/msl.py`",
        NOTHING,
        {"recbench_plugins/losses/msl.py": ('"""', '"""Reworded: ')},
    ),
    Row(
        "`pages/dataset.py`, `cli/run.py`, `evaluation/metrics.py`, `{tuning/grid,api,cells,inventory}.py`",
        NOTHING,
        {
            f"recbench/{name}.py": CODE
            for name in ("pages/dataset", "cli/run", "evaluation/metrics", "tuning/grid", "api", "cells", "inventory")
        },
    ),
    Row(
        "`spec/resolve.py`, `spec/request.py`, `steps/{graph,executor,store}.py`, `experiment.py`",
        NOTHING,
        {
            f"recbench/{name}.py": CODE
            for name in ("spec/resolve", "spec/request", "steps/graph", "steps/executor", "steps/store", "experiment")
        },
    ),
    Row(
        "`decoders/topk.py`",
        {
            "popularity": "model rank",
            "sasrec": "model rank",
            "llara+msl": "collaborative model rank",
            "allmrec": "collaborative learned model rank",
            "dllm2rec": "model rank",
            "student": "model rank",
        },
        {"recbench_plugins/decoders/topk.py": CODE},
    ),
    Row(
        "`losses/msl.py`",
        {"bigrec+msl": "model rank", "llara+msl": "model rank"},
        {"recbench_plugins/losses/msl.py": CODE},
    ),
    Row(
        "`losses/ce.py`, which trains sasrec",
        {
            "sasrec": "model rank",
            "llara+msl": "collaborative model rank",
            "allmrec": "collaborative learned model rank",
        },
        {"recbench_plugins/losses/ce.py": CODE},
    ),
    Row(
        "`language/packed.py`, the packed reading",
        {
            **dict.fromkeys(TEXT, "learned model rank"),
            **dict.fromkeys(TAUGHT, "teacher_model lessons model rank"),
        },
        {"recbench/language/packed.py": CODE},
    ),
    Row(
        "`training/loop.py`",
        {
            "sasrec": "model rank",
            **dict.fromkeys(TEXT, TRAINED),
            **dict.fromkeys(TAUGHT, "teacher_model lessons model rank"),
        },
        {"recbench/training/loop.py": CODE},
    ),
    Row("`sources/csv.py`", dict.fromkeys(METHODS, ALL), {"recbench_plugins/sources/csv.py": CODE}),
    Row(
        "`sequential/network.py`",
        {
            "sasrec": "model rank",
            "llara+msl": "collaborative model rank",
            "allmrec": "collaborative learned model rank",
            "dllm2rec": "lessons model rank",
        },
        {"recbench/sequential/network.py": CODE},
    ),
    Row(
        "an option declared *later*: `backbone.lam` of dllm2rec, `backbone.tune` of allmrec",
        {"dllm2rec": "model rank", "allmrec": "model rank"},
        options={"dllm2rec": {"lam": 0.9}, "allmrec": {"tune": "frozen"}},
    ),
    Row(
        "an option of a third-party method, not declared: `backbone.weight` of student",
        {"student": "lessons model rank"},
        options={"student": {"weight": 2.0}},
    ),
    Row("a helper module of a third party", {"student": "lessons model rank"}, {"student_helper.py": "\nFACTOR = 3\n"}),
    Row(
        "`revision=2` on a third party's descriptor, in a module of its own",
        {"student": "lessons model rank"},
        {"student.py": ("revision=1", "revision=2")},
    ),
    Row("a third-party loss", {"bigrec+focal": "model rank"}, {"recbench_focal.py": CODE}),
    Row(
        "another version of torch",
        {
            "sasrec": "model rank",
            **dict.fromkeys(TEXT, "tokenizer trie " + TRAINED),
            **dict.fromkeys(TAUGHT, "teacher_tokenizer teacher_trie teacher_model lessons model rank"),
        },
        versions={"torch": "99.0"},
    ),
    Row(
        "another version of trl, which no step here imports; of pydantic, which only carries values",
        NOTHING,
        versions={"trl": "99.0", "pydantic": "99.0"},
    ),
]


class House:
    """A copy of the packages in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name in COPIED:
            source, target = ROOT / name, folder / Path(name).name
            if source.is_dir():
                shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(source, target)
        for name, text in STUDENT.items():
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).write_text(text)
        rows = [f"{u},{(u + i) % 40},{60 * i + u},The {(u + i) % 40}th Film" for u in range(40) for i in range(14)]
        (folder / "own.csv").write_text("\n".join(["user,item,timestamp,title", *rows]) + "\n")
        environment = {**os.environ, "PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1"}
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        self.server = subprocess.Popen([sys.executable, "-c", PROBE], cwd=folder, env=environment, **pipes)
        self.before = self.keys(Row("", {}))

    def keys(self, row: Row) -> dict[str, dict[str, str]]:
        """The folder name of every step, by method and role, after an edit; undoes the edit."""
        kept = {name: (self.folder / name).read_text() for name in row.files}
        try:
            for name, edit in row.files.items():
                new = kept[name] + edit if isinstance(edit, str) else kept[name].replace(*edit, 1)
                assert new != kept[name], f"{name} is not edited"
                (self.folder / name).write_text(new)
            methods = {}
            for name, words in METHODS.items():
                options = {"backbone": row.options[name]} if name in row.options else {}
                methods[name] = {**words, "dataset": "csv", "data_dir": "own.csv", "set": options}
            asked = json.dumps({"methods": methods, "versions": dict(row.versions)})
            print(asked, file=self.server.stdin, flush=True)
            answer = self.server.stdout.readline()
            assert answer, "the probe failed"
            return json.loads(answer)
        finally:
            for name, text in kept.items():
                (self.folder / name).write_text(text)

    def changed(self, row: Row) -> dict[str, list[str]]:
        """The roles whose keys an edit changes, by method, in their order."""
        after = self.keys(row)
        assert {m: list(roles) for m, roles in after.items()} == {m: list(roles) for m, roles in self.before.items()}
        found = {m: [r for r, key in roles.items() if key != self.before[m][r]] for m, roles in after.items()}
        return {method: roles for method, roles in found.items() if roles}


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    house = House(tmp_path_factory.mktemp("house"))
    yield house
    house.server.communicate()


def expected(house: House, row: Row) -> dict[str, list[str]]:
    """A row's changes, of the roles that each method has."""
    words = {method: roles.split() for method, roles in row.changes.items()}
    known = {m: [r for r in roles if r.replace(" ", "_") in words.get(m, ())] for m, roles in house.before.items()}
    return {method: roles for method, roles in known.items() if roles}


def test_the_copy_is_what_runs_and_every_kind_of_step_is_there(house: House) -> None:
    kinds = {folder.rpartition("-")[0] for roles in house.before.values() for folder in roles.values()}
    assert kinds == {"prepare", "tokenizer", "trie", "scoring", "learned", "lessons", "tuned", "ranking"}
    assert house.before["llara+msl"]["collaborative"] == house.before["sasrec"]["model"]
    assert house.before["dllm2rec"]["teacher model"] == house.before["student"]["teacher model"]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.says)
def test_an_edit_retrains_exactly_what_it_changes(house: House, row: Row) -> None:
    assert house.changed(row) == expected(house, row)


def table(house: House) -> str:
    """The edits and what they change, measured, in Markdown."""
    lines = ["| edit | " + " | ".join(METHODS) + " |", "|---" * (len(METHODS) + 1) + "|"]
    for row in ROWS:
        changed = house.changed(row)
        cells = []
        for method, roles in house.before.items():
            found = changed.get(method, [])
            cells.append("all" if len(found) == len(roles) else ", ".join(found) or "–")
        lines.append(f"| {row.says} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


if __name__ == "__main__":
    import tempfile

    with tempfile.TemporaryDirectory() as place:
        print(table(House(Path(place))))
