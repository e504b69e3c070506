"""RecBole's atomic files (Zhao et al., CIKM 2021; https://recbole.io/docs/user_guide/data/atomic_files.html).

``NAME.inter`` holds the interactions and ``NAME.item`` the titles: tab-separated, with the type of each column in the
header (``user_id:token``, ``timestamp:float``, ``title:token_seq``).

Known differences from RecBole: titles are required, so ``NAME.item`` is too; rows are filtered by the protocol's
options and never by a YAML file; ``NAME.user``, ``NAME.kg`` and ready-made splits (``benchmark_filename``) are ignored.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import Field

from recbench.data.options import PATH, ProtocolOptions
from recbench.errors import DataError, UsageError, short
from recbench.interfaces import DataSource, Reporter, SourcePlugin

if TYPE_CHECKING:
    from recbench.data.files import Table
    from recbench.types import Longs, Split

TEXT, NUMBER = ("token", "token_seq"), ("float", "token")


class RecboleOptions(ProtocolOptions):
    """Options of the source ``recbole``."""

    dir: str = Field("", description="the folder that holds NAME.inter and NAME.item", json_schema_extra=PATH)
    name: str = Field("", description="NAME if the folder holds several data sets; empty: the only one")
    user: str = Field("user_id", min_length=1, description="column of the user, without its type")
    item: str = Field("item_id", min_length=1, description="column of the item, without its type, in both files")
    timestamp: str = Field("timestamp", min_length=1, description="column of the time, without its type")
    title: str = Field(
        "title", min_length=1, description="column of the title, such as movie_title for RecBole's ml-1m"
    )
    year: str = Field("", description="column of a year that is appended to the title, such as release_year")
    rating: str = Field("rating", min_length=1, description="column of the rating that minimum_rating applies to")
    minimum_rating: float | None = Field(None, allow_inf_nan=False, description="drop interactions with a lower rating")


class Recbole(DataSource[RecboleOptions]):
    """Interactions and titles from a pair of atomic files."""

    def inputs(self) -> Mapping[str, str]:
        """sha256 of both files, by file name.

        Raises:
            UsageError: no folder is given, or it is unclear which data set of it is meant.
            DataError: a file is missing.
        """
        from recbench.data.files import sha256

        return {path.name: sha256(path) for path in self._paths()}

    def prepare(self, reporter: Reporter) -> Split:
        """Windows and parts by the option ``protocol``; the first title that an item has counts.

        Raises:
            UsageError: as :meth:`inputs`.
            DataError: a file is missing or malformed, an item has no title, or too little data is left; names file and
                line.
        """
        from dataclasses import replace

        from recbench.data.interactions import Interactions, split_interactions

        inter, item = self._paths()
        options = self.options
        columns = [options.user, options.item, options.timestamp, options.rating]
        if twice := next((name for name in columns if columns.count(name) > 1), None):
            raise UsageError(f"Two of the options user, item, timestamp and rating name the column {twice!r}.")
        seen: dict[str, str] = {}
        wanted = {options.user: TEXT, options.item: TEXT, options.timestamp: NUMBER}
        if options.minimum_rating is not None:
            wanted[options.rating] = NUMBER
        table = _read(inter, wanted, seen)
        titles = self._titles(item, seen)
        users, items = table.not_empty(options.user), table.not_empty(options.item)
        for row, name in enumerate(items):
            if name not in titles:
                raise DataError(f"{table.where(row)}: item {short(name)} has no title in {item}.")
        times, rows = _times(table, options.timestamp), list(range(len(table)))
        if options.minimum_rating is not None:
            rows = [r for r in rows if _number(table, options.rating, r) >= options.minimum_rating]
            if not rows:
                raise DataError(f"{inter}: no rating reaches {options.minimum_rating:g}; lower minimum_rating.")
        raw = Interactions([users[r] for r in rows], [items[r] for r in rows], times[rows])
        split = split_interactions(raw, titles, options, origin=str(inter))
        low = {"rows_with_a_lower_rating": len(table) - len(rows)} if options.minimum_rating is not None else {}
        return replace(split, sources=seen, facts={**split.facts, **low})

    def _titles(self, path: Path, seen: dict[str, str]) -> dict[str, str]:
        options = self.options
        wanted = {options.item: TEXT, options.title: TEXT}
        if options.year:
            wanted[options.year] = (*TEXT, "float")
        table = _read(path, wanted, seen)
        years = table.columns[options.year] if options.year else [""] * len(table)
        titles: dict[str, str] = {}
        for name, title, year in zip(table.not_empty(options.item), table.columns[options.title], years, strict=True):
            year = year.removesuffix(".0")
            text = f"{title} ({year})" if title and year.isdecimal() else title
            if not titles.get(name):
                titles[name] = text
        return titles

    def _paths(self) -> tuple[Path, Path]:
        if not self.options.dir:
            raise UsageError("The data set recbole needs --data-dir: a folder with NAME.inter and NAME.item.")
        folder, name = Path(self.options.dir), self.options.name
        if not folder.is_dir():
            raise DataError(f"{folder} is not a directory.")
        if not name:
            found = sorted(path.stem for path in folder.glob("*.inter")) or sorted(
                p.stem for p in folder.glob("*.item")
            )
            if len(found) > 1 and folder.name in found:
                found = [folder.name]
            if len(found) > 1:
                raise UsageError(f"{folder} holds several data sets ({', '.join(found)}): choose one by dataset.name.")
            name = found[0] if found else folder.resolve().name
        return folder / f"{name}.inter", folder / f"{name}.item"


def _read(path: Path, wanted: Mapping[str, tuple[str, ...]], seen: dict[str, str]) -> Table:
    """The columns of an atomic file, under their names without types."""
    from dataclasses import replace

    from recbench.data.files import as_text, parse_table, read_bytes

    content = read_bytes(path, seen)
    header = as_text(path, content).partition("\n")[0].strip().split("\t")
    full: dict[str, str] = {}
    for name, types in wanted.items():
        typed = [column.strip() for column in header if column.partition(":")[0].strip() == name]
        for column in typed:
            kind = column.partition(":")[2]
            if kind not in types:
                raise DataError(
                    f"{path}, line 1: the column {short(column)} is not of type {' or '.join(types)}, as in "
                    f"{name}:{types[0]}."
                )
        full[name] = typed[0] if typed else f"{name}:{types[0]}"
    table = parse_table(path, content, list(full.values()), delimiter="\t")
    return replace(table, columns={name: table.columns[column] for name, column in full.items()})


def _number(table: Table, column: str, row: int) -> float:
    import math

    value = table.columns[column][row]
    try:
        number = float(value)
        if "_" in value or not math.isfinite(number):
            raise ValueError
    except ValueError:
        raise DataError(f"{table.where(row)}: the {column} {short(value)} is not a number.") from None
    return number


def _times(table: Table, column: str) -> Longs:
    """Whole numbers, exactly; else any numbers that are whole (9.78e8), as a column of floats may be written."""
    import numpy as np

    try:
        return table.whole_numbers(column)
    except DataError:
        found = []
        for row in range(len(table)):
            number = _number(table, column, row)
            if not number.is_integer() or abs(number) >= 2**53:
                raise DataError(
                    f"{table.where(row)}: the {column} {short(table.columns[column][row])} is not a whole number."
                ) from None
            found.append(int(number))
        return np.array(found, dtype=np.int64)


plugin = SourcePlugin(
    implementation=Recbole,
    summary="RecBole's atomic files: NAME.inter and NAME.item",
    options=RecboleOptions,
    paper="Zhao et al., RecBole: Towards a Unified, Comprehensive and Efficient Framework, CIKM 2021, "
    "https://doi.org/10.1145/3459637.3482016",
)
