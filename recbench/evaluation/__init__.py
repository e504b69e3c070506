"""Per-case ranks to metrics and slices; numpy only."""

from recbench.evaluation.metrics import METRICS, evaluate, seed_means
from recbench.evaluation.slices import head_threshold, slices

__all__ = ["METRICS", "evaluate", "head_threshold", "seed_means", "slices"]
