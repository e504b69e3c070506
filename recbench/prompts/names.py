"""What stands for an item, as token ids: a title as the template quotes it, or an identifier's own tokens.

New tokens are special ones to the tokenizer, so that no text of a title or a prompt becomes one; a name is taken apart
here. A name that has new tokens is shown as it is, any other as the template quotes a title.
"""

from __future__ import annotations

import copy
import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from recbench.errors import RecbenchError, short
from recbench.prompts.templates import Template

if TYPE_CHECKING:
    from recbench.interfaces.identifiers import Names, Shows


@dataclass(frozen=True)
class Shown:
    """What stands for each item in a history, where it is not the title.

    Attributes:
        texts: for people, and for the backbone that makes the prompt.
        tokens: their token ids.
    """

    texts: tuple[str, ...]
    tokens: tuple[tuple[int, ...], ...]


def check(names: Names, items: int, who: str) -> None:
    """Refuse what cannot stand for the items of a catalogue.

    Args:
        names: of an identifier.
        items: size of the catalogue.
        who: what messages call the identifier.

    Raises:
        RecbenchError: another number of names, two equal or empty ones, or new tokens that cannot be told apart.
    """
    if len(names.texts) != items:
        raise RecbenchError(f"{who} names {len(names.texts):,} items, and the catalogue has {items:,}.")
    known: dict[str, int] = {}
    for item, text in enumerate(names.texts):
        if not text:
            raise RecbenchError(f"{who} gives item {item} an empty name.")
        if (other := known.setdefault(text, item)) != item:
            raise RecbenchError(f"{who} gives items {other} and {item} the same name, {short(text)}.")
    tokens = ["", *sorted(names.tokens)]
    for one, after in itertools.pairwise(tokens):
        if not after or (one and after.startswith(one)):
            raise RecbenchError(
                f"{who} asks for the tokens {short(one)} and {short(after)}, one of which is a prefix of the other."
            )


def with_tokens(tokenizer: Any, tokens: Sequence[str]) -> Any:
    """A tokenizer that also knows ``tokens``, each by the next free id; the one given is not changed.

    Raises:
        RecbenchError: it knows one of them already.
    """
    if not tokens:
        return tokenizer
    from tokenizers import AddedToken

    known = tokenizer.get_vocab()
    if taken := next((token for token in tokens if token in known), None):
        raise RecbenchError(f"An identifier asks for the token {short(taken)}, which the language model already has.")
    grown = copy.deepcopy(tokenizer)
    grown.add_tokens([AddedToken(token, special=True, normalized=False) for token in tokens], special_tokens=True)
    return grown


def name_ids(tokenizer: Any, frame: Template, names: Names) -> list[list[int]]:
    """Token ids of each name.

    Args:
        tokenizer: one that knows ``names.tokens``.
        frame: quotes a name without new tokens.
        names: of the items.
    """
    if not names.tokens:
        return token_ids(tokenizer, [frame.quote(text) for text in names.texts])
    ids = dict(zip(names.tokens, tokenizer.convert_tokens_to_ids(list(names.tokens)), strict=True))
    pattern = re.compile("(" + "|".join(map(re.escape, names.tokens)) + ")")
    pieces = [[piece for piece in pattern.split(text) if piece] for text in names.texts]
    plain = sorted({piece for parts in pieces for piece in parts if piece not in ids})
    known = dict(zip(plain, token_ids(tokenizer, plain), strict=True))
    return [[t for piece in parts for t in ([ids[piece]] if piece in ids else known[piece])] for parts in pieces]


def history_texts(frame: Template, names: Names, titles: Sequence[str], shows: Shows) -> tuple[str, ...]:
    """What a history shows of each item, for people.

    Args:
        frame: quotes titles, and names without new tokens.
        names: of the items.
        titles: of the items.
        shows: names, titles, or a name and then the title, so that nothing before a name reveals it.
    """
    quoted = tuple(map(frame.quote, titles))
    if shows == "titles":
        return quoted
    own = names.texts if names.tokens else tuple(map(frame.quote, names.texts))
    return own if shows == "identifiers" else tuple(f"{name} {title}" for name, title in zip(own, quoted, strict=True))


def shown_in_history(
    tokenizer: Any, frame: Template, names: Names, rows: Sequence[Sequence[int]], titles: Sequence[str], shows: Shows
) -> Shown | None:
    """The same with token ids; None for titles.

    Args:
        tokenizer: one that knows ``names.tokens``.
        frame, names, titles, shows: see :func:`history_texts`.
        rows: the token ids of each name.
    """
    if shows == "titles":
        return None
    texts = history_texts(frame, names, titles, shows)
    if shows == "identifiers":
        return Shown(texts, tuple(map(tuple, rows)))
    behind = token_ids(tokenizer, [f" {frame.quote(title)}" for title in titles])
    return Shown(texts, tuple((*row, *title) for row, title in zip(rows, behind, strict=True)))


def token_ids(tokenizer: Any, texts: list[str]) -> list[list[int]]:
    """Token ids of plain texts; what spells a special token is split like any other text."""
    if not texts:
        return []
    found: list[list[int]] = tokenizer(texts, add_special_tokens=False, split_special_tokens=True)["input_ids"]
    return found
