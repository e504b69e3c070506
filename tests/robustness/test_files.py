"""Hostile configurations, suites, lists of data sets and data: one sentence, or a valid reading; nothing executed."""

from __future__ import annotations

import json
import os
import random
from pathlib import Path
from typing import Any

import pytest

OWN = ["--dataset", "csv", "--data-dir", "own.csv", "--device", "cpu"]
PYTHON = "!!python/object/apply:os.system ['touch {canary}']"
YAML = {
    "python call": f"model: {PYTHON}",
    "python module": "model: !!python/module:antigravity",
    "python name": "set: {loss: !!python/name:os.system }",
    "python new": "!!python/object/new:pathlib.Path ['{canary}']: 1",
    "local tag": "model: !include /etc/passwd",
    "aliases": "a: &a [x]\n"
    + "".join(f"{chr(98 + i)}: &{chr(98 + i)} [*{chr(97 + i)}, *{chr(97 + i)}]\n" for i in range(20)),
    "alias to itself": "model: &a [*a]",
    "merge": "x: &x {model: bigrec}\n<<: *x",
    "deep flow": "[" * 5000,
    "deep block": "".join(" " * i + "a:\n" for i in range(500)),
    "two documents": "model: bigrec\n---\nmodel: llara",
    "huge key": "x" * 200_000 + ": 1",
    "huge": "a: b\n" * 400_000,
    "huge number": "epochs: " + "9" * 5000,
    "long number": "epochs: " + "9" * 900,
    "negative": "model: bigrec\nepochs: -1",
    "nan": "model: bigrec\nset: {train: {learning_rate: .nan}}",
    "nul": "model: big\0rec",
    "control": "model: big\x07rec",
    "bidi": "model: big\u202erec",
    "not utf-8": b"model: \xff\xfe",
    "utf-16": "model: bigrec".encode("utf-16"),
    "list": "- model\n- bigrec",
    "scalar": "bigrec",
    "nothing": "",
    "comment": "# only",
    "null key": "~: 1",
    "list as key": "[a]: 1",
    "format field": 'model: "{{model.__class__}}"\nname: "{{0.__init__.__globals__}}"',
    "path as a model": "model: ../../etc/passwd",
    "dict as a model": "model: {a: b}",
    "seeds": "model: popularity\nseeds: [1e3]",
    "many seeds": "model: popularity\nseeds: 1000000000000",
    "set as text": "model: popularity\nset: everything",
    "set of lists": "model: popularity\nset: {dataset: [1]}",
    "set nested": "model: popularity\nset: {dataset: {core: {deep: {deeper: 1}}}}",
    "data set outside": "model: popularity\ndataset: ../outside",
    "tabs": "model:\tpopularity\n\tseeds: 1",
    "json": json.dumps({"model": "popularity", "dataset": "csv", "data_dir": "nothing.csv"}),
    "json broken": '{"model": "popularity",, }',
    "json twice": '{"model": "bigrec", "model": "llara"}',
}


def content(text: str | bytes, canary: Path) -> bytes:
    return text if isinstance(text, bytes) else text.replace("{canary}", str(canary)).encode("utf-8", "surrogatepass")


@pytest.mark.parametrize("name", YAML)
def test_a_hostile_configuration(name: str, place: Any) -> None:
    (place.work / "x.yaml").write_bytes(content(YAML[name], place.canary))
    place.call("run", "--config", "x.yaml", "--dry-run", refused=True)


@pytest.mark.parametrize("name", YAML)
def test_a_hostile_suite(name: str, place: Any) -> None:
    (place.work / "x.yaml").write_bytes(content(YAML[name], place.canary))
    place.call("suite", "plan", "x.yaml", refused=True)


