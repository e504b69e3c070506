"""From flags and a configuration file to a :class:`recbench.config.Request`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from recbench.cli.device import automatic
from recbench.cli.places import dataset_options
from recbench.config import FLAGS, Request, parse_seeds, read_config
from recbench.errors import UsageError, did_you_mean

WORDS = ("model", "loss", "decoder", "dataset", "data_dir", "llm", "preset", "device")
KEYS = (*WORDS, "seeds", *FLAGS, "set")
DEVICES = ("auto", "cpu", "cuda")
DEFAULTS = {"dataset": "ml-100k", "llm": "tiny", "device": "auto", "seeds": "1"}


@dataclass(frozen=True)
class Asked:
    """A request, its seeds, and where the names in it come from.

    Attributes:
        request: for :func:`recbench.run.plan`.
        seeds: the seeds.
        seeds_text: the seeds as they were written.
        origins: flag name -> ``--flag``, the configuration file's name, or ``default``.
    """

    request: Request
    seeds: tuple[int, ...]
    seeds_text: str
    origins: Mapping[str, str]


def ask(flags: Mapping[str, Any], sets: tuple[str, ...], config: Path | None) -> Asked:
    """Flags over the configuration file over defaults; nothing is looked up but the data set's source.

    Args:
        flags: by the names in :data:`KEYS` but ``set``; None means not said.
        sets: the ``--set`` texts.
        config: the ``--config`` file.

    Raises:
        UsageError: an unknown key or a value of the wrong kind in the file, no model, bad seeds, a missing path.
    """
    content = _checked(read_config(config), config) if config is not None else {}
    file = config.name if config is not None else ""
    values: dict[str, Any] = dict(DEFAULTS)
    origins = dict.fromkeys(KEYS, "default")
    for origin, layer in ((file, content), (None, flags)):
        for key, value in layer.items():
            if value is not None and key != "set":
                values[key], origins[key] = value, origin or f"--{key.replace('_', '-')}"
    if "model" not in values:
        raise UsageError("--model is missing: name a backbone, such as --model llara (recbench list backbones).")
    seeds = parse_seeds(str(values["seeds"]))
    groups: dict[str, dict[str, Any]] = {g: dict(o) for g, o in content.get("set", {}).items()}
    budget = {flag: flags[flag] if flags.get(flag) is not None else content.get(flag) for flag in FLAGS}
    device, device_origin = values["device"], origins["device"]
    if device not in DEVICES:
        raise UsageError(f"{device_origin}: device {device!r} is unknown: {did_you_mean(device, DEVICES)}")
    if device == "auto":
        device, device_origin = automatic(), "detected"
    request = Request(
        model=values["model"],
        loss=values.get("loss"),
        decoder=values.get("decoder"),
        dataset=values["dataset"],
        llm=values["llm"],
        preset=values.get("preset"),
        device=device,
        device_origin=device_origin,
        flags=budget,
        flag_origins={flag: file for flag in FLAGS if flags.get(flag) is None and flag in content},
        dataset_options=dataset_options(values["dataset"], values.get("data_dir")),
        sets=sets,
        config={"set": groups},
        config_name=file,
    )
    return Asked(request, seeds, str(values["seeds"]), origins)


def _checked(content: dict[str, Any], path: Path | None) -> dict[str, Any]:
    for key, value in content.items():
        if key not in KEYS:
            raise UsageError(f"--config {path}: unknown key {str(key)!r}: {did_you_mean(str(key), KEYS)}")
        if key in WORDS and not isinstance(value, str):
            raise UsageError(f"--config {path}: {key} must be a word, not {value!r}.")
        if key in FLAGS and (isinstance(value, bool) or not isinstance(value, int)):
            raise UsageError(f"--config {path}: {key} must be a whole number, not {value!r}.")
    if "seeds" in content:
        content = {**content, "seeds": _seeds(content["seeds"], path)}
    return content


def _seeds(value: Any, path: Path | None) -> str:
    numbers = value if isinstance(value, list) else [value]
    if isinstance(value, str):
        return value
    if not numbers or any(isinstance(n, bool) or not isinstance(n, int) for n in numbers):
        raise UsageError(f"--config {path}: seeds must be a count or a list of whole numbers, not {value!r}.")
    return ",".join(map(str, numbers)) + ("," if isinstance(value, list) and len(numbers) == 1 else "")
