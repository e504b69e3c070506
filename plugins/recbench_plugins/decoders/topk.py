"""The best-scored items of a scoring model; equal scores in catalogue order."""

from __future__ import annotations

from typing import TYPE_CHECKING

from recbench.interfaces import Decoder, Options, Plugin, Reporter

if TYPE_CHECKING:
    from recbench.interfaces import ScoringBackbone
    from recbench.types import Ranking, Sequences

BATCH = 1024  # cases scored at a time: bounds memory, does not change any score


class TopK(Decoder[Options]):
    """Sorts the whole catalogue."""

    def rank(
        self, model: ScoringBackbone, cases: Sequences, depth: int, exclude_history: bool, reporter: Reporter
    ) -> Ranking:
        """See :class:`recbench.interfaces.Decoder`."""
        import numpy as np

        from recbench.types import PAD, Ranking

        items, scores = [], []
        for start in range(0, len(cases), BATCH):
            part = cases.take(np.arange(start, min(start + BATCH, len(cases))))
            grid = np.array(model.scores(part), dtype=np.float32)
            if exclude_history:
                row, column = np.nonzero(part.history != PAD)
                grid[row, part.history[row, column]] = -np.inf
            order = np.argsort(-grid, axis=1, kind="stable")[:, :depth].astype(np.int32)
            best = np.take_along_axis(grid, order, axis=1)
            items.append(np.where(np.isneginf(best), PAD, order).astype(np.int32))
            scores.append(best)
            reporter.step(min(start + BATCH, len(cases)), len(cases))
        return Ranking(np.concatenate(items), np.concatenate(scores))


plugin = Plugin(
    kind="decoder",
    summary="the best-scored items of a scoring model",
    implementation="recbench_plugins.decoders.topk:TopK",
    signal="scores",
)
