"""What made a run: the code of its plugins, as text, and where runs differ in code or in the data they read."""

from __future__ import annotations

from collections.abc import Sequence

from recbench.results import PluginCode, RunRecord

SHORT = 8


def code_text(plugin: PluginCode) -> str:
    """``loss msl: recbench-toolkit 0.5.0, code 1a2b3c4d``."""
    return f"{plugin.kind} {plugin.name}: {_made(plugin)}"


def _made(plugin: PluginCode) -> str:
    return f"{plugin.distribution} {plugin.version}, code {plugin.code[:SHORT]}"


Named = Sequence[tuple[str, RunRecord]]


def unlike(records: Named) -> list[str]:
    """A sentence for each plugin whose code, and each data file whose content, was not the same for all runs.

    Args:
        records: what to call each run, and its record; those of format 1 do not say what code made them.
    """
    return [*other_code(records), *other_data(records)]


def other_code(records: Named) -> list[str]:
    """The sentences of :func:`unlike` on code."""
    made: dict[tuple[str, str], dict[PluginCode, list[str]]] = {}
    for name, record in records:
        for plugin in record.plugins:
            made.setdefault((plugin.kind, plugin.name), {}).setdefault(plugin, []).append(name)
    return [
        f"{kind} {name} was not the same code: "
        + "; ".join(f"{_made(plugin)} made {', '.join(users)}" for plugin, users in versions.items())
        for (kind, name), versions in sorted(made.items())
        if len({plugin.code for plugin in versions}) > 1
    ]


def other_data(records: Named) -> list[str]:
    """The sentences of :func:`unlike` on data."""
    files: dict[str, dict[str, list[str]]] = {}
    for name, record in records:
        for file, checksum in record.dataset.sources.items():
            files.setdefault(file, {}).setdefault(checksum, []).append(name)
    return [
        f"{file} was not the same file: "
        + "; ".join(f"sha256 {checksum[:SHORT]} was read by {', '.join(users)}" for checksum, users in read.items())
        for file, read in sorted(files.items())
        if len(read) > 1
    ]
