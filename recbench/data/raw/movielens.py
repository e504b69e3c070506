"""MovieLens (Harper and Konstan, TiiS 2015): ``::`` up to 10M, CSV in UTF-8 from 20M on.

1M is in Latin-1 and 10M in UTF-8; a copy of 1M may have been converted.
"""

from __future__ import annotations

from collections.abc import Iterator

from recbench.data.raw.files import Raw
from recbench.data.raw.rows import Row, headed, separated


def ratings_dat(raw: Raw) -> Iterator[Row]:
    """``user::item::rating::seconds``."""
    for record in separated(raw, "::", ("user", "item", "rating", "timestamp"), "latin-1"):
        user, item = record.needed("user"), record.needed("item")
        yield Row(user, item, record.whole("timestamp"), record.number_of("rating"))


def titles_dat(raw: Raw) -> Iterator[tuple[str, str]]:
    """``item::title (year)::genres``."""
    for record in separated(raw, "::", ("item", "title", "genres"), "latin-1"):
        yield record.needed("item"), record.text("title")


def ratings_csv(raw: Raw) -> Iterator[Row]:
    """``userId,movieId,rating,timestamp``."""
    for record in headed(raw, ",", ("userId", "movieId", "rating", "timestamp")):
        user, item = record.needed("userId"), record.needed("movieId")
        yield Row(user, item, record.whole("timestamp"), record.number_of("rating"))


def titles_csv(raw: Raw) -> Iterator[tuple[str, str]]:
    """``movieId,title,genres``; a title with a comma is in quotes."""
    for record in headed(raw, ",", ("movieId", "title")):
        yield record.needed("movieId"), record.text("title")
