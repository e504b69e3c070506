"""Steam reviews (Kang and McAuley, SASRec, ICDM 2018): lines of Python literals; some games lack an id or a title."""

from __future__ import annotations

from collections.abc import Iterator

from recbench.data.raw.files import Raw
from recbench.data.raw.records import records
from recbench.data.raw.rows import Row, seconds


def reviews(raw: Raw) -> Iterator[Row | None]:
    """``username``, ``product_id``, ``date``; a review that lacks one of them is left out."""
    for record in records(raw, ("username", "product_id", "date")):
        user, item = record.text("username"), record.text("product_id")
        yield Row(user, item, seconds(record, "date")) if user and item and record.text("date") else None


def titles(raw: Raw) -> Iterator[tuple[str, str]]:
    """``id`` and ``app_name``, or ``title`` where there is no ``app_name``; games without an id are skipped."""
    for record in records(raw, ("id", "app_name", "title")):
        if item := record.text("id"):
            yield item, record.text("app_name") or record.text("title")
