"""The prepared data set: catalogue, windows, audit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recbench.data.prepare import load_split, prepare, save_split
from recbench.steps.step import Step, Work

if TYPE_CHECKING:
    from recbench.spec.model import DataSet, Method
    from recbench.types import Split


@dataclass(frozen=True, eq=False)
class Prepared(Step):
    """A data set, by its options and the checksums of its raw files."""

    dataset: DataSet

    kind = "prepare"
    phase = "data"

    @property
    def title(self) -> str:
        """What is prepared."""
        return f"prepare {self.dataset.called}"

    @property
    def facts(self) -> Mapping[str, Any]:
        """The data set's part of the spec."""
        return {"dataset": self.dataset.plain()}

    @property
    def needs(self) -> Mapping[str, Step]:
        """Nothing."""
        return {}

    @property
    def methods(self) -> tuple[Method, ...]:
        """The source."""
        return (self.dataset,)

    def build(self, folder: Path, work: Work) -> Split:
        """Read, window, split, audit."""
        split = prepare(self.dataset.make(), work.reporter, self.dataset.files)
        save_split(split, folder)
        return split

    def load(self, folder: Path, work: Work, made: Any = None) -> Split:
        """The split."""
        return load_split(folder) if made is None else made
