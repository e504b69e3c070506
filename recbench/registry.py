"""Every method is an entry point, a third party's and our own alike; only what is asked for is imported.

An entry point of the group ``recbench.losses`` (and so on for each kind) names a descriptor
(:class:`recbench.interfaces.LossPlugin`), whose ``implementation`` is the class that does the work.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import Distribution, EntryPoint, distributions
from typing import Any, Literal, overload

from recbench.errors import RecbenchError, Stopped, UsageError, did_you_mean
from recbench.interfaces import (
    DESCRIPTORS,
    KINDS,
    PLURALS,
    BackbonePlugin,
    DecoderPlugin,
    IdentifierPlugin,
    LossPlugin,
    MetricPlugin,
    Plugin,
    SlicePlugin,
    SourcePlugin,
)
from recbench.memory import ran_out

GROUPS = dict(zip(KINDS, (f"recbench.{plural}" for plural in PLURALS), strict=True))


@dataclass(frozen=True)
class _Installed:
    """Entry points by kind and name, one for each distribution that claims the name; and what is wrong with others."""

    claims: dict[str, dict[str, dict[str, EntryPoint]]] = field(default_factory=lambda: {kind: {} for kind in KINDS})
    broken: list[str] = field(default_factory=list)


@cache
def _installed() -> _Installed:
    """Reads every installed distribution: once is enough."""
    found, kinds = _Installed(), {group: kind for kind, group in GROUPS.items()}
    seen: set[str] = set()
    for dist in distributions():
        try:
            ours = [entry for entry in dist.entry_points if entry.group.partition(".")[0] == "recbench"]
        except Exception as error:  # a third party's entry_points.txt may hold anything
            found.broken.append(f"The entry_points.txt of {_called(dist)} cannot be read ({_said(error)}).")
            continue
        if not ours or (owner := _called(dist)) in seen:  # an editable install's egg-info shows it again
            continue
        seen.add(owner)
        for entry in ours:
            if entry.group not in kinds:
                near = did_you_mean(entry.group, kinds)
                said = f"{entry.name!r} of {owner} is in the group {entry.group!r}, which does not exist: {near}"
                found.broken.append(said)
                continue
            found.claims[kinds[entry.group]].setdefault(entry.name, {})[owner] = entry
    return found


def _called(dist: Distribution) -> str:
    try:
        return str(dist.name or "an unnamed distribution")
    except Exception:  # its METADATA may be garbage too
        return "an unnamed distribution"


def broken() -> list[str]:
    """One sentence for each distribution or entry point that cannot be used at all."""
    return list(_installed().broken)


def _entries(kind: str) -> dict[str, list[EntryPoint]]:
    return {name: list(claims.values()) for name, claims in _installed().claims[kind].items()}


def names(kind: str) -> list[str]:
    """The installed names of one kind (of ``recbench.interfaces.KINDS``), sorted."""
    return sorted(_entries(kind))


@dataclass(frozen=True)
class Claim:
    """A distribution that registers a name.

    Attributes:
        kind, name: what it registers.
        distribution, version: who.
        value: the entry point's ``module:attribute``.
    """

    kind: str
    name: str
    distribution: str
    version: str
    value: str


def claims(kind: str) -> list[Claim]:
    """Every claim on a name of one kind, by name, then by distribution; imports nothing."""
    found = [Claim(kind, name, *_owner(e), e.value) for name, entries in _entries(kind).items() for e in entries]
    return sorted(found, key=lambda claim: (claim.name, claim.distribution))


def distribution(kind: str, name: str) -> tuple[str, str]:
    """Name and version of the distribution that registers ``name``."""
    return _owner(_entry(kind, name))


def _owner(entry: EntryPoint) -> tuple[str, str]:
    """Name and version of its distribution, as far as its metadata can be read."""
    if entry.dist is None:
        return "an unknown distribution", ""
    try:
        return _called(entry.dist), str(entry.dist.version or "")
    except Exception:
        return _called(entry.dist), ""


def origin(kind: str, name: str) -> str:
    """The same as text: ``recbench-toolkit 0.5.0``."""
    return " ".join(distribution(kind, name)).strip()


@overload
def get(kind: Literal["backbone"], name: str) -> BackbonePlugin: ...
@overload
def get(kind: Literal["loss"], name: str) -> LossPlugin: ...
@overload
def get(kind: Literal["decoder"], name: str) -> DecoderPlugin: ...
@overload
def get(kind: Literal["identifier"], name: str) -> IdentifierPlugin: ...
@overload
def get(kind: Literal["source"], name: str) -> SourcePlugin: ...
@overload
def get(kind: Literal["metric"], name: str) -> MetricPlugin: ...
@overload
def get(kind: Literal["slice"], name: str) -> SlicePlugin: ...
@overload
def get(kind: str, name: str) -> Plugin: ...
def get(kind: str, name: str) -> Plugin:
    """The descriptor of ``name``; imports its module.

    Raises:
        UsageError: the name is unknown (suggests the nearest), or two distributions claim it.
        RecbenchError: the module cannot be imported, or what it names is not a descriptor of this kind.
    """
    entry = _entry(kind, name)
    module, _, attribute = entry.value.partition(":")
    try:
        plugin: Any = importlib.import_module(module)
        for part in attribute.split("."):
            plugin = getattr(plugin, part)
        usable = isinstance(plugin, DESCRIPTORS[kind]) and isinstance(plugin.signal, str)  # both may run its code
    except (KeyboardInterrupt, Stopped):
        raise
    except BaseException as error:  # a third party's module may raise anything, SystemExit included
        said = f"{_who(kind, name)} cannot be imported from {entry.value} ({_said(error)})."
        raise RecbenchError(said) from error
    if not usable:
        raise RecbenchError(
            f"{_who(kind, name)}: {entry.value} is {type(plugin).__name__}, but an entry point of {GROUPS[kind]} must "
            f"name a {DESCRIPTORS[kind].__name__}."
        )
    return plugin


@contextmanager
def blamed(plugins: Iterable[tuple[str, str]]) -> Iterator[None]:
    """While plugins work: what goes wrong in the code of one of them becomes an error that names it.

    Args:
        plugins: kind and name of each.

    Raises:
        RecbenchError: a plugin raised an error that is not meant for people, called ``sys.exit``, or imports something
            that is not installed.
    """
    try:
        yield
    except (RecbenchError, OSError, KeyboardInterrupt, Stopped, GeneratorExit):
        raise
    except BaseException as error:  # SystemExit, and what a third party derives from BaseException
        if ran_out(error):
            raise
        culprit = _culprit(error, plugins)
        if culprit is None and not isinstance(error, SystemExit):
            raise
        who = "A library" if culprit is None else _who(*culprit)
        if isinstance(error, SystemExit):
            raise RecbenchError(f"{who} called sys.exit({error.code!r}), where it should raise an error.") from error
        assert culprit is not None
        if isinstance(error, ImportError):
            extra = get(*culprit).extra
            hint = f" Install it with: pip install {extra!r}." if extra else ""
            raise RecbenchError(f"{who} needs something that is not installed ({_said(error)}).{hint}") from error
        raise RecbenchError(f"{who} failed with {_said(error)}. RECBENCH_DEBUG=1 shows where.") from error


def _culprit(error: BaseException, plugins: Iterable[tuple[str, str]]) -> tuple[str, str] | None:
    """The plugin whose module raised, or called what raised: the innermost one on the way to the error."""
    modules = {get(kind, name).implementation.__module__: (kind, name) for kind, name in plugins}
    found, trace = None, error.__traceback__
    while trace is not None:
        found = modules.get(trace.tb_frame.f_globals.get("__name__", ""), found)
        trace = trace.tb_next
    return found


def _who(kind: str, name: str) -> str:
    return f"{kind.capitalize()} {name!r} of {origin(kind, name)}"


def _said(error: BaseException) -> str:
    """Class and message on one line."""
    return " ".join(f"{type(error).__name__}: {error}".split()).rstrip(".:")


def _entry(kind: str, name: str) -> EntryPoint:
    claims = _entries(kind).get(name)
    if not claims:
        raise UsageError(f"Unknown {kind} {name!r}: {did_you_mean(name, names(kind))}")
    if len(claims) > 1:
        owners = " and ".join(sorted(claim.dist.name if claim.dist else claim.value for claim in claims))
        raise UsageError(f"The {kind} name {name!r} is claimed by {owners}: uninstall one of them.")
    return claims[0]
