"""What a run leaves behind: the record of its ranks and lists, and the environment it ran in."""

from recbench.results.environment import environment, peak_memory_bytes
from recbench.results.record import Cases, Dataset, Labels, PluginCode, RunRecord, SeedResult, StepRecord
from recbench.results.saved import copy, from_json, read, spec_hash, to_json, write
from recbench.results.store import Stage, Store
from recbench.results.verify import KEPT, verify

__all__ = [
    "KEPT",
    "Cases",
    "Dataset",
    "Labels",
    "PluginCode",
    "RunRecord",
    "SeedResult",
    "Stage",
    "StepRecord",
    "Store",
    "copy",
    "environment",
    "from_json",
    "peak_memory_bytes",
    "read",
    "spec_hash",
    "to_json",
    "verify",
    "write",
]
