"""From flags, ``--set`` and a configuration file to a :class:`recbench.spec.request.Request`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from recbench.documents import Document, read_yaml, yaml_value
from recbench.errors import UsageError
from recbench.spec.request import SET, Layer, Request, combine


def ask(flags: Mapping[str, Any], sets: Sequence[str], config: Path | None) -> Request:
    """Flags over the configuration file over defaults; nothing is looked up.

    Args:
        flags: by name; None means not said.
        sets: the ``--set`` texts.
        config: the ``--config`` file.

    Raises:
        UsageError: an unknown key or a value of the wrong kind, no model, bad seeds.
    """
    layers = [] if config is None else [file_layer(config)]
    said = {name: value for name, value in flags.items() if value is not None}
    return combine([*layers, Layer(said, flag_of), set_layer(sets)])


def test_request(
    dataset: str, data_dir: str | None, preset: str | None, sets: Sequence[str]
) -> tuple[Request, list[str]]:
    """A request for test cases, with nothing to run on them, and its flags as they are typed; paths without folders.

    Raises:
        UsageError: as :func:`ask`.
    """
    from recbench.results import EXTERNAL

    said = {"dataset": dataset, "data_dir": data_dir, "preset": preset}
    flags = {name: value for name, value in said.items() if value is not None}
    words = [word for name, value in flags.items() for word in (flag_of(name), value)]
    if data_dir is not None:
        words[words.index("--data-dir") + 1] = Path(data_dir).name
    words += [word for text in sets for word in ("--set", text)]
    return combine([Layer({"model": EXTERNAL, **flags}, flag_of), set_layer(sets)]), words


def file_layer(path: Path) -> Layer:
    """What a configuration file says: flags by name, and options under ``set``.

    Raises:
        UsageError: unreadable, not YAML, or not a mapping.
    """
    document = read_yaml(path)
    if not isinstance(document.value, dict):
        raise UsageError(f"--config {path} must hold a mapping such as 'model: llara'.")
    return Layer(document.value, lambda name: where(document, path.name, name))


def where(document: Document, file: str, name: str) -> str:
    """A place in a file for people: its name and line."""
    parts = name.split(".")
    keys = parts[:1] if parts[0] != SET else [parts[0], *parts[1:2], *([".".join(parts[2:])] if parts[2:] else [])]
    line = document.line(*keys)
    return f"{file}, line {line}" if line else file


def set_layer(texts: Sequence[str]) -> Layer:
    """What ``--set GROUP.OPTION=VALUE`` texts say.

    Raises:
        UsageError: another form.
    """
    groups: dict[str, dict[str, Any]] = {}
    for text in texts:
        target, equals, value = text.partition("=")
        group, dot, option = target.partition(".")
        if not (equals and dot and group and option):
            raise UsageError(f"--set {text!r} must read GROUP.OPTION=VALUE, such as loss.tau=2.")
        where = f"--set {text if len(text) <= 60 else target}"
        groups.setdefault(group, {})[option] = yaml_value(value, where)
    return Layer({SET: groups}, lambda name: "--set")


def flag_of(name: str) -> str:
    """A flag as it is typed."""
    return f"--{name.replace('_', '-')}"
