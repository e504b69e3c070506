"""What a plugin is: a light descriptor, typed options, and a base class for each kind of method.

A third party's package needs this package alone. Nothing here imports numpy or torch at run time.
"""

from __future__ import annotations

from recbench.interfaces.fitting import Fit, FitReport, Reporter, SilentReporter, TrainOptions
from recbench.interfaces.measures import (
    CatalogueMetric,
    ListMetric,
    MetricPlugin,
    RankMetric,
    SlicePlugin,
    Slicer,
    TopLists,
)
from recbench.interfaces.methods import (
    USER,
    DataSource,
    Decoder,
    Lessons,
    Loss,
    Piece,
    PreferenceLoss,
    ScoringBackbone,
    ScoringLoss,
    Teacher,
    TextBackbone,
)
from recbench.interfaces.plugin import KINDS, PLURALS, BatchSize, Options, Plugin, Signal

__all__ = [
    "KINDS",
    "PLURALS",
    "USER",
    "BatchSize",
    "CatalogueMetric",
    "DataSource",
    "Decoder",
    "Fit",
    "FitReport",
    "Lessons",
    "ListMetric",
    "Loss",
    "MetricPlugin",
    "Options",
    "Piece",
    "Plugin",
    "PreferenceLoss",
    "RankMetric",
    "Reporter",
    "ScoringBackbone",
    "ScoringLoss",
    "Signal",
    "SilentReporter",
    "SlicePlugin",
    "Slicer",
    "Teacher",
    "TextBackbone",
    "TopLists",
    "TrainOptions",
]
