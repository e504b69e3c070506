"""Paired tests, intervals, corrections and ranks over users and seeds; numpy and scipy only."""

from recbench.stats.compare import Comparison, compare, compare_all
from recbench.stats.correction import holm
from recbench.stats.deviation import DeviationRatio, deviation_ratio, seeds_for_ratio
from recbench.stats.means import mean_intervals
from recbench.stats.ranking import Stability, differing, places, resolution, stability
from recbench.stats.sums import UserSums, user_sums

__all__ = [
    "Comparison",
    "DeviationRatio",
    "Stability",
    "UserSums",
    "compare",
    "compare_all",
    "deviation_ratio",
    "differing",
    "holm",
    "mean_intervals",
    "places",
    "resolution",
    "seeds_for_ratio",
    "stability",
    "user_sums",
]
