"""What a metric and a slice are: numbers from ranks and top lists, and parts of the test set."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from recbench.interfaces.plugin import Method, O, Plugin

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from recbench.types import CaseResults, Floats, Ints


class RankMetric(Method[O], ABC):
    """A number for each test case, from the rank of its target alone (NDCG@10)."""

    @abstractmethod
    def values(self, ranks: Ints, depth: int) -> Floats:
        """One value for each rank, in an array of the same shape.

        Args:
            ranks: of any shape, 1 is best, 0 beyond the decoder's depth.
            depth: the number after the metric's @.
        """


@dataclass(frozen=True)
class TopLists:
    """What one seed recommended.

    Attributes:
        items: [N, K] item indices, best first, ``PAD`` (-1) where there is none.
        users: [N] user index of each case.
        popularity: [items] how often each item occurs in training.
    """

    items: Ints
    users: Ints
    popularity: Ints


class ListMetric(Method[O], ABC):
    """A number for each test case, from the items recommended (mean popularity)."""

    @abstractmethod
    def values(self, lists: TopLists) -> Floats:
        """[N] one value for each case, from lists cut at the number after the metric's @."""


class CatalogueMetric(Method[O], ABC):
    """One number for a seed, from all its lists together (coverage): there is no test over users."""

    @abstractmethod
    def value(self, lists: TopLists) -> float:
        """The number, from lists cut at the number after the metric's @."""


class Slicer(Method[O], ABC):
    """Divides the test set into named parts, which may overlap."""

    @abstractmethod
    def masks(self, results: CaseResults) -> Mapping[str, npt.NDArray[np.bool_]]:
        """Part's name -> [N] which cases belong to it; empty if the results lack what it needs."""


@dataclass(frozen=True, kw_only=True)
class MetricPlugin(Plugin):
    """A metric: the entry point's name is what comes before the @.

    Attributes:
        depths: what comes after the @ in tables; ``--metric NAME@K`` takes any K up to the run's depth. Empty: the
            metric has no @ and sees whole lists.
        order: its place in tables, small numbers first.
    """

    kind: ClassVar[str] = "metric"
    implements: ClassVar[tuple[type, ...]] = (RankMetric, ListMetric, CatalogueMetric)

    depths: tuple[int, ...] = (10,)
    order: int = 100


@dataclass(frozen=True, kw_only=True)
class SlicePlugin(Plugin):
    """A way to divide the test set.

    Attributes:
        order: its place in tables, small numbers first.
    """

    kind: ClassVar[str] = "slice"
    implements: ClassVar[tuple[type, ...]] = (Slicer,)

    order: int = 100
