"""Data sources: from raw files to a split."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from recbench.interfaces.fitting import Reporter
from recbench.interfaces.plugin import Method, O, Plugin

if TYPE_CHECKING:
    from recbench.types import Split


class DataSource(Method[O], ABC):
    """Reads one kind of data and prepares it under the protocol."""

    @abstractmethod
    def inputs(self) -> Mapping[str, str]:
        """sha256 of every raw file, by file name: names the data."""

    @abstractmethod
    def prepare(self, reporter: Reporter) -> Split:
        """Read, verify, window and split.

        Raises:
            DataError: a file is missing, truncated or malformed; names the file, the row and what is right.
        """


@dataclass(frozen=True, kw_only=True)
class SourcePlugin(Plugin):
    """Describes a :class:`DataSource`."""

    kind: ClassVar[str] = "source"
    implements: ClassVar[tuple[type, ...]] = (DataSource,)
