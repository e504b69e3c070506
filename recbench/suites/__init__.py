"""Suites: grids of runs written down in YAML, and the published numbers that some of them repeat.

A suite's file::

    title: what it is
    published: table5.csv                   # optional, beside the file: method,dataset,<metric>,...
    names: {bigrec: BIGRec, lml: LML}       # how parts are called in cell names
    defaults: {seeds: 3}                    # flags of every cell
    cells:
      - {model: [bigrec, llara], loss: [lml, msl], name: "{model}+{loss}"}
      - {model: bigrec, loss: msl, grid: {loss.tau: [1, 2]}, name: MSL + tuning tau}
    comparisons:
      - {of: BIGRec+MSL, over: [BIGRec+LML]}

A cell holds the flags of ``recbench run`` by name (null takes a default back), options under ``set``, a ``grid`` for
options chosen on validation. A list in model, loss, decoder, dataset or llm stands for one cell each.
"""

from __future__ import annotations

import csv
import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from recbench.errors import UsageError, did_you_mean

FOLDER = Path(__file__).parent
_LISTS = ("model", "loss", "decoder", "dataset", "llm")
_OWN = ("name", "set", "grid", "tune_seed")
_KEYS = (*_LISTS, *_OWN, "data_dir", "preset", "device", "seeds", "epochs", "train_samples", "batch_size")
_WORDS = ("name", "data_dir", "preset", "device")
_NUMBERS = ("tune_seed", "epochs", "train_samples", "batch_size")
_TOP = ("title", "published", "names", "defaults", "cells", "comparisons")


@dataclass(frozen=True)
class Cell:
    """One run of a suite.

    Attributes:
        name: unique in the suite; also its row among the published numbers.
        flags: of ``recbench run``, by name.
        options: group -> option -> value.
        grid: options to tune first: name -> values; empty: none.
        tune_seed: seed of the trials.
    """

    name: str
    flags: Mapping[str, Any]
    options: Mapping[str, Mapping[str, Any]]
    grid: Mapping[str, list[Any]]
    tune_seed: int


@dataclass(frozen=True)
class Comparison:
    """``of`` is tested against each of ``over``."""

    of: str
    over: tuple[str, ...]


@dataclass(frozen=True)
class Suite:
    """A grid of runs.

    Attributes:
        name: its file's.
        source: what the user typed to name it.
        title: one line.
        cells: in the order they run.
        comparisons: what the report tests, one declared family.
        published: method -> data set -> metric -> number; empty where the suite repeats no table.
    """

    name: str
    source: str
    title: str
    cells: tuple[Cell, ...]
    comparisons: tuple[Comparison, ...]
    published: Mapping[str, Mapping[str, Mapping[str, float]]]


def names() -> list[str]:
    """The suites that come with recbench."""
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


def load(text: str) -> Suite:
    """The suite of that name, or of that file.

    Raises:
        UsageError: there is no such suite, or the file does not hold one; names the entry.
    """
    path = Path(text)
    if path.suffix not in (".yaml", ".yml"):
        if text not in names():
            raise UsageError(
                f"Unknown suite {text!r}: {did_you_mean(text, names()).rstrip('.')}; a file ends in .yaml."
            )
        path = FOLDER / f"{text}.yaml"
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"Suite {text}: {(error.strerror or 'unreadable').lower()}.") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UsageError(f"Suite {text} is no YAML: {str(error).splitlines()[0]}.") from error
    if not isinstance(content, dict) or not isinstance(content.get("cells"), list) or not content["cells"]:
        raise UsageError(f"Suite {text} must hold a list of cells, such as 'cells: [{{model: bigrec, loss: msl}}]'.")
    _known(f"Suite {text}", content, _TOP)
    called = _mapping(text, content, "names")
    defaults = _mapping(text, content, "defaults")
    cells = tuple(
        c for number, entry in enumerate(content["cells"], 1) for c in _cells(text, number, entry, defaults, called)
    )
    given = [cell.name for cell in cells]
    for name in given:
        if given.count(name) > 1:
            raise UsageError(f"Suite {text}: two cells are called {name!r}; give one a name of its own.")
    declared = content.get("comparisons") or []
    if not isinstance(declared, list):
        raise UsageError(
            f"Suite {text}: comparisons must be a list of {{of: CELL, over: [CELL, ...]}}, not {declared!r}."
        )
    comparisons = tuple(_comparison(text, entry, given) for entry in declared)
    table = path.parent / str(content["published"]) if content.get("published") else None
    return Suite(path.stem, text, str(content.get("title", path.stem)), cells, comparisons, _published(text, table))


