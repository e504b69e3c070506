"""Per-case ranks and top lists to metrics and slices; numpy only."""

from recbench.evaluation.metrics import Metric, available, evaluate, metric, metrics, seed_means
from recbench.evaluation.ranks import mean_of_items, ndcg, within
from recbench.evaluation.slices import Slice, masks, parts_of, slice_names, slices

__all__ = [
    "Metric",
    "Slice",
    "available",
    "evaluate",
    "masks",
    "mean_of_items",
    "metric",
    "metrics",
    "ndcg",
    "parts_of",
    "seed_means",
    "slice_names",
    "slices",
    "within",
]
