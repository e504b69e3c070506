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


class TestGroundingOfAllBeams(TextDecoderTests):
    name = "grounding"
    options = {"ground": "all", "beams": 3, "batch_size": 5}


class TestGroundingWithPopularity(TextDecoderTests):
    name = "grounding"
    options = {"fusion": "popularity"}


class TestGroundingWithARecommender(TextDecoderTests):
    name = "grounding"
    options = {"fusion": "collaborative", "gamma": 3.0}


class TestExact(TextDecoderTests):
    name = "exact"


class TestExactOverTheVocabulary(TextDecoderTests):
    name = "exact"
    options = {"scores": "hf", "expand": 2, "batch_size": 3}


class TestHFConstrainedBeam(TextDecoderTests):
    name = "hf_constrained_beam"
