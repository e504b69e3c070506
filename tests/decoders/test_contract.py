"""Every built-in decoder keeps the contract."""

from recbench.testing import ScoringDecoderTests, TextDecoderTests


class TestConstrainedBeam(TextDecoderTests):
    name = "constrained_beam"


class TestConstrainedBeamAsTransformers(TextDecoderTests):
    name = "constrained_beam"
    options = {"scores": "hf", "length_penalty": 1.0, "beams": 10, "batch_size": 3}


class TestTopK(ScoringDecoderTests):
    name = "topk"


class TestGrounding(TextDecoderTests):
    name = "grounding"
