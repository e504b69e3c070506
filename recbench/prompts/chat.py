"""Prompts as the turns of a chat: the text that a model's own chat template puts around the user's words and the
answer.

The template is rendered once, with a mark in place of either turn's words, and taken apart at the marks: what stands
before the user's words, what stands between them and the answer, and the token that ends the answer. So prompts and
answers stay token ids that are joined, as without a chat: training, trie, search and export see nothing new. Tokens of
the frame are special ones; the words of a turn are text, whatever they spell.
"""

from __future__ import annotations

import itertools
import re
from dataclasses import dataclass
from typing import Any

from recbench.errors import RecbenchError, UsageError

ASKED, ANSWERED = "\ue001", "\ue002"  # private characters, as marks: no template has them
DAY = "01 Jan 2025"  # what templates that show the date are told: today's would make each day's prompts different ones
CALENDAR = f"{{% macro strftime_now(form) %}}{DAY}{{% endmacro %}}"

Piece = str | tuple[int, ...]
"""A text, or the ids of special tokens."""


@dataclass(frozen=True)
class ChatFrame:
    """What a chat template puts around a prompt.

    Attributes:
        before: text before the user's words, special tokens spelled out.
        after: text between the user's words and the answer.
        end: id of the token that closes the answer.
        head, tail: ``before`` and ``after`` as pieces to be joined with the prompt's own.
    """

    before: str
    after: str
    end: int
    head: tuple[Piece, ...]
    tail: tuple[Piece, ...]


def chat_frame(tokenizer: Any) -> ChatFrame:
    """The frame of a tokenizer's chat template.

    Raises:
        UsageError: the tokenizer has no chat template.
        RecbenchError: the template fails, does not show the words of both turns once each and in order, or its tokens
            cannot be told from those of the words.
    """
    if not tokenizer.chat_template:
        raise UsageError(
            "llm.template=chat needs a model with a chat template, which this one does not have: choose an instruct "
            "model, or llm.template=paper."
        )
    text = _rendered(tokenizer, ASKED, ANSWERED)
    if text.count(ASKED) != 1 or text.count(ANSWERED) != 1 or text.index(ASKED) > text.index(ANSWERED):
        raise RecbenchError("The model's chat template does not show one turn of a user and then one of an assistant.")
    before, _, rest = text.partition(ASKED)
    after, _, closing = rest.partition(ANSWERED)
    special = _special(tokenizer)
    end = _end(tokenizer, closing, special)
    found = ChatFrame(before, after, end, _pieces(before, special), _pieces(after, special))
    _check(tokenizer, found)
    return found


def close_turns(tokenizer: Any) -> Any:
    """The tokenizer, its end-of-text token being the one that ends an assistant's turn: it closes every title then.

    Raises:
        UsageError, RecbenchError: as :func:`chat_frame`.
    """
    end = chat_frame(tokenizer).end
    if tokenizer.eos_token_id != end:
        tokenizer.eos_token = tokenizer.convert_ids_to_tokens(end)
    return tokenizer


def _rendered(tokenizer: Any, asked: str, answered: str) -> str:
    turns = [{"role": "user", "content": asked}, {"role": "assistant", "content": answered}]
    try:
        source = CALENDAR + tokenizer.get_chat_template()
        return str(tokenizer.apply_chat_template(turns, chat_template=source, tokenize=False, date_string=DAY))
    except Exception as error:  # a template can raise anything
        said = " ".join(str(error).split())[:200].rstrip(".")
        raise RecbenchError(f"The model's chat template fails with {type(error).__name__}: {said}.") from error


def _special(tokenizer: Any) -> dict[str, tuple[int, Any]]:
    """Special tokens by their text: id, and what the tokenizer knows of them."""
    return {token.content: (number, token) for number, token in tokenizer.added_tokens_decoder.items() if token.special}


def _split(text: str, special: dict[str, tuple[int, Any]]) -> list[str]:
    """Special tokens and the texts between them."""
    if not special:
        return [text] if text else []
    longest_first = sorted(special, key=lambda name: -len(name))
    return [part for part in re.split(f"({'|'.join(map(re.escape, longest_first))})", text) if part]


def _pieces(text: str, special: dict[str, tuple[int, Any]]) -> tuple[Piece, ...]:
    """A text of the template as ids of special tokens and texts; a token may take white space beside it along."""
    parts, found = _split(text, special), list[Piece]()
    for place, part in enumerate(parts):
        if part in special:
            found.append((special[part][0],))
            continue
        if place and special[parts[place - 1]][1].rstrip:
            part = part.lstrip()
        if place + 1 < len(parts) and special[parts[place + 1]][1].lstrip:
            part = part.rstrip()
        if part:
            found.append(part)
    return tuple(found)


def _end(tokenizer: Any, closing: str, special: dict[str, tuple[int, Any]]) -> int:
    """The token that ends the answer: what the template writes behind it, or the end of text where that is none."""
    first = next(iter(_split(closing.lstrip(), special)), "")
    end = special[first][0] if first in special else tokenizer.eos_token_id
    if end is None:
        raise RecbenchError("The model's chat template ends the assistant's turn with no token.")
    return int(end)


def _check(tokenizer: Any, frame: ChatFrame) -> None:
    """Refuse a tokenizer that reads a turn differently in parts, as some that put a space before every text do.

    Raises:
        RecbenchError: it does.
    """
    sample = "A list: one, two"
    found: list[int] = []
    for is_text, run in itertools.groupby((*frame.head, sample, *frame.tail), key=lambda piece: isinstance(piece, str)):
        if is_text:
            found += tokenizer("".join(map(str, run)), add_special_tokens=False)["input_ids"]
        else:
            found += [int(token) for ids in run for token in ids]
    if found != tokenizer(frame.before + sample + frame.after, add_special_tokens=False)["input_ids"]:
        raise RecbenchError(
            "The model's tokenizer reads the turns of a chat differently in parts than as one text, which "
            "llm.template=chat does not support: use llm.template=paper."
        )
