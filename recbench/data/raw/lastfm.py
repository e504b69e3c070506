"""Last.fm: the plays of a thousand users (Celma, 2010), and the tags of HetRec 2011 (Cantador et al.)."""

from __future__ import annotations

from collections.abc import Iterator

from recbench.data.raw.files import Raw, lines, text
from recbench.data.raw.records import Record
from recbench.data.raw.rows import Row, headed, seconds


def plays(raw: Raw) -> Iterator[Row | None]:
    """User, time, artist's id and name, track's id and name, between tabs; the item is the artist.

    An artist without a MusicBrainz id goes by name. Lines without a name, and the few that a tab inside a name has
    broken, are left out.
    """
    for number, line in lines(raw):
        values = [value.strip() for value in text(raw, number, line).split("\t")]
        if len(values) != 6 or not (values[0] and values[3]):
            yield None
            continue
        time = seconds(Record(raw, number, {"timestamp": values[1]}), "timestamp")
        yield Row(values[0], values[2] or values[3], time, None, values[3])


def tags(raw: Raw) -> Iterator[Row]:
    """``userID``, ``artistID``, ``timestamp`` in milliseconds; several tags at one time are one interaction."""
    for record in headed(raw, "\t", ("userID", "artistID", "timestamp")):
        yield Row(record.needed("userID"), record.needed("artistID"), record.whole("timestamp"))


def artists(raw: Raw) -> Iterator[tuple[str, str]]:
    """``id`` and ``name``."""
    for record in headed(raw, "\t", ("id", "name")):
        yield record.needed("id"), record.text("name")
