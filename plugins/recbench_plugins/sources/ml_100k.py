"""MovieLens 100K, in the copy that RecBole's wheel carries (Harper and Konstan, TiiS 2015).

Difference from GroupLens' own files: RecBole moved the release year out of the title into a column; the option ``year``
puts it back. Titles that MovieLens itself lists twice under two ids stay two items unless ``namesakes=merged``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from pydantic import Field

from recbench.data.options import ProtocolOptions
from recbench.errors import RecbenchError
from recbench.interfaces import DataSource, Reporter, SourcePlugin

if TYPE_CHECKING:
    from pathlib import Path

    from recbench.types import Split


class Ml100kOptions(ProtocolOptions):
    """Options of the source ``ml-100k``."""

    year: bool = Field(True, description="append the release year to the title, as in MovieLens' own files")


class Ml100k(DataSource[Ml100kOptions]):
    """Ratings as interactions (every rating counts), with titles; no download."""

    def inputs(self) -> Mapping[str, str]:
        """sha256 of both files, by file name.

        Raises:
            RecbenchError: RecBole is not installed.
        """
        from recbench.data.files import sha256

        return {path.name: sha256(path) for path in _paths()}

    def prepare(self, reporter: Reporter) -> Split:
        """Verify both files against datasets.yaml, then windows and parts by the option ``protocol``.

        Raises:
            RecbenchError: RecBole is not installed.
            DataError: a file differs from the one that datasets.yaml describes.
        """
        from dataclasses import replace

        from recbench.data.catalog import dataset
        from recbench.data.files import parse_table, read_bytes, verify
        from recbench.data.interactions import Interactions, split_interactions

        ratings, movies = _paths()
        seen: dict[str, str] = {}
        contents = {path: read_bytes(path, seen) for path in (ratings, movies)}
        verify(seen, dataset("ml-100k").sha256)
        columns: tuple[str, ...] = ("user_id:token", "item_id:token", "timestamp:float")
        table = parse_table(ratings, contents[ratings], columns, delimiter="\t")
        raw = Interactions(
            table.columns["user_id:token"], table.columns["item_id:token"], table.whole_numbers("timestamp:float")
        )
        columns = ("item_id:token", "movie_title:token_seq", "release_year:token")
        rows = zip(*parse_table(movies, contents[movies], columns, delimiter="\t").columns.values(), strict=True)
        # One film has no year and one a wrong one ("V"), its title ending in the year already.
        titles = {
            item: f"{title} ({year})" if self.options.year and year.isdecimal() else title for item, title, year in rows
        }
        split = split_interactions(raw, titles, self.options, origin=ratings.name)
        return replace(split, sources=seen)


def _paths() -> tuple[Path, Path]:
    from importlib.util import find_spec
    from pathlib import Path

    spec = find_spec("recbole")  # finds it without importing it, which would cost seconds
    if spec is None or not spec.submodule_search_locations:
        raise RecbenchError(
            "The data set ml-100k is read from RecBole's wheel, which is not installed: "
            "pip install 'recbench-toolkit[recbole]' && pip install --no-deps recbole==1.2.1"
        )
    folder = Path(spec.submodule_search_locations[0]) / "dataset_example" / "ml-100k"
    return folder / "ml-100k.inter", folder / "ml-100k.item"


plugin = SourcePlugin(
    implementation=Ml100k,
    summary="MovieLens 100K with titles, from RecBole's wheel",
    options=Ml100kOptions,
    paper="Harper and Konstan, The MovieLens Datasets, TiiS 2015, https://doi.org/10.1145/2827872",
)
