"""Collaborative identifiers: items that occur together share their first tokens.

Paper: Hua et al., "How to Index Item IDs for Recommendation Foundation Models" (P5-CID), SIGIR-AP 2023,
https://arxiv.org/abs/2305.06569. Original code: github.com/agiresearch/OpenP5 (and github.com/Wenyueh/LLM-RecSys-ID).

How often two items occur together is the weight of an edge between them. Spectral clustering divides the items into
``clusters``, each of these again, and so on until a part has at most ``leaf`` items, which get a number each. An item's
name is the path to it: one new token for each division, and one for the item (``<c_0_3><c_1_17><i_5>``).

Known differences:

- Items are together if one is in the history of a training window and the other is its target, which counts a pair once
  for each time and only within a window's length. The code counts all pairs of a user's training sequence.
- Tokens belong to a level: the same number at another depth is another token. In the paper siblings have different
  tokens, and the tokens of different parents are shared; here those of one depth are.
- Spectral clustering needs a connected graph. Whatever is not connected to the largest part, such as items that occur
  in no window, forms a separate cluster. It is divided evenly, in the catalogue's order, if it has no edges. So is a
  part from which spectral clustering splits off less than a twentieth. Where there are several connected parts, none
  with more items than there are clusters, each stays whole, and clusters are filled evenly. Labels are assigned by
  scikit-learn's ``cluster_qr``.
- Eigenvectors come from ARPACK, which factorises the graph, or for a part of more than 10,000 items from LOBPCG, which
  does not: it takes a minute for 100,000 items, but may stop before they are exact.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pydantic import Field

from recbench.interfaces import Fit, FitReport, Identifier, IdentifierOptions, IdentifierPlugin, Names

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from recbench.interfaces.identifiers import Source
    from recbench.types import Catalog, Sequences, Split

    Rows = npt.NDArray[np.int64]

PROGRESS = 0.95  # a division whose largest part is larger has not divided
PAD = -1
FACTORISED = 10_000
"""The most items of a part whose graph is factorised."""


class CollaborativeOptions(IdentifierOptions):
    """Options of ``--identifier collaborative``."""

    clusters: int = Field(20, ge=2, description="number of parts in each division")
    leaf: int = Field(50, ge=1, description="a part of at most N items is not divided again")

    def learns_from(self) -> frozenset[Source]:
        """The training windows."""
        return frozenset({"windows"})


class Collaborative(Identifier[CollaborativeOptions]):
    """The path to an item through the divisions of the catalogue."""

    paths: npt.NDArray[np.int32]

    def learn(self, split: Split, vectors: Mapping[str, npt.NDArray[np.float32]], fit: Fit) -> FitReport:
        """Divide the catalogue; reports the depth and the size of the parts."""
        import numpy as np

        graph = together(split.train, len(split.catalog))
        fit.reporter.begin(f"spectral clustering of {len(split.catalog):,} items")
        ways: list[list[int]] = [[] for _ in split.catalog.ids]
        leaves: list[int] = []
        waiting = [np.arange(len(split.catalog))]
        while waiting:
            rows = waiting.pop()
            if len(rows) <= self.options.leaf:
                leaves.append(len(rows))
                for place, item in enumerate(rows):
                    ways[item].append(place)
                continue
            for number, part in enumerate(divided(graph, rows, self.options.clusters, fit.seed)):
                for item in part:
                    ways[item].append(number)
                waiting.append(part)
        depth = max(map(len, ways))
        # the item's own number is last, whatever the depth of its part
        self.paths = np.array([[*way[:-1], *[PAD] * (depth - len(way)), way[-1]] for way in ways], np.int32)
        return FitReport(
            watched={
                "parts": float(len(leaves)),
                "largest_part": float(max(leaves)),
                "deepest": float(depth),
            }
        )

    def state(self) -> dict[str, npt.NDArray[Any]]:
        """[items, depth] the numbers on the path to each item, its own last; ``PAD`` where its path is shorter."""
        return {"paths": self.paths}

    def restore(self, state: Mapping[str, npt.NDArray[Any]]) -> None:
        """Restore the paths."""
        self.paths = state["paths"]

    def names(self, catalog: Catalog) -> Names:
        """``<c_0_3><c_1_17><i_5>``."""
        rows = [
            [*((0, depth, n) for depth, n in enumerate(way[:-1]) if n != PAD), (1, 0, way[-1])]
            for way in self.paths.tolist()
        ]
        spelled = {
            key: f"<i_{key[2]}>" if key[0] else f"<c_{key[1]}_{key[2]}>"
            for key in sorted({k for row in rows for k in row})
        }
        return Names(tuple("".join(spelled[key] for key in row) for row in rows), tuple(spelled.values()))


def together(windows: Sequences, items: int) -> Any:
    """[items, items] sparse and symmetric: how often two items are a window's target and in its history."""
    import numpy as np
    from scipy.sparse import coo_array

    target = np.repeat(windows.target, windows.history.shape[1])
    history = windows.history.ravel()
    kept = (history != PAD) & (history != target)
    pairs = coo_array((np.ones(int(kept.sum())), (target[kept], history[kept])), (items, items)).tocsr()
    return (pairs + pairs.T).tocsr()


