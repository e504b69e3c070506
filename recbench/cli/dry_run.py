"""``recbench run --dry-run``: the resolved spec, where each value comes from, what is there, and how long it takes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from recbench import registry
from recbench.cli.request import Asked
from recbench.cli.text import columns, duration
from recbench.config import RunSpec
from recbench.description import run_id
from recbench.errors import DataError
from recbench.interfaces import SilentReporter
from recbench.results import Store
from recbench.run import STORE
from recbench.stages import Stages

# rough seconds on two CPU cores: for one window in one epoch, and for ranking one case
ROUGH_TRAIN = {"tiny": 3e-3, "pretrained": 1.0, "scores": 1e-4}
ROUGH_RANK = {"tiny": 8e-3, "pretrained": 1.0, "scores": 1e-4}
ROUGH_WINDOWS, ROUGH_CASES = 70_000, 3_000
NAMES = {"dataset": "dataset", "backbone": "model", "loss": "loss", "decoder": "decoder", "llm": "llm"}


def describe_plan(spec: RunSpec, asked: Asked, runs: Path) -> str:
    """The plan as text; reads the store in ``runs``, writes nothing."""
    seeds = asked.seeds if registry.get("backbone", spec.parts["backbone"]["name"]).seeded else (0,)
    stages = Stages(spec, Store(runs / STORE), SilentReporter())
    lines = [
        columns(
            [
                ("run", run_id(spec)),
                ("spec hash", spec.spec_hash()),
                ("preset", f"{spec.preset}  ({asked.origins['preset']})"),
                ("seeds", f"{', '.join(map(str, seeds))}  ({asked.origins['seeds']})"),
            ]
        ),
        *(_group(spec, asked, group, part) for group, part in spec.parts.items() if part is not None),
    ]
    there = {seed: _there(stages, seed) for seed in seeds}
    lines.append("stages\n" + columns([(f"seed {s}", _words(found)) for s, found in there.items()], "  "))
    lines.append(_estimate(spec, stages, there))
    return "\n".join(lines)


def _group(spec: RunSpec, asked: Asked, group: str, part: Mapping[str, Any]) -> str:
    rows = []
    if "name" in part:
        flag = NAMES.get(group, "")
        origin = asked.origins.get(flag, "default")
        if origin == "default" and group in ("loss", "decoder", "collaborative"):
            origin = f"default of {spec.parts['backbone']['name']}"
        rows.append(("name", str(part["name"]), origin))
        place = {"llm": ["llm"], "dataset": [k for k in spec.places if k != "llm"]}.get(group, [])
        rows += [
            (k, v, spec.origins.get((group, k), asked.origins.get(k, "")))
            for k in place
            if (v := spec.places.get(k)) and v != "tiny"
        ]
    plain = part.get("options", {}) if "name" in part else _flat(part)
    rows += [(k, _value(v), _origin(spec, group, k)) for k, v in plain.items()]
    for key in ("label", "fingerprint", "inputs"):
        if key in part:
            values = part[key] if isinstance(part[key], dict) else {"": part[key]}
            rows += [(f"{key} {file}".strip(), str(v)[:16], "measured") for file, v in values.items()]
    if group == "collaborative" and part.get("train"):
        origins = ((k, v, spec.origins.get(("collaborative_train", k), "default")) for k, v in part["train"].items())
        rows += [(f"train {k}", _value(v), origin) for k, v, origin in origins]
    return group + ("\n" + columns(rows, "  ") if rows else "")


def _origin(spec: RunSpec, group: str, name: str) -> str:
    """Where a value comes from; a reference's options are set as ``reference.tau`` and ``reference_train.epochs``."""
    if group == "reference":
        part, _, option = name.partition(".")
        return spec.origins.get(("reference_train" if part == "train" else "reference", option or name), "default")
    return spec.origins.get((group, name), "default")


def _flat(part: Mapping[str, Any]) -> dict[str, Any]:
    """The options of parts inside a part (a teacher's, a reference's) by dotted names; of a named part its name."""
    found: dict[str, Any] = {}
    for key, value in part.items():
        if not isinstance(value, dict):
            found[key] = value
        elif "name" in value:
            found[key] = value["name"]
            found |= {f"{key}.{option}": v for option, v in (value.get("options") or {}).items()}
            found |= {f"{key}_train.{option}": v for option, v in (value.get("train") or {}).items()}
        else:
            found |= {f"{key}.{option}": v for option, v in _flat(value).items()}
    return found


def _value(value: Any) -> str:
    return "''" if value == "" else json.dumps(value) if isinstance(value, list | dict) else str(value)


