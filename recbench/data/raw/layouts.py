"""The layouts of public releases: which files they have, and how a line becomes an interaction or a title."""

from __future__ import annotations

import fnmatch
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from recbench.data.raw import amazon, lastfm, movielens, steam
from recbench.data.raw.files import Raw, expanded
from recbench.data.raw.rows import Row
from recbench.errors import UsageError, did_you_mean


@dataclass(frozen=True)
class Layout:
    """How one release is read.

    Attributes:
        summary: one line for people.
        rows: the interactions of a file in file order; None stands for a line that is left out and counted, which only
            releases that are known to be dirty have.
        interactions: names of the files of interactions.
        titles: id and raw title of each item of a file; None where the rows carry titles.
        items: names of the files of items; includes the folder if the file name alone is ambiguous.
    """

    summary: str
    rows: Callable[[Raw], Iterator[Row | None]]
    interactions: tuple[str, ...]
    titles: Callable[[Raw], Iterator[tuple[str, str]]] | None = None
    items: tuple[str, ...] = ()

    def files(self, paths: list[Path]) -> tuple[list[Raw], list[Raw]]:
        """Files of interactions and files of items among ``paths``, archives unpacked by name.

        Raises:
            UsageError: a file is neither, or one kind is missing.
            DataError: a file is missing or damaged.
        """
        rows, items = [], []
        for raw in expanded(paths, (*self.items, *self.interactions)):
            if _matches(raw, self.items):
                items.append(raw)
            elif _matches(raw, self.interactions):
                rows.append(raw)
            else:
                wanted = " or ".join((*self.interactions, *self.items))
                raise UsageError(f"{raw} is not a file of this layout, whose names are like {wanted}: rename it.")
        for found, names in ((rows, self.interactions), (items, self.items)):
            if names and not found:
                raise UsageError(f"--raw names no file like {' or '.join(names)}, which this layout needs.")
        return rows, items


def _matches(raw: Raw, patterns: tuple[str, ...]) -> bool:
    inside = f"{raw.path.absolute().parent.name}/{raw.name}"  # not resolved: the hub's cache holds links
    return any(fnmatch.fnmatch(inside if "/" in pattern else raw.name, pattern) for pattern in patterns)


LAYOUTS = {
    "amazon-2014": Layout(
        "Amazon reviews of 2014: reviews_*.json.gz and meta_*.json.gz",
        amazon.reviews_2014,
        ("reviews_*",),
        amazon.titles_2014,
        ("meta_*", "metadata*"),
    ),
    "amazon-2018": Layout(
        "Amazon reviews of 2018: CATEGORY.json.gz and meta_CATEGORY.json.gz",
        amazon.reviews_2014,
        ("*.json.gz", "*.json"),
        amazon.titles_2014,
        ("meta_*",),
    ),
    "amazon-2023": Layout(
        "Amazon reviews of 2023: CATEGORY.jsonl.gz and meta_CATEGORY.jsonl.gz, or the hub's folders of .parquet files",
        amazon.reviews_2023,
        ("*.jsonl.gz", "*.jsonl", "*.parquet"),
        amazon.titles_2023,
        ("meta_*", "raw_meta_*/full-*.parquet"),
    ),
    "movielens-dat": Layout(
        "MovieLens 1M and 10M: ratings.dat and movies.dat, or the zip archive",
        movielens.ratings_dat,
        ("ratings.dat",),
        movielens.titles_dat,
        ("movies.dat",),
    ),
    "movielens-csv": Layout(
        "MovieLens 20M, 25M and 32M: ratings.csv and movies.csv, or the zip archive",
        movielens.ratings_csv,
        ("ratings.csv",),
        movielens.titles_csv,
        ("movies.csv",),
    ),
    "steam": Layout(
        "Steam: steam_reviews.json.gz and steam_games.json.gz",
        steam.reviews,
        ("steam_reviews*",),
        steam.titles,
        ("steam_games*",),
    ),
    "lastfm-1k": Layout(
        "Last.fm 1K: userid-timestamp-artid-artname-traid-traname.tsv; the items are artists",
        lastfm.plays,
        ("userid-timestamp-artid-artname-traid-traname.tsv*",),
    ),
    "lastfm-hetrec": Layout(
        "Last.fm of HetRec 2011: user_taggedartists-timestamps.dat and artists.dat, or the zip archive",
        lastfm.tags,
        ("user_taggedartists-timestamps.dat",),
        lastfm.artists,
        ("artists.dat",),
    ),
}


def layout(name: str) -> Layout:
    """The layout of that name.

    Raises:
        UsageError: there is none; suggests the nearest.
    """
    if name not in LAYOUTS:
        raise UsageError(f"Unknown layout {name!r}: {did_you_mean(name, LAYOUTS)}")
    return LAYOUTS[name]
