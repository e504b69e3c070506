"""Contract tests: what every plugin has to keep, as classes whose author subclasses them.

::

    from recbench.testing import LossTests

    class TestMine(LossTests):
        name = "mine"

Use :class:`LossTests`, :class:`ScoringLossTests`, :class:`PreferenceLossTests`, :class:`TextBackboneTests`,
:class:`ScoringBackboneTests`, :class:`TextDecoderTests`, :class:`ScoringDecoderTests`, :class:`IdentifierTests` or
:class:`SourceTests`. The package must be installed: the tests go through its entry point, as a run does. All of it runs
on a CPU in seconds.
``options`` holds option values to test with, where the defaults are too large.
"""

from __future__ import annotations

from recbench.testing.backbones import BackboneTests, ScoringBackboneTests, TextBackboneTests
from recbench.testing.data import RandomScores, TitlesOnly, tiny_split
from recbench.testing.decoders import DecoderTests, ScoringDecoderTests, TextDecoderTests
from recbench.testing.identifiers import IdentifierTests
from recbench.testing.losses import LossTests, ScoringLossTests
from recbench.testing.models import tiny_answers, tiny_text_model
from recbench.testing.preferences import PreferenceLossTests
from recbench.testing.sources import SourceTests
from recbench.testing.teacher import TinyTeacher

__all__ = [
    "BackboneTests",
    "DecoderTests",
    "IdentifierTests",
    "LossTests",
    "PreferenceLossTests",
    "RandomScores",
    "ScoringBackboneTests",
    "ScoringDecoderTests",
    "ScoringLossTests",
    "SourceTests",
    "TextBackboneTests",
    "TextDecoderTests",
    "TinyTeacher",
    "TitlesOnly",
    "tiny_answers",
    "tiny_split",
    "tiny_text_model",
]
