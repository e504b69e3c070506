"""Options chosen on validation, from a grid or from a sampled space; no trial sees the test set."""

from recbench.tuning.grid import (
    TRIALS,
    Trial,
    choose,
    chosen,
    parse_grid,
    settings,
    trials_of,
    tune,
    validated,
    validation_score,
)
from recbench.tuning.notes import Sampled
from recbench.tuning.sampled import best_of, sample
from recbench.tuning.space import parse_space

__all__ = [
    "TRIALS",
    "Sampled",
    "Trial",
    "best_of",
    "choose",
    "chosen",
    "parse_grid",
    "parse_space",
    "sample",
    "settings",
    "trials_of",
    "tune",
    "validated",
    "validation_score",
]