CELLS = {
    "no cells": "cells: []",
    "a word": "cells: popularity",
    "words": "cells: [popularity]",
    "one name twice": "cells: [{model: popularity, name: a}, {model: popularity, name: a}]",
    "a name with fields": "cells: [{model: popularity, name: '{model.__class__.__mro__}'}]",
    "a name with an index": "cells: [{model: popularity, name: '{0}{}'}]",
    "a name with a width": "cells: [{model: popularity, name: '{model:>999999999}'}]",
    "a name with a brace": "cells: [{model: popularity, name: '{'}]",
    "a name with a path": "cells: [{model: popularity, name: '../../x'}]",
    "a name with escapes": 'cells: [{model: popularity, name: "\\e[31m\\0"}]',
    "an infinite grid": "cells: [{model: bigrec, grid: {loss.tau: [" + ", ".join(map(str, range(1, 3000))) + "]}}]",
    "a product": "cells: [{model: [" + "bigrec, " * 300 + "llara], loss: [" + "lml, " * 300 + "msl]}]",
    "an empty grid": "cells: [{model: bigrec, grid: {}}]",
    "a grid of words": "cells: [{model: bigrec, grid: loss}]",
    "published outside": "published: ../outside/secret\ncells: [{model: popularity}]",
    "published a pipe": "published: pipe\ncells: [{model: popularity}]",
    "published garbage": "published: x.yaml\ncells: [{model: popularity}]",
    "comparisons": "cells: [{model: popularity}]\ncomparisons: [{of: x, over: [y]}]",
    "controls": "cells: [{model: popularity}]\ncontrols: 3",
    "defaults": "defaults: [1]\ncells: [{model: popularity}]",
    "names": "names: {a: [b]}\ncells: [{model: popularity}]",
}


@pytest.mark.parametrize("name", CELLS)
def test_hostile_cells(name: str, place: Any) -> None:
    (place.work / "x.yaml").write_text(CELLS[name])
    os.mkfifo(place.work / "pipe")
    for command in ("plan", "report", "add"):
        place.call("suite", command, "x.yaml", *(OWN[:4] if command == "plan" else []))


