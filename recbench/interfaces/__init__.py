"""What a plugin consists of: a lightweight descriptor, typed options, and a base class for each kind of method.

A third party's package needs this package alone. Nothing here imports numpy or torch at run time.
"""

from __future__ import annotations

from recbench.interfaces.backbones import USER, BackbonePlugin, Piece, ScoringBackbone, TextBackbone
from recbench.interfaces.decoders import Decoder, DecoderPlugin, ScoringDecoder, SearchOptions, TextDecoder
from recbench.interfaces.fitting import (
    Checkpoints,
    Curves,
    Fit,
    FitReport,
    Reporter,
    Score,
    SilentReporter,
    TrainOptions,
)
from recbench.interfaces.identifiers import Identifier, IdentifierOptions, IdentifierPlugin, Names
from recbench.interfaces.losses import Loss, LossPlugin, Positions, PreferenceLoss, ScoringLoss
from recbench.interfaces.measures import (
    CatalogueMetric,
    ListMetric,
    MetricPlugin,
    RankMetric,
    SlicePlugin,
    Slicer,
    TopLists,
)
from recbench.interfaces.options import BatchSize, Options, Temperature
from recbench.interfaces.plugin import Plugin, Resumable, Signal
from recbench.interfaces.sources import DataSource, SourcePlugin
from recbench.interfaces.teachers import Lessons, Teacher

DESCRIPTORS: dict[str, type[Plugin]] = {
    "backbone": BackbonePlugin,
    "loss": LossPlugin,
    "decoder": DecoderPlugin,
    "identifier": IdentifierPlugin,
    "source": SourcePlugin,
    "metric": MetricPlugin,
    "slice": SlicePlugin,
}
"""The descriptor class of each kind; the entry points of a kind are the group ``recbench.`` and its plural."""
KINDS = tuple(DESCRIPTORS)
PLURALS = tuple("losses" if kind == "loss" else f"{kind}s" for kind in KINDS)

__all__ = [
    "DESCRIPTORS",
    "KINDS",
    "PLURALS",
    "USER",
    "BackbonePlugin",
    "BatchSize",
    "CatalogueMetric",
    "Checkpoints",
    "Curves",
    "DataSource",
    "Decoder",
    "DecoderPlugin",
    "Fit",
    "FitReport",
    "Identifier",
    "IdentifierOptions",
    "IdentifierPlugin",
    "Lessons",
    "ListMetric",
    "Loss",
    "LossPlugin",
    "MetricPlugin",
    "Names",
    "Options",
    "Piece",
    "Plugin",
    "Positions",
    "PreferenceLoss",
    "RankMetric",
    "Reporter",
    "Resumable",
    "Score",
    "ScoringBackbone",
    "ScoringDecoder",
    "ScoringLoss",
    "SearchOptions",
    "Signal",
    "SilentReporter",
    "SlicePlugin",
    "Slicer",
    "SourcePlugin",
    "Teacher",
    "Temperature",
    "TextBackbone",
    "TextDecoder",
    "TopLists",
    "TrainOptions",
]
