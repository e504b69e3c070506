"""From what a user asks to a complete, validated spec, and where each of its values comes from.

Values are layered: option defaults, datasets.yaml, the method's own training defaults, preset, configuration file,
flags, ``--set``. Every option lives in one class, in one place; this module only finds it by group and name.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from recbench import registry
from recbench.budget import PRESETS, TRAIN_DEFAULTS, EvaluateOptions, MachineOptions, TrainBudget
from recbench.errors import UsageError, did_you_mean
from recbench.interfaces import Options
from recbench.language.options import TINY, options_of
from recbench.layers import Layers

FLAGS = {"epochs": ("train", "epochs"), "train_samples": ("train", "samples"), "batch_size": ("train", "batch_size")}


@dataclass(frozen=True)
class Request:
    """What the user asked for, before anything is looked up; None means not said."""

    model: str
    loss: str | None = None
    decoder: str | None = None
    dataset: str = "ml-100k"
    llm: str = TINY
    preset: str | None = None
    device: str = "cpu"
    device_origin: str = "--device"
    flags: Mapping[str, int | None] = field(default_factory=dict)
    dataset_options: Mapping[str, Any] = field(default_factory=dict)
    sets: Sequence[str] = ()
    config: Mapping[str, Any] = field(default_factory=dict)
    config_name: str = ""
    processes: int = 1


@dataclass(frozen=True)
class RunSpec:
    """A complete experiment, but for its seeds: plain values, no path of the machine.

    Attributes:
        parts: ``{group: {"name": ..., "options": {...}}}`` for dataset, backbone, collaborative, loss, decoder and llm
            (those that apply), and ``{group: {option: value}}`` for train, evaluate and machine.
        origins: where each value comes from, by (group, option).
        places: paths on this machine: ``llm`` and the dataset's own.
        preset: the preset's name.
        signal: text or scores.
    """

    parts: Mapping[str, Any]
    origins: Mapping[tuple[str, str], str]
    places: Mapping[str, str]
    preset: str
    signal: str

    def spec_hash(self) -> str:
        """16 hex digits over the canonical parts."""
        return hashlib.sha256(canonical(self.parts).encode()).hexdigest()[:16]

    def with_facts(self, group: str, **facts: Any) -> RunSpec:
        """The same spec with what was measured about a part (checksums) added to it."""
        parts = {**self.parts, group: {**self.parts[group], **facts}}
        return RunSpec(parts, self.origins, self.places, self.preset, self.signal)


def canonical(value: Any) -> str:
    """One text for equal values, whatever their order."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def resolve(request: Request, source: str, source_defaults: Mapping[str, Any]) -> RunSpec:
    """Look everything up, layer the values, validate, check that the parts fit together. Imports no method.

    Args:
        request: what the user asked.
        source, source_defaults: the data set's plugin and options from datasets.yaml.

    Raises:
        UsageError: an unknown name or option, a value of the wrong kind, or parts that do not go together.
    """
    preset = request.preset or ("paper" if request.device == "cuda" else "cpu")
    if preset not in PRESETS:
        raise UsageError(f"Unknown preset {preset!r}: {did_you_mean(preset, PRESETS)}")
    backbone = registry.get("backbone", request.model)
    text = backbone.signal == "text"
    loss = request.loss or backbone.default_loss
    decoder = request.decoder or backbone.default_decoder
    _check_fit(request, backbone, loss, decoder)
    layers = Layers(request)
    parts: dict[str, Any] = {}

    dataset_options = layers.options(
        "dataset",
        registry.get("source", source).options,
        [("datasets.yaml", source_defaults)],
        [("--data-dir", request.dataset_options)],
    )
    places = {
        k: str(v) for k, v in dataset_options.items() if v and _is_path(registry.get("source", source).options, k)
    }
    shown = {k: v for k, v in dataset_options.items() if k not in places}
    parts["dataset"] = {"name": request.dataset, "source": source, "options": shown}
    parts["backbone"] = {"name": request.model, "options": layers.options("backbone", backbone.options, [])}
    if backbone.requires:
        parts["collaborative"] = _collaborative(layers, parts["backbone"], backbone.requires["collaborative"], preset)
    if loss:
        parts["loss"] = {"name": loss, "options": layers.options("loss", registry.get("loss", loss).options, [])}
    parts["decoder"] = {
        "name": decoder,
        "options": layers.options("decoder", registry.get("decoder", decoder).options, []),
    }
    if text:
        kind = "tiny" if request.llm == TINY else "pretrained"
        precision = [("GPU", {"precision": "bf16"})] if request.device == "cuda" and kind == "pretrained" else []
        parts["llm"] = {
            "name": _llm_name(request.llm),
            "options": layers.options("llm", options_of(request.llm), precision),
        }
        places["llm"] = request.llm
    else:
        kind = "scores"
    if loss:
        parts["train"] = layers.options("train", TrainBudget, _train_layers(kind, preset), _flags(request, "train"))
    elif said := [flag for flag in FLAGS if request.flags.get(flag) is not None]:
        raise UsageError(f"--{said[0].replace('_', '-')} does not apply: {request.model} is not trained.")
    parts["evaluate"] = layers.options("evaluate", EvaluateOptions, [(f"preset {preset}", PRESETS[preset]["evaluate"])])
    device = [(request.device_origin, {"device": request.device})]
    said_so = request.device_origin == "--device"  # a device that was only detected gives way to a file's
    launched = [("detected", {"processes": request.processes})]
    parts["machine"] = layers.options(
        "machine", MachineOptions, launched if said_so else [*launched, *device], device if said_so else []
    )
    layers.finish()
    if (
        objection := registry.get("decoder", decoder)
        .options(**parts["decoder"]["options"])
        .objection(parts["evaluate"]["depth"])
    ):
        raise UsageError(objection)
    return RunSpec(parts, layers.origins, places, preset, backbone.signal)