def _there(stages: Stages, seed: int) -> dict[str, str]:
    """For each stage: there, to do, or damaged."""
    found = {}
    for name, (kind, key) in stages.keys.all(seed).items():
        try:
            found[name] = "there" if stages.store.has(kind, key) else "to do"
        except DataError:
            found[name] = "damaged"
    return found


def _words(found: Mapping[str, str]) -> str:
    return ", ".join(f"{name} {state}" for name, state in found.items())


def _estimate(spec: RunSpec, stages: Stages, there: Mapping[int, Mapping[str, str]]) -> str:
    finished = _finished(stages.store)
    windows, cases, known = _sizes(stages, next(iter(there)))
    total, notes = 0.0, []
    for seed, states in there.items():
        keys = stages.keys.all(seed)
        wanted = ["rank"] if states["rank"] != "there" else []
        if wanted:
            wanted += [name for name, state in states.items() if name not in ("prepare", "rank") and state != "there"]
            if states["model"] == "there":
                wanted = ["rank"]
        for name in wanted:
            kind, key = keys[name]
            seconds = _measured(kind, key, finished)
            if seconds is None:
                seconds = _rough(spec, name, windows, cases)
                notes.append("a rough rate for two CPU cores" + ("" if known else ", data set not prepared yet"))
            else:
                notes.append("finished stages of the same kind in the store")
            total += seconds
    if not total:
        return "estimated time: nothing to compute"
    return f"estimated time: about {duration(total)} (from {' and '.join(sorted(set(notes)))})"


def _finished(store: Store) -> list[dict[str, Any]]:
    found = []
    for path in sorted(store.root.glob("*/key.json")):
        try:
            found.append(json.loads(path.read_bytes()))
        except (OSError, ValueError):
            continue
    return found


def _measured(kind: str, key: Mapping[str, Any], finished: list[dict[str, Any]]) -> float | None:
    """Seconds by the stages that do the same work, scaled by epochs and windows; None where there is none."""
    times = []
    for meta in finished:
        other = meta.get("key", {})
        if meta.get("kind") != kind or not isinstance(other, dict):
            continue
        if kind == "ranking":
            same = _same(key, other, ("decoder", "evaluate")) and _same(key["model"], other["model"], ("data", "llm"))
            if same and key["model"]["backbone"]["name"] == other["model"]["backbone"]["name"]:
                times.append(float(meta["seconds"]))
            continue
        if kind == "lessons" and key["backbone"] != other["backbone"]:
            continue
        a, b = _train(key), _train(other)
        same = _same(key, other, ("llm", "machine")) and key["backbone"]["name"] == other["backbone"]["name"]
        if same and bool(a) == bool(b) and (not a or bool(a["samples"]) == bool(b["samples"])):
            scale = (a["epochs"] * max(a["samples"], 1)) / max(b["epochs"] * max(b["samples"], 1), 1) if a else 1.0
            times.append(float(meta["seconds"]) * scale)
    return sum(times) / len(times) if times else None


def _same(a: Mapping[str, Any], b: Mapping[str, Any], names: tuple[str, ...]) -> bool:
    return all(a.get(name) == b.get(name) for name in names)


def _train(key: Mapping[str, Any]) -> Mapping[str, Any]:
    """The training budget in a model's key: a scoring model's lies beside its name."""
    return key.get("train") or key["backbone"].get("train") or {}


def _sizes(stages: Stages, seed: int) -> tuple[int, int, bool]:
    """Training windows, test cases, and whether they are known: the data set is prepared."""
    from recbench.data.prepare import load_split

    kind, key = stages.keys.all(seed)["prepare"]
    try:
        if stages.store.has(kind, key):
            split = load_split(stages.store.stage(kind, key, lambda folder: None).path)
            return len(split.train), len(stages.test_cases(split)), True
    except DataError:
        pass
    return ROUGH_WINDOWS, ROUGH_CASES, False


def _rough(spec: RunSpec, name: str, windows: int, cases: int) -> float:
    if name.startswith("teacher "):
        return _rough(spec.teacher(), name.removeprefix("teacher "), windows, cases)
    llm = spec.parts.get("llm")
    kind = "scores" if llm is None else "tiny" if llm["name"] == "tiny" else "pretrained"
    if name == "rank":
        return ROUGH_RANK[kind] * cases
    if name in ("lessons", "learned"):
        return ROUGH_RANK["tiny" if spec.llm is None or spec.llm["name"] == "tiny" else "pretrained"] * windows / 10
    train = spec.parts[name].get("train") if name in ("collaborative", "reference") else spec.parts.get("train")
    kind = "scores" if name == "collaborative" else kind
    return ROUGH_TRAIN[kind] * train["epochs"] * min(train["samples"] or windows, windows) if train else 0.1
