"""Popularity: every user is shown the items that occur most often in training.

The baseline every method should beat (Ji et al., "A Re-visit of the Popularity Baseline in Recommender Systems", SIGIR
2020, https://doi.org/10.1145/3397271.3401233). Counts how often an item is a training *target*: a window also repeats
its neighbours' items in its history, up to ten times for one interaction.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from recbench.interfaces import BackbonePlugin, Fit, FitReport, Options, ScoringBackbone

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from recbench.types import Histories, Split


class Popularity(ScoringBackbone[Options]):
    """Item counts; nothing is learned."""

    counts: npt.NDArray[Any]

    def fit(self, split: Split, fit: Fit) -> FitReport:
        """Count."""
        import numpy as np

        self.counts = np.bincount(split.train.target, minlength=len(split.catalog))
        return FitReport()

    def scores(self, cases: Histories) -> npt.NDArray[np.float32]:
        """The same row for every case."""
        import numpy as np

        return np.broadcast_to(self.counts.astype(np.float32), (len(cases), len(self.counts)))

    def state(self) -> dict[str, npt.NDArray[Any]]:
        """The counts."""
        return {"counts": self.counts}

    def restore(self, split: Split, state: Mapping[str, npt.NDArray[Any]]) -> None:
        """Restore the counts."""
        self.counts = state["counts"]


plugin = BackbonePlugin(
    implementation=Popularity,
    summary="the most frequent training targets, the same for everyone",
    default_decoder="topk",
    seeded=False,
    paper="Ji et al., SIGIR 2020. https://doi.org/10.1145/3397271.3401233",
)
