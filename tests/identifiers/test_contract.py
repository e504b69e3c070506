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


class TestCollaborative(IdentifierTests):
    name = "collaborative"
    options = {"clusters": 3, "leaf": 2}


class TestCollaborativeOfTheDefaults(IdentifierTests):
    name = "collaborative"


class TestSemanticByRQVAE(IdentifierTests):
    name = "semantic"
    options = {"codes": 4, "levels": 2, "method": "rqvae", "steps": 20}
