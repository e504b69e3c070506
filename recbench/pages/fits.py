"""Whether a record is the cell that a suite describes, made as the other cells were."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any

from recbench import registry
from recbench.errors import RecbenchError
from recbench.interfaces import KINDS, Options
from recbench.interfaces.identifiers import TITLE
from recbench.results import RunRecord
from recbench.spec.llm import TINY
from recbench.spec.request import BUDGET
from recbench.suites import Cell, Suite


def mismatches(suite: Suite, records: Mapping[str, RunRecord]) -> dict[str, str]:
    """Cells whose record was not made as the suite says now, or not as the other cells were; each with the reason.

    What a cell leaves open (preset, data, seeds, test cases, budget of its kind and ``llm``) must be one thing in the
    whole suite. Cells with the same ``llm`` must have used the same language model, and others another one.
    """
    found: dict[str, str] = {}
    models: dict[str, tuple[str, str]] = {}  # language model -> the cell that used it first, and that cell's llm
    common: dict[str, tuple[str, Any]] = {}
    for cell in suite.cells:
        record = records.get(cell.name)
        if record is None:
            continue
        said = {**_own(cell), **{f"tuning of {option}": values for option, values in cell.grid.items()}}
        for name, value in said.items():
            if name.startswith("train.") and "train" not in record.spec["recommender"]:
                continue  # a method that is not trained has no budget
            made = _made(record, name)
            if isinstance(made, (list, tuple)) and isinstance(value, str):  # a list may be written as text
                value = type(made)(part.strip() for part in value.split(",") if part.strip())
            if made != value and not (isinstance(made, float) and made == value):
                found[cell.name] = f"its record has {name} {made!r} and the suite {value!r}"
        if cell.name in found:
            continue
        for name, value in _left_open(cell, record).items():
            other, first = common.setdefault(name, (cell.name, value))
            if value != first:
                found[cell.name] = f"its {name.partition(' of ')[0]} differs from that of {other}"
                break
        if record.language_model and cell.name not in found:
            other, llm = models.setdefault(record.language_model["name"], (cell.name, _llm(cell)))
            if llm != _llm(cell):
                found[cell.name] = f"its language model is that of {other}, where the suite has two"
    return found


def _own(cell: Cell) -> dict[str, Any]:
    """What a cell's definition fixes, by the names of :func:`_made`."""
    flags: dict[str, Any] = {key: cell.flags[key] for key in ("model", "loss", "decoder") if key in cell.flags}
    flags["identifier"] = cell.flags.get("identifier", TITLE)
    budget = {f"train.{BUDGET[key]}": cell.flags[key] for key in BUDGET if key in cell.flags}
    options = dict(pair for group, given in cell.options.items() for pair in _flat(group, given))
    return {name: value for name, value in {**flags, **budget, **options}.items() if name not in cell.grid}


def _flat(group: str, given: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Options by the names of :func:`_made`; a teacher has groups of its own."""
    for option, value in given.items():
        if group == "teacher" and isinstance(value, Mapping):
            yield from _flat(f"{group}.{option}", value)
        else:
            yield f"{group}.{option}", value


def _made(record: RunRecord, name: str) -> Any:
    """The value of a name in a record's spec."""
    if name.startswith("tuning of "):
        return record.spec.get("tuning", {}).get("grid", {}).get(name.removeprefix("tuning of "))
    group, _, option = name.partition(".")
    if group in ("dataset", "evaluate", "machine"):
        part = record.spec.get(group, {})
        return part.get("options", part).get(option)
    return _of(record.spec["recommender"], name)


def _of(recommender: Mapping[str, Any], name: str) -> Any:
    """The value of a name such as ``loss``, ``loss.tau``, ``reference_train.epochs`` or ``teacher.loss.tau``."""
    group, _, option = name.partition(".")
    if not option:
        default = TITLE if name == "identifier" else None
        return recommender.get("backbone" if name == "model" else name, {}).get("name", default)
    whose, _, rest = group.partition("_")
    if whose == "teacher":
        return _of(recommender.get("teacher", {}), option)
    inner = {"collaborative": "backbone", "reference": "loss"}.get(whose)
    if inner is not None:
        recommender, group = recommender.get(whose, {}), rest or inner
    part = recommender.get(group, {})
    given = part.get("options", part)
    return given[option] if option in given else _left_out(group, part.get("name", ""), option)


def _left_out(kind: str, name: str, option: str) -> Any:
    """The default of an option that specs leave out where it has that value (``Options.added``); None for others."""
    with suppress(RecbenchError):  # the method may not be installed where its page is made
        options = registry.get(kind, name).options if kind in KINDS and name else Options
        if option in options.added:
            return options.model_fields[option].default
    return None


def _llm(cell: Cell) -> str:
    """The language model that the suite names for the cell."""
    return cell.flags.get("llm") or TINY


def _left_open(cell: Cell, record: RunRecord) -> dict[str, Any]:
    spec, recommender, llm = record.spec, record.spec["recommender"], record.language_model
    found = {"preset": record.budget.get("preset"), "data": spec["dataset"], "test cases": record.cases.digest}
    if found["preset"] is None:  # not trained
        del found["preset"]
    fixed = {*_own(cell), *cell.grid}
    if llm:
        found[f"language model of {_llm(cell)}"] = {name: value for name, value in llm.items() if name != "options"}
        options = {f"llm.{k} of {_llm(cell)}": v for k, v in llm["options"].items() if f"llm.{k}" not in fixed}
        found.update(options)
    kind = "scores" if "llm" not in recommender else "preferences" if "reference" in recommender else "titles"
    if "llm" in recommender:  # the budget's defaults depend on the language model, too
        kind += f" of {_llm(cell)}"
    budget = {f"train.{k} of {kind}": v for k, v in recommender.get("train", {}).items() if f"train.{k}" not in fixed}
    return {**found, **budget}
