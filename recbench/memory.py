"""How much memory this process has used, and whether it ran out."""

from __future__ import annotations

import re
import resource
import sys
from contextlib import suppress
from pathlib import Path

RAN_OUT = "memory ran out; make the model, the batches or the data smaller, or use a machine with more"


def ran_out(error: BaseException) -> bool:
    """Whether an error says that memory ran out: Python's own, or torch's for a CPU or a GPU."""
    told = ("can't allocate memory", "out of memory")
    return isinstance(error, MemoryError) or (isinstance(error, RuntimeError) and any(t in str(error) for t in told))


def forget_peak(device: str = "cpu") -> None:
    """Let :func:`peak_memory_bytes` begin anew; on macOS, and where Linux forbids it, only for a GPU."""
    torch = sys.modules.get("torch")
    if device == "cuda" and torch is not None:
        torch.cuda.reset_peak_memory_stats()
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def peak_memory_bytes(device: str = "cpu") -> int:
    """The most memory used since :func:`forget_peak`, in bytes: of the GPU, or resident in this process."""
    torch = sys.modules.get("torch")  # whoever computes on a GPU has imported it
    if device == "cuda" and torch is not None:
        return int(torch.cuda.max_memory_allocated())
    with suppress(OSError):
        if found := re.search(r"^VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text(), re.MULTILINE):
            return int(found[1]) * 1024
    return int(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss) * (1 if sys.platform == "darwin" else 1024)
