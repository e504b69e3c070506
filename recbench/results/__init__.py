"""What a run leaves behind: the record of its ranks and lists, and the environment it ran in."""

from recbench.results.environment import environment
from recbench.results.examples import course, examples
from recbench.results.record import Cases, Dataset, Examples, Labels, PluginCode, RunRecord, SeedResult, StepRecord
from recbench.results.saved import copy, from_json, read, spec_hash, taken, to_json, write
from recbench.results.verify import EXTERNAL, KEPT, verify

__all__ = [
    "EXTERNAL",
    "KEPT",
    "Cases",
    "Dataset",
    "Examples",
    "Labels",
    "PluginCode",
    "RunRecord",
    "SeedResult",
    "StepRecord",
    "copy",
    "course",
    "environment",
    "examples",
    "from_json",
    "read",
    "spec_hash",
    "taken",
    "to_json",
    "verify",
    "write",
]
