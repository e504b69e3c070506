"""One's own interactions: a file with the columns user, item, timestamp and title, in any order.

``item`` and ``title`` may stand in a second file instead, named by the option ``titles``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from pydantic import Field

from recbench.data.options import PATH, ProtocolOptions
from recbench.errors import DataError, UsageError
from recbench.interfaces import DataSource, Reporter, SourcePlugin

if TYPE_CHECKING:
    from pathlib import Path

    from recbench.data.files import Table
    from recbench.types import Split


class CsvOptions(ProtocolOptions):
    """Options of the source ``csv``."""

    file: str = Field(
        "",
        description="the interactions: user, item, timestamp and, without 'titles', title",
        json_schema_extra=PATH,
    )
    titles: str = Field("", description="a second file with the columns item and title", json_schema_extra=PATH)


class Csv(DataSource[CsvOptions]):
    """Interactions from comma-separated files; rows in any order, ids any text, whole-number timestamps."""

    def inputs(self) -> Mapping[str, str]:
        """sha256 of each file, by file name.

        Raises:
            UsageError: no file is given.
            DataError: a file is missing.
        """
        from recbench.data.files import sha256

        return {path.name: sha256(path) for path in self._paths()}

    def prepare(self, reporter: Reporter) -> Split:
        """The protocol of the MSL paper (5.1.1); the first title that an item has in the file counts.

        Raises:
            UsageError: no file is given.
            DataError: a file is missing or malformed, an item has no title, or too little data is left.
        """
        from dataclasses import replace

        from recbench.data.files import read_table
        from recbench.data.protocol import Interactions, split_interactions

        reporter.begin("prepare csv")
        path, *more = self._paths()
        own = ("user", "item", "timestamp") if more else ("user", "item", "timestamp", "title")
        table = read_table(path, own)
        named = read_table(more[0], ("item", "title")) if more else table
        titles, conflicts = _titles(named)
        raw = Interactions(table.not_empty("user"), table.not_empty("item"), table.whole_numbers("timestamp"))
        for row, item in enumerate(raw.items):
            if item not in titles:
                raise DataError(f"{table.where(row)}: item {item!r} has no title in {named.path}.")
        split = split_interactions(raw, titles, self.options, origin=str(path))
        rows = zip(raw.users, raw.items, raw.times.tolist(), strict=True)
        facts = {
            **split.facts,
            "identical_rows": len(raw.users) - len(set(rows)),
            "items_with_several_titles": conflicts,
        }
        return replace(split, sources=self.inputs(), facts=facts)

    def _paths(self) -> list[Path]:
        from pathlib import Path

        if not self.options.file:
            raise UsageError("The data set csv needs --data-dir: a file with user, item, timestamp, title.")
        paths = [Path(name) for name in (self.options.file, self.options.titles) if name]
        if len({path.name for path in paths}) < len(paths):
            raise UsageError(f"The options file and titles both name a file {paths[0].name}: rename one of them.")
        return paths


def _titles(table: Table) -> tuple[dict[str, str], int]:
    """Each item's first title that is not empty, and how many items have several."""
    titles: dict[str, str] = {}
    conflicts: set[str] = set()
    for item, title in zip(table.not_empty("item"), table.columns["title"], strict=True):
        known = titles.get(item)
        if not known:
            titles[item] = title
        elif title and title != known:
            conflicts.add(item)
    return titles, len(conflicts)


plugin = SourcePlugin(
    implementation=Csv,
    summary="your own interactions: user, item, timestamp, title",
    options=CsvOptions,
)
