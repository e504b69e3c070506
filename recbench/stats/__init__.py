"""Paired tests, intervals and corrections over users; numpy and scipy only."""

from recbench.stats.compare import Comparison, compare
from recbench.stats.correction import holm

__all__ = ["Comparison", "compare", "holm"]
