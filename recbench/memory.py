"""How much memory this process has used, and whether it ran out."""

from __future__ import annotations

import resource
import sys

RAN_OUT = "memory ran out; make the model, the batches or the data smaller, or use a machine with more"


def ran_out(error: BaseException) -> bool:
    """Whether an error says that memory ran out: Python's own, or torch's for a CPU or a GPU."""
    told = ("can't allocate memory", "out of memory")
    return isinstance(error, MemoryError) or (isinstance(error, RuntimeError) and any(t in str(error) for t in told))


def peak_memory_bytes(device: str = "cpu") -> int:
    """The most memory used so far, in bytes: of the GPU, or resident in this process or any one finished child."""
    torch = sys.modules.get("torch")  # whoever computes on a GPU has imported it
    if device == "cuda" and torch is not None:
        return int(torch.cuda.max_memory_allocated())
    peak = max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return int(peak) * (1 if sys.platform == "darwin" else 1024)  # Linux counts kilobytes, macOS bytes
