"""The nearest items to an embedding, by L2 distance: a matrix of all distances, or faiss where there are many items."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from recbench.interfaces import Reporter
from recbench.types import PAD

MANY = 100_000  # items beyond which faiss searches: no matrix of all distances is kept, and none is sorted

Vectors = npt.NDArray[np.float32]


class Nearest:
    """Searches one catalogue.

    Args:
        items: [items, width] embeddings.
        reporter: is told when there are many items and no faiss.
        few: whether only the nearest are asked for, never all distances.
        many: see :data:`MANY`.

    Attributes:
        index: faiss' exact index (``IndexFlatL2``); None where all distances are compared.
    """

    def __init__(self, items: Vectors, reporter: Reporter, few: bool = True, many: int = MANY) -> None:
        self.items = torch.from_numpy(items)
        self.index: Any = None
        if few and len(items) > many:
            try:
                faiss = import_module("faiss")
            except ImportError:
                reporter.message(
                    f"grounding over {len(items):,} items compares all distances: "
                    "pip install 'recbench-toolkit[neighbours]' searches them faster"
                )
            else:
                faiss.omp_set_num_threads(torch.get_num_threads())
                self.index = faiss.IndexFlatL2(items.shape[1])
                self.index.add(items)

    def all(self, queries: Vectors, kept: int) -> Vectors:
        """[cases, items] smallest distance of each item to any of a case's ``kept`` consecutive queries."""
        far = torch.cdist(torch.from_numpy(queries), self.items)
        smallest: Vectors = far.view(len(queries) // kept, kept, -1).amin(1).numpy()
        return smallest

    def few(
        self, queries: Vectors, kept: int, depth: int, forbidden: npt.NDArray[np.int32] | None
    ) -> tuple[npt.NDArray[np.int32], Vectors]:
        """Items and negative distances, [cases, depth], of the nearest items to any of a case's queries.

        Args:
            queries: [cases * kept, width].
            kept: queries of a case.
            depth: items wanted; ``PAD`` and minus infinity where there are no more.
            forbidden: [cases, history] items that are not wanted, with ``PAD``; None allows all.
        """
        # enough, however many the history takes away
        wanted = depth + (0 if forbidden is None else forbidden.shape[1])
        squared, found = self.index.search(queries, min(wanted, len(self.items)))
        cases = len(queries) // kept
        items = np.full((cases, depth), PAD, np.int32)
        scores = np.full((cases, depth), -np.inf, np.float32)
        for case in range(cases):
            part = slice(case * kept, (case + 1) * kept)
            item, far = found[part].ravel(), np.sqrt(np.maximum(squared[part].ravel(), 0.0))
            order = np.lexsort((item, far))
            _, first = np.unique(item[order], return_index=True)  # an item that several queries find, at its nearest
            order = order[np.sort(first)]
            if forbidden is not None:
                order = order[~np.isin(item[order], forbidden[case])]
            order = order[:depth]
            items[case, : len(order)], scores[case, : len(order)] = item[order], -far[order]
        return items, scores
