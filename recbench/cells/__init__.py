"""A suite's cells as experiments: planned, run one after the other, or given to a cluster."""

from recbench.cells.planned import Planned, SuitePlan, planned, select, suite_plan
from recbench.cells.run import build_steps, known, manifest, run_cell, shared

__all__ = [
    "Planned",
    "SuitePlan",
    "build_steps",
    "known",
    "manifest",
    "planned",
    "run_cell",
    "select",
    "shared",
    "suite_plan",
]