@pytest.mark.parametrize(
    "name", ["python call", "aliases", "list", "not utf-8", "two documents", "utf-16", "nothing", "huge"]
)
def test_a_hostile_list_of_data_sets(name: str, place: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from recbench.data import catalog

    (place.work / "datasets.yaml").write_bytes(content(YAML[name], place.canary))
    monkeypatch.setattr(catalog, "registry_file", lambda: place.work / "datasets.yaml")
    catalog.datasets.cache_clear()
    try:
        place.call("list", "datasets", refused=True)
        place.call("run", "--model", "popularity", *OWN, refused=True)
    finally:
        catalog.datasets.cache_clear()


ROWS: dict[str, Any] = {
    "formula": lambda rows: [rows[0], *(row.replace("The", "=cmd|' /C calc'!A0") for row in rows[1:])],
    "template": lambda rows: [rows[0], *(row.replace("The", "{items.__class__} %s {{7*7}}") for row in rows[1:])],
    "specials": lambda rows: [rows[0], *(row.replace("The", "<|end|></s><|user|>[INST]") for row in rows[1:])],
    "control characters": lambda rows: [rows[0], *(row.replace("The", "\x1b[31m\x07\u202e") for row in rows[1:])],
    "markup": lambda rows: [rows[0], *(row.replace("The", "<script>alert(1)</script>&#x26;&amp;") for row in rows[1:])],
    "path as an item": lambda rows: [rows[0], *(row.replace(",", ",../../../etc/", 1) for row in rows[1:])],
    "line breaks in titles": lambda rows: [rows[0], *(row.rsplit(",", 1)[0] + ',"a\nb"' for row in rows[1:])],
    "quote that never ends": lambda rows: [*rows, '1,1,1,"never'],
    "quotes inside": lambda rows: [*rows, '1,1,1,"a"b"c"'],
    "a column more": lambda rows: [*rows, "1,2,3,4,5"],
    "a column less": lambda rows: [*rows, "1,2"],
    "header twice": lambda rows: [rows[0], *rows],
    "columns twice": lambda rows: ["user,item,item,title", *rows[1:]],
    "no header": lambda rows: rows[1:],
    "times infinite": lambda rows: [*rows, "1,1,inf,x"],
    "times as words": lambda rows: [*rows, "1,1,__import__('os').system('touch {canary}'),x"],
    "times in Arabic digits": lambda rows: [*rows, "1,1,\u0661\u0662,x"],
    "times of 5,000 digits": lambda rows: [*rows, f"1,1,{'9' * 5000},x"],
    "times with underscores": lambda rows: [*rows, "1,1,1_000,x"],
    "ids of 100,000 characters": lambda rows: [*rows, f"{'u' * 100_000},{'i' * 100_000},1,x"],
    "titles of 200,000 characters": lambda rows: [*rows, *(f"{u},0,{u},{'word ' * 40_000}" for u in range(2))],
    "empty titles": lambda rows: [rows[0], *(row.rsplit(",", 1)[0] + "," for row in rows[1:])],
    "one title for all": lambda rows: [rows[0], *(row.rsplit(",", 1)[0] + ",x" for row in rows[1:])],
    "one user": lambda rows: [rows[0], *("0," + row.split(",", 1)[1] for row in rows[1:])],
    "one item": lambda rows: [rows[0], *(f"{u},0,{t},x" for u in range(9) for t in range(9))],
    "nul": lambda rows: [*rows, "1,1,1,a\0b"],
    "byte order mark": lambda rows: ["\ufeff" + rows[0], *rows[1:]],
    "carriage returns": lambda rows: ["\r".join(rows)],
    "entities": lambda rows: [*rows, "1,2,3," + "&amp;" * 20_000],
    "surrogate": lambda rows: [*rows, "1,1,1,\ud800"],
    "only a header": lambda rows: rows[:1],
    "blank lines": lambda rows: [line for row in rows for line in (row, "", " ")],
    "semicolons": lambda rows: [row.replace(",", ";") for row in rows],
}


@pytest.mark.parametrize("name", ROWS)
def test_hostile_data(name: str, place: Any, rows: list[str]) -> None:
    text = "\n".join(ROWS[name](list(rows))) + "\n"
    (place.work / "own.csv").write_bytes(content(text, place.canary))
    place.call("data", "csv", "--data-dir", "own.csv")
    place.call("run", "--model", "popularity", *OWN)


def test_damaged_data(damage: Any, place: Any) -> None:
    damage(place.work / "own.csv", place.outside)
    place.call("run", "--model", "popularity", *OWN)


def release(folder: Path) -> None:
    """What the source ``prepared`` reads."""
    folder.mkdir()
    draws = random.Random(3)
    for name, base in (("train.csv", 0), ("test.csv", 1000)):
        lines = [f'{u},"{[draws.randrange(9) for _ in range(5)]}",{base + u}' for u in range(60)]
        (folder / name).write_text("user_id,item_ids,timestamp\n" + "\n".join(lines) + "\n")
    (folder / "id2name4Rec.json").write_text(json.dumps({str(i): f"Film {i}" for i in range(9)}))


@pytest.mark.parametrize("file", ["train.csv", "test.csv", "id2name4Rec.json"])
def test_a_damaged_release(file: str, damage: Any, place: Any) -> None:
    release(place.work / "release")
    damage(place.work / "release" / file, place.outside)
    place.call("run", "--model", "popularity", "--dataset", "prepared", "--data-dir", "release")


WINDOWS = {
    "code": "__import__('os').system('touch {canary}')",
    "set": "{1, 2}",
    "calls": "[int('1')]",
    "deep": "[" * 3000 + "]" * 3000,
    "power": "[9**9**9]",
    "negative": "[-1, 0]",
    "floats": "[1.0, 2]",
    "text": "['0', '1']",
    "long": str([0] * 100_000),
    "unknown": "[999999]",
    "digits": f"[{'9' * 5000}]",
    "bool": "[True, False]",
    "empty": "[]",
}


@pytest.mark.parametrize("name", WINDOWS)
def test_hostile_windows(name: str, place: Any) -> None:
    release(place.work / "release")
    row = f'7,"{WINDOWS[name]}",99\n'.replace("{canary}", str(place.canary))
    with (place.work / "release" / "test.csv").open("a") as file:
        file.write(row)
    place.call("run", "--model", "popularity", "--dataset", "prepared", "--data-dir", "release")
