"""The cells of a suite on a cluster: one table on a terminal, plain lines in a log."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from recbench.progress import LogReporter

if TYPE_CHECKING:
    from recbench.cells.parallel import Progress
    from recbench.cluster.client import Cluster


class Board:
    """A table of cells that stays at the bottom of a terminal; messages scroll above it."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.live import Live

        self.cluster: Cluster | None = None
        self._cells: Sequence[Progress] = ()
        console = Console(stderr=True)
        self._live = Live(console=console, get_renderable=self._table, transient=True, refresh_per_second=2)
        self._live.start()

    def begin(self, name: str, total: int | None = None) -> None:
        """Shown by what the cells say."""

    def advance(self, done: int, total: int | None = None, **values: float) -> None:
        """Shown by what the cells say."""

    def end(self) -> None:
        """Shown by what the cells say."""

    def message(self, text: str) -> None:
        """Print it above the table."""
        self._live.console.print(f"  {text}", markup=False, highlight=False)

    def show(self, cells: Sequence[Progress]) -> None:
        """Draw these from now on."""
        self._cells = cells

    def close(self) -> None:
        """Take the table away."""
        self._live.stop()

    def _table(self) -> Any:
        from rich.table import Table
        from rich.text import Text

        table = Table("cell", "steps", "state", "now", box=None, pad_edge=False)
        for cell in self._cells:
            table.add_row(Text(cell.one.cell.name), Text(self._counted(cell)), Text(cell.state), Text(self._now(cell)))
        return table

    def _counted(self, cell: Progress) -> str:
        assert self.cluster is not None
        there = sum(name in self.cluster.known for name in list(cell.steps))
        return f"{there} of {len(cell.steps)}"

    def _now(self, cell: Progress) -> str:
        """What is being built of a cell, and how far it is."""
        assert self.cluster is not None
        running = [
            f"{title}: {done}" for name, (title, done) in list(self.cluster.running.items()) if name in cell.steps
        ]
        return "; ".join(running[:2]) if cell.state == "running" else cell.words


class Lines(LogReporter):
    """The same for a log: a line when a step or a cell is finished."""

    cluster: Cluster | None = None

    def show(self, cells: Sequence[Progress]) -> None:
        """Nothing: every change has its line."""


@contextmanager
def board() -> Iterator[Board | Lines]:
    """A table on a terminal, else lines on stderr."""
    found = Board() if sys.stderr.isatty() else Lines(sys.stderr)
    try:
        yield found
    finally:
        found.close()