def _cells(text: str, number: int, entry: Any, defaults: Mapping[str, Any], called: Mapping[str, Any]) -> list[Cell]:
    where = f"Suite {text}, cell {number}"
    if not isinstance(entry, dict):
        raise UsageError(f"{where} must be a mapping such as '{{model: bigrec, loss: msl}}', not {entry!r}.")
    merged = {**defaults, **entry}
    merged["set"] = _merged(where, defaults.get("set"), entry.get("set"))
    _known(where, merged, _KEYS)
    if not merged.get("model"):
        raise UsageError(f"{where} names no model.")
    for key in _LISTS:
        for value in merged[key] if isinstance(merged.get(key), list) else [merged.get(key)]:
            if value is not None and not isinstance(value, str):
                raise UsageError(f"{where}: {key} must be a word or a list of words, not {value!r}.")
    for key, kind, word in (*((k, str, "word") for k in _WORDS), *((k, int, "whole number") for k in _NUMBERS)):
        value = merged.get(key)
        if value is not None and (isinstance(value, bool) or not isinstance(value, kind)):
            raise UsageError(f"{where}: {key} must be a {word}, not {value!r}.")
    if isinstance(seeds := merged.get("seeds"), list):  # as in a configuration file
        merged["seeds"] = ",".join(map(str, seeds)) + ("," if len(seeds) == 1 else "")
    axes = {key: merged[key] if isinstance(merged[key], list) else [merged[key]] for key in _LISTS if merged.get(key)}
    grid = merged.get("grid") or {}
    if not isinstance(grid, dict) or not all(isinstance(values, list) for values in grid.values()):
        raise UsageError(f"{where}: grid must hold lists of values by option, such as {{loss.tau: [1, 2]}}.")
    found = []
    for values in itertools.product(*axes.values()):
        flags = dict(zip(axes, values, strict=True))
        words = {key: called.get(value, value) for key, value in flags.items()}
        pattern = str(merged.get("name") or " + ".join("{" + key + "}" for key in axes if key in entry))
        try:
            name = pattern.format(**words)
        except (KeyError, IndexError, ValueError) as error:
            raise UsageError(f"{where}: name {pattern!r} asks for what the cell does not have ({error}).") from error
        plain = {k: v for k, v in merged.items() if k not in (*_LISTS, *_OWN) and v is not None}
        found.append(Cell(name, {**flags, **plain}, merged["set"], grid, merged.get("tune_seed") or 1))
    return found


def _merged(where: str, *layers: Any) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for layer in layers:
        if layer is not None and not (isinstance(layer, dict) and all(isinstance(v, dict) for v in layer.values())):
            raise UsageError(f"{where}: 'set' must hold {{group: {{option: value}}}}.")
        for group, options in (layer or {}).items():
            found.setdefault(group, {}).update(options)
    return found


def _comparison(text: str, entry: Any, cells: list[str]) -> Comparison:
    if not isinstance(entry, dict) or not entry.get("of") or not isinstance(entry.get("over"), list):
        raise UsageError(f"Suite {text}: a comparison reads {{of: CELL, over: [CELL, ...]}}, not {entry!r}.")
    for name in (entry["of"], *entry["over"]):
        if name not in cells:
            raise UsageError(
                f"Suite {text}: a comparison names {name!r}, which is no cell: {did_you_mean(name, cells)}"
            )
    return Comparison(entry["of"], tuple(entry["over"]))


def _known(where: str, content: Mapping[str, Any], keys: tuple[str, ...]) -> None:
    for key in content:
        if key not in keys:
            raise UsageError(f"{where}: unknown key {str(key)!r}: {did_you_mean(str(key), keys)}")


def _mapping(text: str, content: Mapping[str, Any], key: str) -> dict[str, Any]:
    found = content.get(key) or {}
    if not isinstance(found, dict):
        raise UsageError(f"Suite {text}: {key} must be a mapping, not {found!r}.")
    return found


def _published(text: str, path: Path | None) -> dict[str, dict[str, dict[str, float]]]:
    found: dict[str, dict[str, dict[str, float]]] = {}
    if path is None:
        return found
    try:
        with path.open(encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file):
                numbers = {k: float(v) for k, v in row.items() if k not in ("method", "dataset")}
                found.setdefault(row["method"], {})[row["dataset"]] = numbers
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UsageError(f"Suite {text}: {path.name} is no table of method,dataset,METRIC,... ({error}).") from error
    return found