def parse_seeds(text: str) -> tuple[int, ...]:
    """``5`` is five seeds (1 to 5); ``3,17,42`` are those; ``17,`` is the one seed 17.

    Raises:
        UsageError: no whole numbers, a count below 1, a negative seed, or a seed given twice.
    """
    pieces = [p.strip() for p in text.split(",")]
    try:
        numbers = [int(p) for p in pieces if p]
    except ValueError:
        numbers = []
    if not numbers:
        raise UsageError(f"--seeds {text!r} is neither a count such as 5 nor a list such as 3,17,42.")
    if len(pieces) == 1:
        if numbers[0] < 1:
            raise UsageError(f"--seeds {numbers[0]} leaves nothing to run: the count must be at least 1.")
        if numbers[0] > 1000:
            raise UsageError(f"--seeds {numbers[0]} is a count of seeds; the one seed {numbers[0]} reads {numbers[0]},")
        return tuple(range(1, numbers[0] + 1))
    if min(numbers) < 0 or max(numbers) >= 2**32:
        raise UsageError(f"--seeds {text}: every seed must lie between 0 and 4294967295.")
    if len(set(numbers)) < len(numbers):
        twice = next(n for n in numbers if numbers.count(n) > 1)
        raise UsageError(f"--seeds {text}: seed {twice} is given twice.")
    return tuple(numbers)


def read_config(path: Path) -> dict[str, Any]:
    """A configuration file: the flags by name, and options under ``set: {group: {option: value}}``.

    Raises:
        UsageError: unreadable, no YAML, or not a mapping.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"--config {path}: {(error.strerror or 'unreadable').lower()}.") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UsageError(f"--config {path} is no YAML: {str(error).splitlines()[0]}.") from error
    if isinstance(content, dict):  # as on the command line or as in Python
        content = {k.replace("-", "_") if isinstance(k, str) else k: v for k, v in content.items()}
    if not isinstance(content, dict):
        raise UsageError(f"--config {path} must hold a mapping such as 'model: llara'.")
    groups = content.get("set", {})
    if not isinstance(groups, dict) or not all(isinstance(v, dict) for v in groups.values()):
        raise UsageError(f"--config {path}: 'set' must hold {{group: {{option: value}}}}.")
    return content


def _check_fit(request: Request, backbone: Any, loss: str, decoder: str) -> None:
    text = backbone.signal == "text"
    if request.loss and not backbone.default_loss:
        raise UsageError(f"--loss {request.loss} does not apply: {request.model} is not trained by a loss.")
    makes = "titles" if text else "item scores"
    if loss and (trains := registry.get("loss", loss).signal) != backbone.signal:
        raise UsageError(
            f"--loss {loss} trains {'titles' if trains == 'text' else 'item scores'}, but {request.model} produces "
            f"{makes}: use {_fitting('loss', backbone.signal)}."
        )
    if (accepts := registry.get("decoder", decoder).signal) != backbone.signal:
        raise UsageError(
            f"--decoder {decoder} needs {'titles' if accepts == 'text' else 'item scores'}, but {request.model} "
            f"produces {makes}: use {_fitting('decoder', backbone.signal)}."
        )
    if request.llm != TINY and not text:
        raise UsageError(f"--llm does not apply: {request.model} has no language model.")


def _fitting(kind: str, signal: str) -> str:
    fitting = []
    for name in registry.names(kind):
        try:
            if registry.get(kind, name).signal == signal:
                fitting.append(name)
        except Exception:
            continue
    return " or ".join(fitting)


def _llm_name(llm: str) -> str:
    """A local model is called by its last folder or file, a hub model by its whole identifier."""
    local = Path(llm).expanduser()
    if llm == TINY or not local.exists():
        return llm
    name = local.resolve().name
    return name if name != TINY else f"./{name}"


def _is_path(model: type[Options], option: str) -> bool:
    extra = model.model_fields[option].json_schema_extra
    return isinstance(extra, dict) and bool(extra.get("path"))


def _train_layers(kind: str, preset: str) -> list[tuple[str, Mapping[str, Any]]]:
    values = PRESETS[preset]["scores" if kind == "scores" else "text"]
    return [(f"{kind} default", TRAIN_DEFAULTS[kind]), (f"preset {preset}", values)]


def _collaborative(layers: Layers, backbone: Mapping[str, Any], default: str, preset: str) -> dict[str, Any]:
    """The collaborative model: trained exactly as if it were run by itself, so that both share one artefact."""
    name = str(backbone["options"].get("collaborative", default))
    plugin = registry.get("backbone", name)
    if plugin.signal != "scores":
        raise UsageError(
            f"backbone.collaborative={name} must be a backbone that scores items, not one that writes titles."
        )
    return {
        "name": name,
        "options": layers.options("collaborative", plugin.options, []),
        "loss": {"name": plugin.default_loss, "options": {}} if plugin.default_loss else None,
        "train": layers.options("collaborative_train", TrainBudget, _train_layers("scores", preset))
        if plugin.default_loss
        else None,
    }


def _flags(request: Request, group: str) -> list[tuple[str, Mapping[str, Any]]]:
    return [
        (f"--{flag.replace('_', '-')}", {option: request.flags[flag]})
        for flag, (where, option) in FLAGS.items()
        if where == group and request.flags.get(flag) is not None
    ]
