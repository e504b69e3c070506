"""Ranked lists that other code made: read, checked, evaluated, recorded; and what there is to rank."""

from recbench.lists.cases import TestSet, cases_of, export, test_set
from recbench.lists.external import About, taken_in
from recbench.lists.results import results_of

__all__ = ["About", "TestSet", "cases_of", "export", "results_of", "taken_in", "test_set"]
