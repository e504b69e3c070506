"""What a run says about itself: its name, labels, budget, policies and the command that repeats it."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from recbench import registry
from recbench.config import Request, RunSpec
from recbench.language.options import TINY
from recbench.results import Cases, Dataset, Labels, spec_hash
from recbench.results.upgrade import _nested
from recbench.types import Sequences, Split


def run_id(spec: RunSpec) -> str:
    """The name of a run's folder: its parts and the hash of its spec."""
    parts = spec.parts
    names = [_dataset_name(spec), parts["backbone"]["name"]]
    names += [parts[g]["name"] for g in ("loss",) if g in parts] + [parts["decoder"]["name"]]
    return "-".join([*names, spec.spec_hash()[:8]])


def describe(spec: RunSpec, split: Split, cases: Sequences, command: str) -> Mapping[str, Any]:
    """Everything of the record but its seeds."""
    parts = spec.parts
    counts = split.train_counts()
    evaluate = parts["evaluate"]
    chosen = [f"at most {evaluate['per_user']} windows a user"] if evaluate["per_user"] else []
    chosen += [f"a sample of {evaluate['cases']:,}"] if evaluate["cases"] else []
    name = _dataset_name(spec)
    llm = spec.llm["name"] if spec.llm else ""
    return {
        "run": run_id(spec),
        "spec": _nested(parts),
        "spec_hash": spec_hash(_nested(parts)),
        "command": command,
        "dataset": Dataset(name=name, label=name, sources=dict(split.sources)),
        "labels": Labels(
            method=_label(parts["backbone"], "backbone", _teacher_words(parts)),
            loss=_label(parts.get("loss"), "loss", _tuned_words(parts)),
            decoder=_label(parts["decoder"], "decoder"),
            llm=llm,
        ),
        "budget": _budget(spec, split),
        "policies": {
            "items that share a title": str(parts["dataset"]["options"].get("namesakes", "distinct")),
            "items of the history": f"{evaluate['history']} as recommendations",
        },
        "cases": Cases(
            digest=cases.digest(),
            label=", ".join(chosen) or "all test windows",
            users=cases.users,
            cold=(~split.warm_items()[cases.target]).astype(np.int32),
            history_length=cases.history_length,
            popularity=counts[cases.target].astype(np.int32),
            target=cases.target,
            item_popularity=counts.astype(np.int32),
        ),
    }


def _label(part: Mapping[str, Any] | None, kind: str, more: list[str] | None = None) -> str:
    """A part's name with the options that differ from its defaults, and ``more``."""
    if part is None:
        return ""
    defaults = registry.get(kind, part["name"]).options().model_dump(mode="json")
    changed = [f"{k}={v}" for k, v in part["options"].items() if defaults.get(k) != v]
    changed += more or []
    return part["name"] + (f" ({', '.join(changed)})" if changed else "")


def _teacher_words(parts: Mapping[str, Any]) -> list[str]:
    """A teacher other than the usual one, as part of the method's label."""
    if "teacher" not in parts:
        return []
    teacher = parts["teacher"]
    name, loss = teacher["backbone"]["name"], teacher["loss"]["name"]
    usual = registry.get("backbone", parts["backbone"]["name"]).requires["teacher"]
    if (name, loss) == (usual, registry.get("backbone", usual).default_loss):
        return []
    return [f"teacher={name}+{loss}"]


def _tuned_words(parts: Mapping[str, Any]) -> list[str]:
    """Budget options that were chosen on validation, as part of the loss's label."""
    grid = parts.get("tuning", {}).get("grid", {})
    chosen = [name.partition(".")[2] for name in grid if name.startswith("train.")]
    return [f"{option}={parts['train'][option]}" for option in chosen]


def _budget(spec: RunSpec, split: Split) -> dict[str, str]:
    parts = spec.parts
    if "train" not in parts:
        return {"training": "none"}
    train = parts["train"]
    n = len(split.train if split.sample is None or not train["samples"] else split.train.take(split.sample))
    shown = min(train["samples"] or n, n)
    budget = {
        "preset": spec.preset,
        "training windows": f"{shown:,} of {len(split.train):,}",
        "epochs": f"at most {train['epochs']}" if train["patience"] else str(train["epochs"]),
        "batch": str(train["batch_size"]),
        "learning rate": f"{train['learning_rate']:g}",
        "epoch chosen on": f"{min(parts['evaluate']['validation_cases'], len(split.valid)):,} validation windows",
    }
    if "reference" in parts:
        first = parts["reference"]["train"]
        loss = parts["reference"]["loss"]["name"]
        budget["before"] = f"{loss}, {first['epochs']} epochs on {_windows(first)} windows"
    if "teacher" in parts:
        teacher, own = parts["teacher"], parts["teacher"]["train"]
        words = f"{teacher['backbone']['name']} + {teacher['loss']['name']}"
        budget["teacher"] = f"{words}, {own['epochs']} epochs on {_windows(own)} windows"
    if "tuning" in parts:
        tuning = parts["tuning"]
        grid = "; ".join(f"{k} in {', '.join(map(str, v))}" for k, v in tuning["grid"].items())
        budget["tuning"] = f"{grid} ({tuning['trials']} trainings, seed {tuning['seed']}, on validation)"
    if "collaborative" in parts:
        helper, own = parts["collaborative"]["name"], parts["collaborative"]["train"]
        said = f"{helper}, {own['epochs']} epochs on {_windows(own)} windows" if own else helper
        budget["collaborative model"] = said
    return budget


def _windows(train: Mapping[str, Any]) -> str:
    return f"{train['samples']:,}" if train["samples"] else "all"


def command_of(request: Request, spec: RunSpec) -> str:
    """The command line that repeats a request, but for its seeds; paths are shown by their last part."""
    machine, several = spec.parts["machine"], spec.parts["machine"]["processes"] > 1
    launch = ["torchrun", "--nproc_per_node", str(machine["processes"]), "-m"] if several else []
    grid = request.tuning.get("grid", {})
    words = [*launch, "recbench", "tune" if grid else "run", "--model", request.model]
    for flag, value in (("--loss", request.loss), ("--decoder", request.decoder)):
        words += [flag, value] if value else []
    words += ["--dataset", request.dataset] if request.dataset != "ml-100k" else []
    for option, value in request.dataset_options.items():
        place = Path(value).name
        words += ["--data-dir", place] if option in ("dir", "file") else ["--set", f"dataset.{option}={value}"]
    llm = spec.llm["name"] if spec.llm else TINY
    words += ["--llm", llm] if llm != TINY else []
    words += ["--preset", spec.preset, "--device", machine["device"]]
    for flag, number in request.flags.items():
        words += [f"--{flag.replace('_', '-')}", str(number)] if number is not None else []
    groups = request.config.get("set", {})
    words += [w for g, options in groups.items() for k, v in options.items() for w in ("--set", f"{g}.{k}={v}")]
    words += [w for text in request.sets if text.partition("=")[0] not in grid for w in ("--set", text)]
    for target, values in grid.items():
        words += ["--grid", f"{target}={','.join(map(str, values))}"]
    words += ["--tune-seed", str(request.tuning["seed"]), "--run"] if grid else []
    return shlex.join(words)


def _dataset_name(spec: RunSpec) -> str:
    data = spec.parts["dataset"]
    return str(data.get("label", data["name"]))
