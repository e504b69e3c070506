"""The order in which examples are seen."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from torch.utils.data import Sampler


class LikeLengths(Sampler[int]):
    """A new random order each epoch in which examples of similar length are close to each other.

    Blocks of fifty batches are drawn at random and sorted by length inside, then the batches of a block are shuffled:
    less padding, almost the same mixing. Batches are of the *global* size, so that several processes see what one does;
    the few examples that fill no batch sit an epoch out, since accelerate would fill it up with repeats for several
    processes only. Fewer examples than a batch are one batch.
    """

    def __init__(self, lengths: Sequence[int], batch: int, seed: int) -> None:
        self.lengths, self.batch, self.seed, self.epoch = np.asarray(lengths), batch, seed, 0

    def __len__(self) -> int:
        return len(self.lengths) // self.batch * self.batch or len(self.lengths)

    def set_epoch(self, epoch: int) -> None:
        """Called by accelerate before each epoch."""
        self.epoch = epoch

    def __iter__(self) -> Iterator[int]:
        draw = np.random.default_rng([self.seed, self.epoch])
        self.epoch += 1
        order = draw.permutation(len(self.lengths))[: len(self)]
        for start in range(0, len(order), 50 * self.batch):
            block = order[start : start + 50 * self.batch]
            block = block[np.argsort(self.lengths[block], kind="stable")]
            batches = [block[i : i + self.batch] for i in range(0, len(block), self.batch)]
            for i in draw.permutation(len(batches)):
                yield from batches[i].tolist()
