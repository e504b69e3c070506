"""What a suite is once it is read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from recbench.spec.request import FLAGS, Layer, Request, combine


@dataclass(frozen=True)
class Cell:
    """One run of a suite.

    Attributes:
        name: unique in the suite; also its row among the published numbers, unless ``published_as`` names another row.
        layers: what the suite says, the later over the earlier: the defaults that apply, then the cell itself.
        skipped: defaults that the cell's method does not have, each with its line.
        grid: options to tune first: name -> values; empty: none.
        grid_at: where the suite gives the grid; used in messages.
        tune_seed: seed of the trials.
    """

    name: str
    layers: tuple[Layer, ...]
    skipped: tuple[str, ...]
    grid: Mapping[str, list[Any]]
    grid_at: str
    tune_seed: int

    @cached_property
    def request(self) -> Request:
        """The run that the suite asks for."""
        return combine(self.layers)

    @property
    def model(self) -> str:
        """The backbone."""
        return self.request.model

    @property
    def flags(self) -> dict[str, Any]:
        """The flags that the suite names."""
        return {name: getattr(self.request, name) for name in FLAGS if name in self.request.model_fields_set}

    @property
    def options(self) -> Mapping[str, Mapping[str, Any]]:
        """The options that the suite names: group -> option -> value."""
        return self.request.options


@dataclass(frozen=True)
class Comparison:
    """``of`` is tested against each of ``over``.

    Attributes:
        improvement: whether the report has a row with the gain of ``of`` over the best of ``over``, metric by metric.
        deviation: whether the report also compares how far they scatter over seeds.
    """

    of: str
    over: tuple[str, ...]
    improvement: bool = False
    deviation: bool = False


@dataclass(frozen=True)
class Control:
    """``cell`` is ``of`` without its idea, so the difference between the two is what the idea contributes.

    Attributes:
        without: what it lacks, in words.
    """

    of: str
    cell: str
    without: str


@dataclass(frozen=True)
class Suite:
    """A grid of runs.

    Attributes:
        name: its file's.
        source: what the user typed to name it.
        title: one line.
        cells: in the order they run.
        comparisons: what the report tests, one declared family.
        controls: methods next to themselves without their idea, a second declared family.
        published: method -> data set -> metric -> number; empty where the suite repeats no table.
        note: what the readers of its page must know; empty: nothing.
    """

    name: str
    source: str
    title: str
    cells: tuple[Cell, ...]
    comparisons: tuple[Comparison, ...]
    controls: tuple[Control, ...]
    published: Mapping[str, Mapping[str, Mapping[str, float]]]
    note: str = ""
