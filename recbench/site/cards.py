"""What the card of a data set says (``recbench data audit --card``): its title, its facts and its picture."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from recbench.errors import RecbenchError
from recbench.files import reason

SIZES = ("users", "items", "interactions", "density", "training windows")
_MARKER = "<!-- written by recbench data audit"


@dataclass(frozen=True)
class Card:
    """A card.

    Attributes:
        title: what the data set is called in full; empty where the card's heading has only its name.
        facts: of the preparation, in the card's order.
        sizes: column -> text.
        picture: its plots; None where there are none.
    """

    title: str
    facts: dict[str, str]
    sizes: dict[str, str]
    picture: Path | None


def card_of(dataset: str, folder: Path) -> Card | None:
    """The card of a data set in ``folder``; None where there is none, or a file that the audit did not write.

    Raises:
        RecbenchError: it cannot be read.
    """
    path = folder / f"{dataset}.md"
    if not path.is_file():
        return None
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = reason(error) if isinstance(error, OSError) else "it is not UTF-8"
        raise RecbenchError(f"cannot read the card {path}: {why}") from error
    if not text.startswith(_MARKER):
        return None
    heading = next((line[2:] for line in text.splitlines() if line.startswith("# ")), "")
    preparation, size = (_table(text, name) for name in ("Preparation", "Size"))
    columns = dict(zip(size[0], size[1], strict=False)) if len(size) > 1 else {}
    picture = folder / f"{dataset}.png"
    return Card(
        title=_plain(heading).partition(": ")[2],
        facts={row[0]: row[1] for row in preparation[1:] if len(row) > 1},
        sizes={name: columns[name] for name in SIZES if name in columns},
        picture=picture if picture.is_file() else None,
    )


def _table(text: str, heading: str) -> list[list[str]]:
    """The cells of the first table below a heading, without its rule."""
    below = text.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    rows: list[list[str]] = []
    for line in below.splitlines():
        if line.startswith("|"):
            rows.append([_plain(cell) for cell in re.split(r"(?<!\\)\|", line)[1:-1]])
        elif rows:
            break
    return [row for i, row in enumerate(rows) if i != 1]


def _plain(markdown: str) -> str:
    """Text as it was before recbench.pages.markdown escaped it."""
    return re.sub(r"\\([\\`*_{}\[\]<>()#+.!|~$:@=-])", r"\1", markdown.strip()).replace("&amp;", "&")
