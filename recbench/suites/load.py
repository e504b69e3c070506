"""Reading a suite: every error names the file and the line."""

from __future__ import annotations

import itertools
import string
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from recbench.documents import Document, read_yaml
from recbench.errors import UsageError, did_you_mean, short
from recbench.spec.request import FLAGS, SET, Layer, combine
from recbench.suites.applies import reads_titles, without_effect
from recbench.suites.published import read_published
from recbench.suites.suite import Cell, Comparison, Control, Suite

FOLDER = Path(__file__).parent
AXES = ("model", "loss", "decoder", "identifier", "dataset", "llm")
TEXT_ONLY = ("llm", "identifier")
MOST_CELLS = 1000


class _Cells(BaseModel):
    """An entry of ``cells``, or ``defaults``: what is the suite's own; the rest are flags of a request."""

    model_config = ConfigDict(extra="allow", strict=True)

    name: str | None = None
    grid: dict[str, list[Any]] | None = None
    tune_seed: int | None = Field(None, ge=0)


class _Comparison(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    of: str
    over: list[str] = Field(min_length=1)
    improvement: bool = False
    deviation: bool = False


class _Control(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    of: str
    cell: str
    without: str = Field(min_length=1)


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    cells: list[_Cells] = Field(min_length=1)
    title: str = ""
    note: str = ""
    published: str | None = None
    published_as: dict[str, str] = Field(default_factory=dict)
    names: dict[str, str] = Field(default_factory=dict)
    defaults: _Cells = Field(default_factory=_Cells)
    comparisons: list[_Comparison] = Field(default_factory=list)
    controls: list[_Control] = Field(default_factory=list)


PARTS: dict[Any, type[BaseModel]] = {"comparisons": _Comparison, "controls": _Control}


def names() -> list[str]:
    """The suites that come with recbench."""
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


def load(text: str) -> Suite:
    """The suite of that name, or of that file.

    Raises:
        UsageError: there is no such suite, or the file does not hold one; names the line.
    """
    path = Path(text).expanduser()
    if path.suffix not in (".yaml", ".yml"):
        if text not in names():
            raise UsageError(
                f"Unknown suite {text!r}: {did_you_mean(text, names()).rstrip('.')}; a file ends in .yaml."
            )
        path = FOLDER / f"{text}.yaml"
    file = read_yaml(path, f"suite {text}")
    reading = _Reading(file, _validated(file))
    found = reading.content
    cells = reading.cells()
    called = [cell.name for cell in cells]
    comparisons, controls = reading.comparisons(called), reading.controls(called)
    published = read_published(path.parent / found.published, reading.at("published")) if found.published else {}
    published = reading.renamed(published, called)
    title, note = found.title or path.stem, " ".join(found.note.split())
    return Suite(path.stem, text, title, cells, comparisons, controls, published, note)


def _validated(file: Document) -> _File:
    if not isinstance(file.value, dict) or not file.value.get("cells"):
        raise UsageError(f"{file.name} must hold a list of cells, such as 'cells: [{{model: bigrec, loss: msl}}]'.")
    try:
        return _File.model_validate({k: v for k, v in file.value.items() if v is not None})
    except ValidationError as error:
        errors = error.errors(include_url=False)
        first = next((e for e in errors if e["type"] == "extra_forbidden"), errors[0])
        where, key = _at(file, *first["loc"]), ".".join(map(str, first["loc"]))
        if first["type"] == "extra_forbidden":
            known = PARTS.get(first["loc"][0], _File)
            name = str(first["loc"][-1])
            raise UsageError(f"{where}: unknown key {short(name)}; {did_you_mean(name, known.model_fields)}") from None
        problem = first["msg"].removeprefix("Input ").replace("valid dictionary", "mapping").replace("valid ", "")
        problem = problem.replace("Field required", "is missing")
        raise UsageError(f"{where}: {key} {problem}.") from None


def _at(file: Document, *path: Any) -> str:
    """The file and the line of a key, or of what holds it."""
    for end in range(len(path), 0, -1):
        if (line := file.line(*path[:end])) is not None:
            return f"{file.name}, line {line}"
    return file.name


@dataclass(frozen=True)
class _Reading:
    """A suite's file, validated but for its requests."""

    file: Document
    content: _File

    def at(self, *path: Any) -> str:
        """Where a key stands, for messages."""
        return _at(self.file, *path)

    def cells(self) -> tuple[Cell, ...]:
        """All cells, in order.

        Raises:
            UsageError: two of one name, too many, or one that cannot be.
        """
        found: dict[str, Cell] = {}
        skipped: list[set[str]] = []
        for number in range(len(self.content.cells)):
            for cell, without in self._cells(number):
                if cell.name in found:
                    raise UsageError(
                        f"{self.at('cells', number)}: another cell is called {cell.name!r}; give this one another name."
                    )
                found[cell.name] = cell
                skipped.append(without)
                if len(found) > MOST_CELLS:
                    raise UsageError(f"{self.at('cells', number)}: the suite has more than {MOST_CELLS} cells.")
        for name in sorted(set.intersection(*skipped)):
            raise UsageError(f"{self.at('defaults', *name.split('.', 2))}: the default {name} applies to no cell.")
        return tuple(found.values())

    def _cells(self, number: int) -> Iterator[tuple[Cell, set[str]]]:
        """The cells that one entry stands for, each with the defaults that its method does not have."""
        entry, where = self.content.cells[number], self.at("cells", number)
        defaults, own = dict(self.content.defaults.model_extra or {}), dict(entry.model_extra or {})
        for place, given in ((("defaults",), defaults), (("cells", number), own)):
            for key in given:
                if key.replace("-", "_") not in (*FLAGS, SET):
                    hint = did_you_mean(key, (*FLAGS, SET, *_Cells.model_fields))
                    raise UsageError(f"{self.at(*place, key)}: unknown key {short(key)}; {hint}")
        if own.get(SET, {}) is None:
            defaults.pop(SET, None)
        said = {**defaults, **own}
        if not said.get("model"):
            raise UsageError(f"{where}: the cell names no model.")
        axes = {key: said[key] if isinstance(said[key], list) else [said[key]] for key in AXES if said.get(key)}
        for values in itertools.product(*axes.values()):
            chosen = dict(zip(axes, values, strict=True))
            layers = (
                self._layer({**defaults, **{k: v for k, v in chosen.items() if k not in own}}, "defaults"),
                self._layer({**own, **{k: v for k, v in chosen.items() if k in own}}, "cells", number),
            )
            layers, without = self._that_apply(layers)
            name = self._name(number, chosen, [key for key in axes if key in own])
            grid, seed = self._own(number, "grid"), self._own(number, "tune_seed")
            skipped = tuple(f"{key} ({self.at('defaults', *key.split('.', 2))})" for key in sorted(without))
            grid_at = (
                self.at("cells", number, "grid") if "grid" in entry.model_fields_set else self.at("defaults", "grid")
            )
            yield Cell(name, layers, skipped, grid or {}, grid_at, 1 if seed is None else seed), without

    def _layer(self, values: Mapping[str, Any], *place: Any) -> Layer:
        return Layer(values, lambda name: self.at(*place, *name.split(".", 2)))

    def _own(self, number: int, key: str) -> Any:
        """A key of the suite's own: the entry's, else the default."""
        entry = self.content.cells[number]
        return getattr(entry if key in entry.model_fields_set else self.content.defaults, key)

    @staticmethod
    def _that_apply(layers: tuple[Layer, Layer]) -> tuple[tuple[Layer, Layer], set[str]]:
        """The layers without those defaults that the cell's method does not have, and the names of these."""
        defaults, own = layers
        request = combine(layers)
        options = {group: given for group, given in (defaults.values.get(SET) or {}).items() if given}
        without = {f"{SET}.{name}" for name in without_effect(request, options)}
        kept = {
            group: {option: value for option, value in given.items() if f"{SET}.{group}.{option}" not in without}
            for group, given in options.items()
        }
        values = {**defaults.values, SET: {group: given for group, given in kept.items() if given}}
        if not reads_titles(request):
            for flag in TEXT_ONLY:
                if flag in values and flag not in own.values:
                    del values[flag]
                    without.add(flag)
        return (Layer(values, defaults.origin), own), without

    def _name(self, number: int, chosen: Mapping[str, Any], varied: list[str]) -> str:
        """The cell's name, by its pattern: {model}, {loss} and so on stand for what was chosen."""
        words = {key: self.content.names.get(str(value), str(value)) for key, value in chosen.items()}
        pattern = self._own(number, "name") or " + ".join(f"{{{key}}}" for key in varied or ["model"])
        pieces = []
        try:
            for text, field, form, conversion in string.Formatter().parse(pattern):
                pieces.append(text)
                if field is None:
                    continue
                if form or conversion or field not in words:
                    raise ValueError(f"{{{field}}} is not one of {', '.join(f'{{{key}}}' for key in words)}")
                pieces.append(words[field])
        except ValueError as error:
            where = self.at("cells", number, "name")
            raise UsageError(f"{where}: the name {short(pattern)} cannot be filled in ({error}).") from None
        return "".join(pieces)

    def comparisons(self, cells: list[str]) -> tuple[Comparison, ...]:
        """The declared comparisons of the cells of these names.

        Raises:
            UsageError: one names something that is not a cell.
        """
        for number, declared in enumerate(self.content.comparisons):
            self._known((declared.of, *declared.over), cells, "comparisons", number)
        return tuple(Comparison(c.of, tuple(c.over), c.improvement, c.deviation) for c in self.content.comparisons)

    def renamed(self, published: Mapping[str, Any], cells: list[str]) -> dict[str, Any]:
        """The published rows, those of ``published_as`` under the names of their cells.

        Raises:
            UsageError: it names no cell, or no row of the table.
        """
        found = dict(published)
        for cell, row in self.content.published_as.items():
            self._known((cell,), cells, "published_as", cell)
            if row not in published:
                table = did_you_mean(row, published) if published else "name its table in 'published'."
                raise UsageError(f"{self.at('published_as', cell)}: there is no published row {row!r}; {table}")
            found[cell] = published[row]
        return found

    def controls(self, cells: list[str]) -> tuple[Control, ...]:
        """The declared controls among the cells of these names.

        Raises:
            UsageError: one names something that is not a cell, or is the control of itself.
        """
        for number, declared in enumerate(self.content.controls):
            self._known((declared.of, declared.cell), cells, "controls", number)
            if declared.of == declared.cell:
                raise UsageError(f"{self.at('controls', number)}: {declared.of!r} cannot be its own control.")
        return tuple(Control(c.of, c.cell, c.without) for c in self.content.controls)

    def _known(self, named: tuple[str, ...], cells: list[str], *place: Any) -> None:
        for name in named:
            if name not in cells:
                raise UsageError(f"{self.at(*place)}: {name!r} is not a cell; {did_you_mean(name, cells)}")
