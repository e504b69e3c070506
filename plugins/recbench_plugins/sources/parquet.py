"""A folder that ``recbench data prepare`` wrote: interactions.parquet, items.parquet and manifest.json.

``interactions.parquet`` has the columns user and item (texts) and timestamp (64-bit integers); ``items.parquet`` has
item and title. The manifest says where they come from, what each step dropped, and the sha256 of both.
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
    from recbench.types import Split


class ParquetOptions(ProtocolOptions):
    """Options of the source ``parquet``."""

    dir: str = Field("", description="the folder that recbench data prepare wrote", json_schema_extra=PATH)


class Parquet(DataSource[ParquetOptions]):
    """Prepared interactions; the protocol windows and splits them."""

    def inputs(self) -> Mapping[str, str]:
        """sha256 of both tables, by file name.

        Raises:
            UsageError: no folder is given.
            DataError: a file is missing.
        """
        from recbench.data.files import sha256
        from recbench.data.raw.folder import INTERACTIONS, ITEMS

        folder = self._folder()
        if (folder / "test.csv").is_file() and not (folder / INTERACTIONS).exists():
            raise DataError(f"{folder} holds windows as released, which are read with --dataset prepared.")
        return {name: sha256(folder / name) for name in (INTERACTIONS, ITEMS)}

    def prepare(self, reporter: Reporter) -> Split:
        """Windows and parts by the option ``protocol``.

        Raises:
            UsageError: no folder is given.
            DataError: a file is missing, damaged or not the one that the manifest describes, an item has no title, or
                too little data is left.
        """
        from dataclasses import replace

        from recbench.data.interactions import Interactions, split_interactions
        from recbench.data.raw.folder import INTERACTIONS, ITEMS, expected, read_columns, read_manifest

        folder = self._folder()
        manifest = read_manifest(folder)
        seen, tables = {}, {}
        for name, columns in ((INTERACTIONS, ("user", "item", "timestamp")), (ITEMS, ("item", "title"))):
            seen[name], tables[name] = read_columns(folder / name, columns)
            if seen[name] != expected(manifest, name):
                raise DataError(f"{folder / name} is not the file that its manifest describes: prepare the data again.")
        rows, items = tables[INTERACTIONS], tables[ITEMS]
        titles = dict(zip(items["item"], items["title"], strict=True))
        for row, name in enumerate(rows["item"], start=1):
            if name not in titles:
                raise DataError(f"{folder / INTERACTIONS}, row {row}: item {short(name)} has no title in {ITEMS}.")
        raw = Interactions(rows["user"], rows["item"], rows["timestamp"].astype("int64"))
        split = split_interactions(raw, titles, self.options, origin=str(folder / INTERACTIONS))
        counts = {f"prepared_{key}": value for key, value in manifest["counts"].items()}
        return replace(split, sources=seen, facts={**split.facts, **counts})

    def _folder(self) -> Path:
        if not self.options.dir:
            raise UsageError("This data set needs --data-dir: a folder that recbench data prepare wrote.")
        folder = Path(self.options.dir)
        if not folder.is_dir():
            raise DataError(f"{folder} is not a directory.")
        return folder


plugin = SourcePlugin(
    implementation=Parquet,
    summary="a folder that recbench data prepare wrote",
    options=ParquetOptions,
    extra="recbench-toolkit[data]",
)
