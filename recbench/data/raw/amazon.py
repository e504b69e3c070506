"""Amazon reviews: of 2014 (McAuley et al., SIGIR 2015), 2018 (Ni et al., EMNLP 2019) and 2023 (Hou et al., 2024)."""

from __future__ import annotations

from collections.abc import Iterator

from recbench.data.raw.files import Raw
from recbench.data.raw.records import records
from recbench.data.raw.rows import Row


def reviews_2014(raw: Raw) -> Iterator[Row]:
    """``reviewerID``, ``asin``, ``unixReviewTime`` in seconds, ``overall``; 2018 has the same names."""
    for record in records(raw, ("reviewerID", "asin", "unixReviewTime", "overall")):
        user, item = record.needed("reviewerID"), record.needed("asin")
        yield Row(user, item, record.whole("unixReviewTime"), record.number_of("overall"))


def titles_2014(raw: Raw) -> Iterator[tuple[str, str]]:
    """``asin`` and ``title``, which many items lack; the lines of 2014 are Python literals."""
    for record in records(raw, ("asin", "title")):
        yield record.needed("asin"), record.text("title")


def reviews_2023(raw: Raw) -> Iterator[Row]:
    """``user_id``, ``parent_asin``, ``timestamp`` in milliseconds, ``rating``."""
    for record in records(raw, ("user_id", "parent_asin", "timestamp", "rating")):
        user, item = record.needed("user_id"), record.needed("parent_asin")
        yield Row(user, item, record.whole("timestamp"), record.number_of("rating"))


def titles_2023(raw: Raw) -> Iterator[tuple[str, str]]:
    """``parent_asin`` and ``title``."""
    for record in records(raw, ("parent_asin", "title")):
        yield record.needed("parent_asin"), record.text("title")
