"""From raw titles to the text that is generated: decoded, never empty, one title for one item."""

from __future__ import annotations

import html
import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from recbench.data.options import Namesakes
from recbench.errors import DataError, short
from recbench.types import Catalog, Ints

MAX_CHARACTERS = 1000
"""Of a title, raw or cleaned: the longest of ml-100k, Book and Toy has 554. Memory grows with titles times tokens."""
MAX_DECODINGS = 8
"""How often a title may have been encoded as HTML; releases do it twice."""

_BLANKS = re.compile(r"[\s\x00-\x1f\x7f-\x9f]+")
_SURROGATES = re.compile("[\ud800-\udfff]")  # cannot be written as UTF-8


@dataclass(frozen=True)
class Titles:
    """The catalogue that titles give.

    Attributes:
        catalog: ids and generated titles.
        index: [raw items] item index of each raw item; the identity unless namesakes were merged.
        facts: ``entities_decoded`` and ``empty_titles`` (items), ``namesake_titles`` (titles that several items share)
            and ``namesake_items`` (items beyond the first of each).
    """

    catalog: Catalog
    index: Ints
    facts: dict[str, int]


def clean(title: str) -> str:
    """Decode HTML entities, compose to NFC, collapse blanks and control characters; "" if nothing visible is left.

    Tokenizers that compose characters themselves would otherwise see two titles as one.

    Raises:
        DataError: entities are left after :data:`MAX_DECODINGS` rounds.
    """
    for _ in range(MAX_DECODINGS + 1):
        text = _SURROGATES.sub("\ufffd", unicodedata.normalize("NFC", html.unescape(title)))
        text = _BLANKS.sub(" ", text).strip()
        if text == title:  # releases encode some titles twice: &amp;quot;
            break
        title = text
    else:
        raise DataError(f"its HTML entities are encoded more than {MAX_DECODINGS} times over; decode them.")
    visible = any(not c.isspace() and unicodedata.category(c) != "Cf" for c in title)
    return title if visible else ""


def catalogue(ids: Sequence[str], raw: Sequence[str], namesakes: Namesakes) -> Titles:
    """Clean titles and settle namesakes.

    Args:
        ids: original id of each item, pairwise distinct.
        raw: its title as found.
        namesakes: ``distinct`` appends " (2)", " (3)" ... to later items of a title (only the very item is a hit);
            ``merged`` makes them one item, as the MSL code does by matching titles.

    Returns:
        Titles that are not empty and pairwise distinct, whatever the input.

    Raises:
        DataError: a title has more than :data:`MAX_CHARACTERS` characters, or entities within entities within ...
    """
    titles = [_cleaned(name, title) for name, title in zip(ids, raw, strict=True)]
    facts = {
        "entities_decoded": sum(html.unescape(title) != title for title in raw),
        "empty_titles": titles.count(""),
    }
    number = _Numbering(titles)
    for item, title in enumerate(titles):
        if not title:  # named after its id, and never by accident after another item
            titles[item] = number(clean(f"Untitled item {ids[item]}"))
    shared = [times for times in Counter(titles).values() if times > 1]
    facts |= {"namesake_titles": len(shared), "namesake_items": sum(shared) - len(shared)}

    if namesakes == "merged":
        first: dict[str, int] = {}
        index = [first.setdefault(title, len(first)) for title in titles]
        kept = dict(zip(reversed(index), reversed(ids), strict=True))  # the earliest id wins
        catalog = Catalog(tuple(kept[i] for i in range(len(first))), tuple(first))
        return Titles(catalog, np.array(index, dtype=np.int32), facts)

    seen: set[str] = set()
    for item, title in enumerate(titles):
        titles[item] = number(title) if title in seen else title
        seen.add(titles[item])
    return Titles(Catalog(tuple(ids), tuple(titles)), np.arange(len(titles), dtype=np.int32), facts)


def _cleaned(name: str, title: str) -> str:
    if len(title) > MAX_CHARACTERS:
        raise DataError(
            f"the title of item {short(name)} has {len(title):,} characters, more than {MAX_CHARACTERS:,}; shorten it."
        )
    try:
        return clean(title)
    except DataError as error:
        raise DataError(f"the title of item {short(name)} cannot be used, since {error}") from None


class _Numbering:
    """Gives out a title, or its first numbered form, that no item has yet."""

    def __init__(self, titles: Sequence[str]) -> None:
        self.taken = set(titles)
        self.reached: dict[str, int] = {}

    def __call__(self, title: str) -> str:
        candidate, number = title, self.reached.get(title, 1)
        while candidate in self.taken:
            number += 1
            candidate = f"{title} ({number})"
        self.taken.add(candidate)
        self.reached[title] = number
        return candidate
