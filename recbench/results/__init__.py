"""What a run leaves behind: the record of its ranks, the environment it ran in, and the store of its stages."""

from recbench.results.environment import environment, peak_memory_bytes
from recbench.results.record import Cases, Dataset, Labels, RunRecord, SeedResult, from_json, read, to_json, write
from recbench.results.store import Stage, Store

__all__ = [
    "Cases",
    "Dataset",
    "Labels",
    "RunRecord",
    "SeedResult",
    "Stage",
    "Store",
    "environment",
    "from_json",
    "peak_memory_bytes",
    "read",
    "to_json",
    "write",
]
