"""Contract tests: what every plugin must satisfy, as classes for its author to subclass.

::

    from recbench.testing import LossTests

    class TestMine(LossTests):
        name = "mine"

Use :class:`LossTests`, :class:`ScoringLossTests`, :class:`PreferenceLossTests`, :class:`TextBackboneTests`,
:class:`ScoringBackboneTests`, :class:`TextDecoderTests`, :class:`ScoringDecoderTests`, :class:`IdentifierTests`,
:class:`SourceTests`, :class:`MetricTests` or :class:`SliceTests`: :func:`contract_of` says which one applies to a
plugin. The package must be installed: the tests go through its entry point, as a run does. All of it runs on a CPU in
seconds. ``options`` holds option values to test with, where the defaults are too large.
"""

from __future__ import annotations

from recbench.interfaces import (
    CatalogueMetric,
    DataSource,
    Identifier,
    ListMetric,
    Loss,
    Plugin,
    PreferenceLoss,
    RankMetric,
    ScoringBackbone,
    ScoringDecoder,
    ScoringLoss,
    Slicer,
    TextBackbone,
    TextDecoder,
)
from recbench.testing.backbones import BackboneTests, ScoringBackboneTests, TextBackboneTests
from recbench.testing.contract import Contract
from recbench.testing.data import RandomScores, TitlesOnly, tiny_results, tiny_split
from recbench.testing.decoders import DecoderTests, ScoringDecoderTests, TextDecoderTests
from recbench.testing.identifiers import IdentifierTests
from recbench.testing.losses import LossTests, ScoringLossTests
from recbench.testing.measures import MetricTests, SliceTests
from recbench.testing.models import tiny_answers, tiny_text_model
from recbench.testing.preferences import PreferenceLossTests
from recbench.testing.sources import SourceTests
from recbench.testing.teacher import TinyTeacher

__all__ = [
    "BackboneTests",
    "DecoderTests",
    "IdentifierTests",
    "LossTests",
    "MetricTests",
    "PreferenceLossTests",
    "RandomScores",
    "ScoringBackboneTests",
    "ScoringDecoderTests",
    "ScoringLossTests",
    "SliceTests",
    "SourceTests",
    "TextBackboneTests",
    "TextDecoderTests",
    "TinyTeacher",
    "TitlesOnly",
    "contract_of",
    "tiny_answers",
    "tiny_results",
    "tiny_split",
    "tiny_text_model",
]

_CONTRACTS: dict[type, type[Contract]] = {
    Loss: LossTests,
    ScoringLoss: ScoringLossTests,
    PreferenceLoss: PreferenceLossTests,
    TextBackbone: TextBackboneTests,
    ScoringBackbone: ScoringBackboneTests,
    TextDecoder: TextDecoderTests,
    ScoringDecoder: ScoringDecoderTests,
    Identifier: IdentifierTests,
    DataSource: SourceTests,
    Slicer: SliceTests,
    RankMetric: MetricTests,
    ListMetric: MetricTests,
    CatalogueMetric: MetricTests,
}


def contract_of(plugin: Plugin) -> type[Contract]:
    """The contract of a plugin, by the base class of its implementation."""
    return next(tests for base, tests in _CONTRACTS.items() if issubclass(plugin.implementation, base))
