"""What a run ran on: versions, code, machine. Imports none of the libraries it names."""

from __future__ import annotations

import functools
import os
import platform
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

import recbench

LIBRARIES = ("torch", "transformers", "peft", "trl", "accelerate", "recbole", "tokenizers", "numpy", "scipy")


def environment(device: str, threads: int) -> dict[str, Any]:
    """JSON values that say where a result comes from.

    Args:
        device: what was computed on: ``cpu`` or ``cuda``.
        threads: CPU threads.

    Returns:
        ``device``, ``recbench`` and ``python`` versions, ``versions`` of the installed libraries, ``git_commit`` and
        ``git_dirty`` (both None outside a checkout of recbench), ``platform``, ``cpu`` model and ``cores`` usable.
    """
    commit, dirty = _git()
    return {
        "device": _device(device, threads),
        "recbench": recbench.__version__,
        "python": platform.python_version(),
        "versions": versions(),
        "git_commit": commit,
        "git_dirty": dirty,
        "platform": f"{platform.system()} {platform.machine()}",
        "cpu": _cpu(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
    }


def _device(device: str, threads: int) -> str:
    """The device, for people."""
    torch = sys.modules.get("torch")  # whoever computes on a GPU has imported it
    if device == "cuda" and torch is not None:
        return str(torch.cuda.get_device_name())
    return f"CPU, {threads} thread{'s' * (threads != 1)}"


@functools.cache
def versions() -> dict[str, str]:
    """The installed versions of the libraries that results depend on."""
    found = {}
    for name in LIBRARIES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


@functools.cache
def _git() -> tuple[str | None, bool | None]:
    package = Path(recbench.__file__).resolve().parent
    top = _git_output(package, "rev-parse", "--show-toplevel")
    # a virtual environment inside somebody else's repository is not a checkout of recbench
    if top is None or Path(top).resolve() != package.parent:
        return None, None
    code = ("recbench", "plugins", "pyproject.toml", "datasets.yaml")
    changed = _git_output(package.parent, "status", "--porcelain", "--", *code)
    return _git_output(package, "rev-parse", "HEAD"), None if changed is None else bool(changed)


def _git_output(folder: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(["git", "-C", str(folder), *arguments], capture_output=True, text=True, timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def _cpu() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()
