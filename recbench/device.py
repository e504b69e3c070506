"""Which device ``--device auto`` means, without importing torch."""

from __future__ import annotations

import os
import shutil
from importlib import metadata
from pathlib import Path


def automatic() -> str:
    """``cuda`` where torch is a CUDA build and an NVIDIA GPU is there, else ``cpu``."""
    try:
        version = metadata.version("torch")
    except metadata.PackageNotFoundError:
        return "cpu"
    hidden = os.environ.get("CUDA_VISIBLE_DEVICES") in ("", "-1")
    return "cuda" if "+cpu" not in version and not hidden and _gpu() else "cpu"


def _gpu() -> bool:
    if Path("/dev").is_dir() and not Path("/dev/dxg").exists():  # Linux; WSL has no device file of NVIDIA's
        return Path("/dev/nvidia0").exists() or any(Path("/dev").glob("nvidia[0-9]*"))
    return shutil.which("nvidia-smi") is not None
