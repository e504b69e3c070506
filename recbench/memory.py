"""How much memory this process has used."""

from __future__ import annotations

import resource
import sys


def peak_memory_bytes(device: str = "cpu") -> int:
    """The most memory used so far, in bytes: of the GPU, or resident in this process or any one finished child."""
    torch = sys.modules.get("torch")  # whoever computes on a GPU has imported it
    if device == "cuda" and torch is not None:
        return int(torch.cuda.max_memory_allocated())
    peak = max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return int(peak) * (1 if sys.platform == "darwin" else 1024)  # Linux counts kilobytes, macOS bytes
