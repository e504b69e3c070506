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


@pytest.mark.skipif(find_spec("recbole") is None, reason="recbole is not installed")
class TestSASRec(ScoringBackboneTests):
    name = "sasrec"
    options = {"hidden": 16, "inner": 16}
