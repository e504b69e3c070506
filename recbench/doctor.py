"""What this machine has of what recbench needs: versions, device, store, data, models, plugins, extras."""

from __future__ import annotations

import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Literal

from packaging.requirements import InvalidRequirement, Requirement

import recbench
from recbench import registry
from recbench.data.catalog import datasets, open_source
from recbench.device import automatic
from recbench.errors import RecbenchError
from recbench.experiment import STORE
from recbench.files import reason
from recbench.interfaces import KINDS
from recbench.language.known import models

TOOLKIT = "recbench-toolkit"
State = Literal["ok", "missing", "BROKEN"]
"""``missing`` is needed by some requests only; ``BROKEN`` must be fixed."""


@dataclass(frozen=True)
class Finding:
    """One line of the examination.

    Attributes:
        what: was looked at.
        state: see :data:`State`.
        found: what is there.
        mend: the command or action that fixes it, if something is missing or broken.
    """

    what: str
    state: State
    found: str
    mend: str = ""


def examine(runs: Path) -> Iterator[Finding]:
    """Everything, in the order in which it is needed.

    Args:
        runs: folder of runs.
    """
    yield Finding("recbench", "ok", f"{recbench.__version__}, in {Path(recbench.__file__).parent}")
    version = platform.python_version()
    yield Finding("Python", "ok", f"{version}, {sys.executable}, {platform.system()} {platform.machine()}")
    yield from _libraries()
    yield _device()
    yield _threads()
    yield _store(runs)
    yield from _data()
    yield _models()
    yield from _plugins()
    yield from _extras()


def _libraries() -> Iterator[Finding]:
    """The packages that recbench requires; those that are fine share one line."""
    needed = [one for one in _required() if not one.marker or one.marker.evaluate({"extra": ""})]
    found = [_library(requirement) for requirement in needed]
    good = ", ".join(f"{one.what} {one.found}" for one in found if one.state == "ok")
    if good:
        yield Finding("libraries", "ok", good)
    yield from (one for one in found if one.state != "ok")


def _required() -> list[Requirement]:
    try:
        return [Requirement(text) for text in metadata.requires(TOOLKIT) or ()]
    except (metadata.PackageNotFoundError, InvalidRequirement):
        return []


def _library(requirement: Requirement) -> Finding:
    wanted = f"{requirement.name}{requirement.specifier}"
    try:
        version = metadata.version(requirement.name)
    except metadata.PackageNotFoundError:
        return Finding(requirement.name, "BROKEN", "not installed", f"pip install '{wanted}'")
    if not requirement.specifier.contains(version, prereleases=True):
        return Finding(requirement.name, "BROKEN", f"{version}, but {wanted} is needed", f"pip install '{wanted}'")
    return Finding(requirement.name, "ok", version)


def _device() -> Finding:
    """What torch itself says; importing it is the test of the installation."""
    try:
        import torch
    except Exception as error:
        return Finding("device", "BROKEN", f"torch cannot be imported: {error}", "pip install --force-reinstall torch")
    if torch.cuda.is_available():
        free, total = torch.cuda.mem_get_info()
        memory = f"{free / 1e9:.1f} of {total / 1e9:.1f} GB free"
        return Finding("device", "ok", f"{torch.cuda.get_device_name()}, {memory} (--device cuda)")
    if automatic() == "cuda":
        mend = "update the GPU's driver, or install the build of torch for it; or use --device cpu"
        return Finding("device", "BROKEN", "there is a GPU, but torch cannot use it", mend)
    return Finding("device", "ok", "cpu: there is no GPU that this build of torch can use")


def _threads() -> Finding:
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    limit = os.environ.get("OMP_NUM_THREADS")
    return Finding("threads", "ok", f"{usable} usable cores" + (f", OMP_NUM_THREADS={limit}" if limit else ""))


def _store(runs: Path) -> Finding:
    """Whether steps can be written where ``--runs`` says, how much is there and how much room is left."""
    place = runs / STORE
    there = next(folder for folder in (place, *place.absolute().parents) if folder.exists())
    try:
        with tempfile.TemporaryFile(dir=there):
            pass
        free = shutil.disk_usage(there).free
    except OSError as error:
        return Finding("store", "BROKEN", f"{place}: {reason(error)}", "choose another folder with --runs")
    room = f"{free / 1e9:.1f} GB free"
    if not place.exists():
        return Finding("store", "ok", f"{place}: empty, {room}")
    sizes = [file.stat().st_size for file in place.rglob("*") if file.is_file()]
    return Finding("store", "ok", f"{place}: {sum(sizes) / 1e6:,.1f} MB in {len(sizes):,} files, {room}")


def _data() -> Iterator[Finding]:
    """The data sets that need no path, each by its files' checksums; the others are prepared or the user's own."""
    other = []
    for name, entry in datasets().items():
        if not entry.sha256:
            other.append(name)
            continue
        try:
            read = dict(open_source(name, {}).inputs())
        except RecbenchError as error:
            yield Finding(f"data {name}", "missing", str(error), f"run recbench data {name} to see what it needs")
            continue
        wrong = sorted(file for file, digest in entry.sha256.items() if read.get(file) != digest)
        if wrong:
            mend = "reinstall the package that contains it (recbench describe dataset " + name + ")"
            yield Finding(f"data {name}", "BROKEN", f"{', '.join(wrong)}: not the published file", mend)
        else:
            yield Finding(f"data {name}", "ok", f"{len(read)} files, checksums as published")
    yield Finding("other data", "ok", f"--data-dir, or recbench data prepare: {', '.join(other)}")


def _models() -> Finding:
    try:
        added = [model.name for model in models().values() if model.added]
    except RecbenchError as error:
        return Finding("language models", "BROKEN", str(error), "set XDG_CACHE_HOME")
    if added:
        return Finding("language models", "ok", f"tiny, {', '.join(added)}")
    return Finding("language models", "ok", "tiny (others: recbench llm list, recbench llm add NAME)")


def _plugins() -> Iterator[Finding]:
    """How many there are; each that cannot be used, with the reason."""
    good, owners = 0, set()
    for kind in KINDS:
        for name in registry.names(kind):
            try:
                registry.get(kind, name)
            except RecbenchError as error:
                owner = next(claim.distribution for claim in registry.claims(kind) if claim.name == name)
                mend = f"pip uninstall {owner}, or fix it: recbench plugin list"
                yield Finding(f"{kind} {name}", "BROKEN", " ".join(str(error).split()), mend)
            else:
                good += 1
                owners.add(registry.distribution(kind, name)[0])
    for sentence in registry.broken():
        yield Finding("a plugin", "BROKEN", sentence, "uninstall it, or fix its entry points")
    yield Finding("plugins", "ok", f"{good}, of {', '.join(sorted(owners))}")


def _extras() -> Iterator[Finding]:
    """The optional extras; ``dev`` is for those who work on recbench."""
    for extra in sorted(metadata.metadata(TOOLKIT).get_all("Provides-Extra") or ()):
        wanted = [r for r in _required() if r.marker and r.marker.evaluate({"extra": extra})]
        wanted = [r for r in wanted if not r.marker.evaluate({"extra": ""})]  # type: ignore[union-attr]
        lacking = [found.what for found in map(_library, wanted) if found.state != "ok"]
        if lacking and extra != "dev":
            name = f"extra {extra}"
            yield Finding(name, "missing", f"without {', '.join(lacking)}", f"pip install '{TOOLKIT}[{extra}]'")
