"""Every built-in backbone keeps the contract."""

from importlib.util import find_spec

import pytest

from recbench.testing import ScoringBackboneTests, TextBackboneTests


class TestBIGRec(TextBackboneTests):
    name = "bigrec"


class TestLLaRA(TextBackboneTests):
    name = "llara"


class TestPopularity(ScoringBackboneTests):
    name = "popularity"


needs_recbole = pytest.mark.skipif(find_spec("recbole") is None, reason="recbole is not installed")


@needs_recbole
class TestSASRec(ScoringBackboneTests):
    name = "sasrec"
    options = {"hidden": 16, "inner": 16}


@needs_recbole
class TestDROS(ScoringBackboneTests):
    name = "dros"
    options = {"hidden": 16, "inner": 16}


@needs_recbole
class TestBERT4Rec(ScoringBackboneTests):
    name = "bert4rec"
    options = {"hidden": 16, "inner": 16}


@needs_recbole
class TestDLLM2Rec(ScoringBackboneTests):
    name = "dllm2rec"
    options = {"hidden": 16, "inner": 16, "items": 4, "windows": 30}


@needs_recbole
class TestLLMCF(ScoringBackboneTests):
    name = "llmcf"
    options = {"hidden": 16, "inner": 16, "share": 0.3, "tokens": 6, "candidates": 2}
