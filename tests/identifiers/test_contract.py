"""Every built-in identifier keeps the contract."""

from recbench.testing import IdentifierTests


class TestTitle(IdentifierTests):
    name = "title"


class TestIndex(IdentifierTests):
    name = "index"
