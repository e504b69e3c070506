"""Every built-in identifier keeps the contract."""

from recbench.testing import IdentifierTests


class TestTitle(IdentifierTests):
    name = "title"


class TestIndex(IdentifierTests):
    name = "index"


class TestSemantic(IdentifierTests):
    name = "semantic"
    options = {"codes": 4, "levels": 2}


class TestSemanticOfACollaborativeModel(IdentifierTests):
    name = "semantic"
    options = {"codes": 3, "levels": 2, "vectors": "both"}
