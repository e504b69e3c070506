"""Every method is an entry point; nothing is imported before it is used. Standard library only.

A group's entry point resolves to a light :class:`recbench.interfaces.Plugin` descriptor; the implementation it names
is imported by :func:`load`. Built-in methods and a third party's are found the same way.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
from collections.abc import Iterable
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any

from recbench.errors import RecbenchError, UsageError, did_you_mean
from recbench.interfaces import KINDS, PLURALS, Plugin

GROUPS = dict(zip(KINDS, (f"recbench.{plural}" for plural in PLURALS), strict=True))


@cache
def _all_entries() -> Any:
    return entry_points()  # reads every installed distribution: once is enough


@cache
def _entries(kind: str) -> dict[str, list[EntryPoint]]:
    found: dict[str, dict[tuple[str, str], EntryPoint]] = {}
    for entry in _all_entries().select(group=GROUPS[kind]):
        # One distribution can be seen twice (an editable install beside its egg-info): that is no conflict.
        owner = entry.dist.name if entry.dist else "?"
        found.setdefault(entry.name, {})[owner, entry.value] = entry
    return {name: list(claims.values()) for name, claims in found.items()}


def names(kind: str) -> list[str]:
    """The installed names of one kind (backbone, loss, decoder, source), sorted."""
    return sorted(_entries(kind))


def origin(kind: str, name: str) -> str:
    """The distribution, with version, that registers ``name``."""
    entry = _entry(kind, name)
    return f"{entry.dist.name} {entry.dist.version}" if entry.dist else "unknown distribution"


def get(kind: str, name: str) -> Plugin:
    """The descriptor of ``name``, without importing its implementation.

    Raises:
        UsageError: the name is unknown (suggests the nearest), or two distributions claim it.
        RecbenchError: the descriptor's module cannot be imported, or is no descriptor.
    """
    entry = _entry(kind, name)
    plugin = _import(entry.value, kind, name, extra="")
    if not isinstance(plugin, Plugin) or plugin.kind != kind:
        raise RecbenchError(
            f"{kind} {name!r} of {origin(kind, name)}: {entry.value} is {type(plugin).__name__}, "
            f"where an entry point of {GROUPS[kind]} must name a Plugin of kind {kind!r}."
        )
    return plugin


def load(kind: str, name: str) -> Any:
    """The class that implements ``name``; imports it.

    Raises:
        RecbenchError: the import fails; names the plugin, its distribution and the extra to install.
    """
    plugin = get(kind, name)
    return _import(plugin.implementation, kind, name, plugin.extra)


@cache
def code(kind: str, name: str) -> str:
    """sha256 over the source of the package (or single module) that implements ``name``."""
    top = get(kind, name).implementation.partition(":")[0].partition(".")[0]
    found = importlib.util.find_spec(top)
    if found is None:
        raise RecbenchError(f"{kind.capitalize()} {name!r} of {origin(kind, name)}: there is no package {top!r}.")
    folders = [Path(place) for place in found.submodule_search_locations or ()]
    return digest([p for folder in folders for p in folder.rglob("*.py")] or [Path(str(found.origin))])


def digest(files: Iterable[Path]) -> str:
    """sha256 over names and contents of source files."""
    sha = hashlib.sha256()
    for path in sorted(files):
        sha.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return sha.hexdigest()


def _entry(kind: str, name: str) -> EntryPoint:
    claims = _entries(kind).get(name)
    if not claims:
        raise UsageError(f"Unknown {kind} {name!r}: {did_you_mean(name, names(kind))}")
    if len(claims) > 1:
        owners = " and ".join(sorted(c.dist.name if c.dist else c.value for c in claims))
        raise UsageError(f"The {kind} name {name!r} is claimed by {owners}: uninstall one of them.")
    return claims[0]


def _import(target: str, kind: str, name: str, extra: str) -> Any:
    module, _, attribute = target.partition(":")
    try:
        found: Any = importlib.import_module(module)
        for part in attribute.split("."):
            found = getattr(found, part)
    except Exception as error:  # a third party's module may raise anything; all of it is one failure to import
        hint = f" Install it with: pip install {extra!r}." if extra else ""
        raise RecbenchError(
            f"{kind.capitalize()} {name!r} of {origin(kind, name)} cannot be imported from {target}: "
            f"{type(error).__name__}: {error}.{hint}"
        ) from error
    return found