def divided(graph: Any, rows: Rows, clusters: int, seed: int) -> list[Rows]:
    """The parts of some items, at least two: clusters of the largest connected part, and what is not part of it."""
    import numpy as np
    from scipy.sparse.csgraph import connected_components

    own = graph[rows][:, rows]
    component = connected_components(own, directed=False)[1]
    largest = component == np.bincount(component).argmax()
    inside, loose = np.flatnonzero(largest), np.flatnonzero(~largest)
    if len(inside) == 1 or len(inside) == len(rows) <= clusters:
        return np.array_split(rows, min(clusters, len(rows)))
    if len(inside) <= clusters:
        return [rows[part] for part in packed(component, clusters)]
    parts = [inside[part] for part in spectral(own[inside][:, inside], clusters - bool(len(loose)), seed)]
    if not len(loose) and max(map(len, parts)) > PROGRESS * len(rows):
        return np.array_split(rows, clusters)
    return [rows[part] for part in [*parts, loose] if len(part)]


def packed(component: npt.NDArray[np.int32], clusters: int) -> list[Rows]:
    """Whole components in at most ``clusters`` parts: the largest first, each to the part with the fewest items."""
    import heapq

    import numpy as np

    sizes = np.bincount(component)
    parts: list[list[int]] = [[] for _ in range(min(clusters, len(sizes)))]
    filled = [(0, number) for number in range(len(parts))]
    for label in np.argsort(-sizes, kind="stable").tolist():
        size, number = heapq.heappop(filled)
        parts[number].append(label)
        heapq.heappush(filled, (size + int(sizes[label]), number))
    found = [np.flatnonzero(np.isin(component, part)) for part in parts]
    return sorted(found, key=lambda part: int(part[0]))


def spectral(graph: Any, clusters: int, seed: int) -> list[Rows]:
    """The clusters of a connected graph, in the order of their first items."""
    import warnings

    import numpy as np
    from sklearn.cluster import SpectralClustering

    from recbench.seeds import child_seed

    if clusters == 1:
        return [np.arange(graph.shape[0])]
    state = child_seed(seed, "spectral clustering")
    solver = "arpack" if graph.shape[0] <= FACTORISED else "lobpcg"
    made = SpectralClustering(
        clusters, affinity="precomputed", assign_labels="cluster_qr", random_state=state, eigen_solver=solver
    )
    with warnings.catch_warnings():
        # LOBPCG stops after a number of iterations; clusters need no exact eigenvectors
        warnings.filterwarnings("ignore", "(?s).*not reaching the requested", UserWarning)
        labels = made.fit_predict(graph)
    parts = [np.flatnonzero(labels == label) for label in range(clusters)]
    return sorted((part for part in parts if len(part)), key=lambda part: int(part[0]))


plugin = IdentifierPlugin(
    implementation=Collaborative,
    summary="the path through clusters of items that occur together (P5-CID)",
    options=CollaborativeOptions,
    paper="Hua et al., P5-CID, SIGIR-AP 2023. https://arxiv.org/abs/2305.06569",
    extra="recbench-toolkit[identifiers]",
)
