"""YAML as people write it, read strictly: anything surprising is an error that names its line.

Scalars follow the core schema of YAML 1.2 (https://yaml.org/spec/1.2.2/, 10.3.2), not PyYAML's 1.1: ``010`` is 10,
``1e-3`` a number, and ``1:30``, ``yes`` and ``2024-01-31`` are text. Duplicate keys, anchors, aliases, merge keys and
tags are refused.
"""

from __future__ import annotations

import re
import stat
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from recbench.errors import UsageError
from recbench.files import reason

MAX_BYTES = 1_000_000
MAX_LEVELS = 100

_TAG = "tag:yaml.org,2002:"
_SCALARS = (  # tag, form, first characters
    ("null", r"~|null|Null|NULL|", "~nN"),
    ("bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
    ("int", r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", "-+0123456789"),
    (
        "float",
        r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)",
        "-+.0123456789",
    ),
)


@dataclass(frozen=True)
class Document:
    """What a text holds.

    Attributes:
        name: what messages call it.
        value: plain Python: dict, list, str, int, float, bool, None.
        lines: the line of each key and list entry, by its path.
    """

    name: str
    value: Any
    lines: Mapping[tuple[Hashable, ...], int] = field(default_factory=dict)

    def line(self, *path: Hashable) -> int | None:
        """Line, from 1, of a key or list entry (by index); None where there is none.

        ``document.line("cells", 0, "loss")`` is the line of ``loss`` in the first cell.
        """
        return self.lines.get(path)


def load_yaml(text: str, name: str) -> Document:
    """Read one YAML document.

    Args:
        name: what messages call it, such as ``--config experiment.yaml``.

    Raises:
        UsageError: it is not YAML, more than 1 MB or deeper than 100 levels, has a key twice, an anchor, an alias, a
            merge key or a tag.
    """
    if len(text.encode("utf-8", "surrogatepass")) > MAX_BYTES:
        raise UsageError(f"{name} has more than 1 MB: split it.")
    try:
        loader = _Loader(text)
        node = loader.get_single_node()
        lines: dict[tuple[Hashable, ...], int] = {}
        return Document(name, _plain(node, (), lines), lines)
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, int(error.position)) + 1
        raise UsageError(f"{name}, line {line}: the character U+{error.character:04X} is not allowed.") from None
    except _Refused as error:
        raise UsageError(f"{name}, line {error.line}: {error}.") from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 1
        raise UsageError(f"{name}, line {line}: this is not YAML ({error.problem or error.context}).") from None


def yaml_value(text: str, where: str) -> Any:
    """The value of ``--set``: a scalar, ``[a, list]`` or ``{a: mapping}``; nothing at all is the empty text.

    Args:
        where: what messages call it, such as ``--set loss.tau=2``.

    Raises:
        UsageError: as :func:`load_yaml`, or the value is a mapping or list without brackets.
    """
    if not text:
        return ""
    try:
        value = load_yaml(text, where).value
    except UsageError as error:  # of a text without lines, the line says nothing
        raise UsageError(str(error).replace(f"{where}, line 1: ", f"{where}: ", 1)) from None
    if isinstance(value, dict | list) and text.lstrip()[:1] not in ("{", "["):
        raise UsageError(f"{where}: put {{}} or [] around a mapping or list, or quotes around a text.")
    return value


def read_yaml(path: Path, name: str = "") -> Document:
    """Read a YAML file.

    Args:
        name: what messages call it; its path if left out.

    Raises:
        UsageError: it is missing, not a regular file, not UTF-8, or as :func:`load_yaml`.
    """
    name = name or str(path)
    try:
        found = path.stat()
        if not stat.S_ISREG(found.st_mode):
            kind = "a folder" if stat.S_ISDIR(found.st_mode) else "not a regular file"
            raise UsageError(f"{name} is {kind}: a YAML file is needed.")
        if found.st_size > MAX_BYTES:
            raise UsageError(f"{name} has more than 1 MB: split it.")
        text = path.read_bytes().decode("utf-8-sig")
    except (OSError, ValueError) as error:  # ValueError: a path with a NUL, or UnicodeDecodeError
        if isinstance(error, UnicodeDecodeError):
            raise UsageError(f"{name} is not UTF-8 text (byte {error.start}): save it as UTF-8.") from None
        raise UsageError(f"{name}: {reason(error) if isinstance(error, OSError) else error}.") from None
    return load_yaml(text, name)


class _Refused(Exception):
    def __init__(self, message: str, mark: Any) -> None:
        super().__init__(message)
        self.line = mark.line + 1


class _Loader(yaml.SafeLoader):
    """PyYAML's parser with the scalars of YAML 1.2 and without what can surprise or explode."""

    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012 (PyYAML's own name and kind)
    levels = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        """One node, if it is allowed."""
        event = self.peek_event()
        if isinstance(event, yaml.AliasEvent):
            raise _Refused(f"aliases such as *{event.anchor} are not allowed; write the value again", event.start_mark)
        if event.anchor is not None:
            raise _Refused(f"anchors such as &{event.anchor} are not allowed", event.start_mark)
        if event.tag is not None:
            raise _Refused(f"tags such as {event.tag} are not allowed", event.start_mark)
        if self.levels == MAX_LEVELS:
            raise _Refused(f"it is nested more than {MAX_LEVELS} levels deep", event.start_mark)
        self.levels += 1
        try:
            return super().compose_node(parent, index)
        finally:
            self.levels -= 1


for _name, _form, _first in _SCALARS:
    _Loader.add_implicit_resolver(_TAG + _name, re.compile(f"(?:{_form})\\Z"), [*_first, ""])


def _plain(node: yaml.Node | None, path: tuple[Hashable, ...], lines: dict[tuple[Hashable, ...], int]) -> Any:
    """The value of a node; notes the line of each of its keys and entries."""
    if isinstance(node, yaml.SequenceNode):
        for number, entry in enumerate(node.value):
            lines[*path, number] = entry.start_mark.line + 1
        return [_plain(entry, (*path, number), lines) for number, entry in enumerate(node.value)]
    if isinstance(node, yaml.MappingNode):
        found: dict[Hashable, Any] = {}
        for key_node, value in node.value:
            key = _key(key_node)
            line = key_node.start_mark.line + 1
            if key in found:
                raise _Refused(
                    f"the key {key_node.value!r} occurs twice (first in line {lines[*path, key]})", key_node.start_mark
                )
            lines[*path, key] = line
            found[key] = _plain(value, (*path, key), lines)
        return found
    return None if node is None else _scalar(node)


def _key(node: yaml.Node) -> Hashable:
    if not isinstance(node, yaml.ScalarNode):
        raise _Refused("a key must be a word or a number", node.start_mark)
    if node.value == "<<" and node.style is None:
        raise _Refused("merge keys (<<) are not allowed; write the values again", node.start_mark)
    key: Hashable = _scalar(node)
    return key


def _scalar(node: yaml.Node) -> Any:
    text, kind = node.value, node.tag.removeprefix(_TAG)
    if kind == "null":
        return None
    if kind == "bool":
        return text.lower() == "true"
    if kind == "int":
        if len(text) > 1000:
            raise _Refused(f"a number of {len(text)} digits is too long", node.start_mark)
        base = {"0o": 8, "0x": 16}.get(text[:2], 10)
        return int(text, base)
    if kind == "float":
        word = text.lower()
        return float(word.replace(".", "") if word.endswith(("inf", "nan")) else word)
    return text
