"""The best-scored items of a scoring model; equal scores in catalogue order."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from recbench.interfaces import DecoderPlugin, Options, Reporter, ScoringDecoder

if TYPE_CHECKING:
    from recbench.interfaces import ScoringBackbone
    from recbench.types import Histories, Ranking

BATCH = 1024  # cases scored at a time: bounds memory, does not change any score


class TopK(ScoringDecoder[Options]):
    """Sorts the whole catalogue."""

    def rank(
        self, model: ScoringBackbone[Any], cases: Histories, depth: int, exclude_history: bool, reporter: Reporter
    ) -> Ranking:
        """See :class:`recbench.interfaces.Decoder`.

        Raises:
            RecbenchError: the model gives NaN as a score.
        """
        import numpy as np

        from recbench.search import top
        from recbench.types import Ranking

        found = []
        for start in range(0, len(cases), BATCH):
            part = cases.take(np.arange(start, min(start + BATCH, len(cases))))
            found.append(top(np.asarray(model.scores(part), np.float32), part, depth, exclude_history))
            reporter.advance(min(start + BATCH, len(cases)), len(cases))
        return Ranking(np.concatenate([f.items for f in found]), np.concatenate([f.scores for f in found]))


plugin = DecoderPlugin(
    implementation=TopK,
    summary="the best-scored items of a scoring model",
)
