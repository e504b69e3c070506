"""Your own interactions: a table with the columns user, item, timestamp and title, in any order.

If your columns have other names, set the options for them. ``item`` and ``title`` may be in a second file instead,
which the option ``titles`` names. Timestamps are whole numbers, or dates and times in ISO 8601.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from recbench.data.options import PATH, ProtocolOptions
from recbench.errors import DataError, UsageError, short
from recbench.interfaces import DataSource, Reporter, SourcePlugin

if TYPE_CHECKING:
    from pathlib import Path

    from recbench.data.files import Table
    from recbench.types import Split

DELIMITERS = {"comma": ",", "tab": "\t", "semicolon": ";", "pipe": "|"}
ADVICE = "Options name the columns and what separates them, such as dataset.user and dataset.delimiter."
TABBED = (".tsv", ".tab", ".inter", ".item")  # the last two are RecBole's atomic files


class CsvOptions(ProtocolOptions):
    """Options of the source ``csv``."""

    file: str = Field(
        "",
        description="the interactions: user, item, timestamp and, without 'titles', title",
        json_schema_extra=PATH,
    )
    titles: str = Field("", description="a second file with the columns item and title", json_schema_extra=PATH)
    user: str = Field("user", min_length=1, description="name of the column that holds the user")
    item: str = Field("item", min_length=1, description="name of the column that holds the item, in both files")
    timestamp: str = Field("timestamp", min_length=1, description="name of the column that holds the time")
    title: str = Field("title", min_length=1, description="name of the column that holds the item's title")
    delimiter: Literal["auto", "comma", "tab", "semicolon", "pipe"] = Field(
        "auto", description="separator of columns; 'auto' is a tab for .tsv, .tab, .inter and .item, else a comma"
    )


class Csv(DataSource[CsvOptions]):
    """Interactions from delimited text files; rows in any order, ids any text."""

    def inputs(self) -> Mapping[str, str]:
        """sha256 of each file, by file name.

        Raises:
            UsageError: no file is given.
            DataError: a file is missing.
        """
        from recbench.data.files import sha256

        return {path.name: sha256(path) for path in self._paths()}

    def prepare(self, reporter: Reporter) -> Split:
        """Windows and parts by the option ``protocol``; an item keeps its first title in the file.

        Raises:
            UsageError: no file is given, or two options name one column.
            DataError: a file is missing or malformed, an item has no title, or too little data is left.
        """
        from dataclasses import replace

        from recbench.data.interactions import Interactions, split_interactions

        path, *more = self._paths()
        user, item, time, title = self._columns()
        seen: dict[str, str] = {}
        table = self._read(path, (user, item, time) if more else (user, item, time, title), seen)
        named = self._read(more[0], (item, title), seen) if more else table
        titles, conflicts = _titles(named, item, title)
        raw = Interactions(table.not_empty(user), table.not_empty(item), table.times(time))
        for row, name in enumerate(raw.items):
            if name not in titles:
                raise DataError(f"{table.where(row)}: item {short(name)} has no title in {named.path}.")
        split = split_interactions(raw, titles, self.options, origin=str(path))
        return replace(split, sources=seen, facts={**split.facts, "items_with_several_titles": conflicts})

    def _read(self, path: Path, columns: tuple[str, ...], seen: dict[str, str]) -> Table:
        from recbench.data.files import read_table

        auto = "tab" if path.suffix.lower() in TABBED else "comma"
        delimiter = DELIMITERS[auto if self.options.delimiter == "auto" else self.options.delimiter]
        return read_table(path, columns, delimiter=delimiter, seen=seen, advice=ADVICE)

    def _columns(self) -> tuple[str, str, str, str]:
        options = self.options
        columns = (options.user, options.item, options.timestamp, options.title)
        for name in columns:
            if columns.count(name) > 1:
                raise UsageError(f"Two of the options user, item, timestamp and title name the same column {name!r}.")
        return columns

    def _paths(self) -> list[Path]:
        from pathlib import Path

        if not self.options.file:
            raise UsageError("The data set csv needs --data-dir: a file with user, item, timestamp, title.")
        paths = [Path(name) for name in (self.options.file, self.options.titles) if name]
        if len({path.name for path in paths}) < len(paths):
            raise UsageError(f"The options file and titles both name a file {paths[0].name}: rename one of them.")
        return paths


def _titles(table: Table, item: str, title: str) -> tuple[dict[str, str], int]:
    """Each item's first title that is not empty, and how many items have several."""
    titles: dict[str, str] = {}
    conflicts: set[str] = set()
    for row, (name, text) in enumerate(zip(table.not_empty(item), table.columns[title], strict=True)):
        if _swallowed(text, len(table.columns)):
            raise DataError(f"{table.where(row)}: a title has other rows in it ({short(text)}); is a quote missing?")
        known = titles.get(name)
        if not known:
            titles[name] = text
        elif text and text != known:
            conflicts.add(name)
    return titles, len(conflicts)


def _swallowed(title: str, columns: int) -> bool:
    """Whether a title has whole rows in it, from one stray quote to the next."""
    rows = title.splitlines()[1:]
    return any(row.count(mark) >= columns - 1 for row in rows for mark in DELIMITERS.values())


plugin = SourcePlugin(
    implementation=Csv,
    summary="your own interactions: user, item, timestamp, title",
    options=CsvOptions,
)
