"""Token ids of prompts and of what stands for items: titles, or what an identifier makes of them.

Prompt and answer are tokenised apart and joined as ids, so that training and decoding meet the same boundary whatever
a tokenizer merges across it. All text is text: a title that spells a special token does not become one. Collaborative
tokens get ids above the text vocabulary: ``vocabulary + item``. So that every title of a history can be a target,
:attr:`Encoder.apart` tokenises the history's titles apart too.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from recbench.errors import DataError, RecbenchError, short
from recbench.prompts.chat import ChatFrame, chat_frame
from recbench.prompts.names import Shown, name_ids, token_ids
from recbench.prompts.templates import Template
from recbench.prompts.trie import Trie
from recbench.types import PAD, Catalog, Histories, Longs

if TYPE_CHECKING:
    from recbench.interfaces.identifiers import Names

USER_TOKEN = -1  # the piece that interfaces.USER names
MAX_TITLE_TOKENS = 1024  # memory grows with it in training and search; the longest of Toy has 169 with SmolLM2's


class Title(str):
    """A quoted title of a history, or what stands in its place; found among a prompt's pieces if it is kept whole."""

    __slots__ = ()


@dataclass(frozen=True)
class Prompt:
    """The tokens of a case's prompt.

    Attributes:
        ids: token ids.
        items: the items of the history that it shows, oldest first.
        starts: where in ``ids`` the title of each begins; empty unless the encoder tokenises titles by themselves.
    """

    ids: list[int]
    items: list[int]
    starts: list[int]


@dataclass(frozen=True)
class Encoder:
    """Turns histories into prompt ids and holds the titles' ids.

    Attributes:
        tokenizer: a transformers fast tokenizer.
        template: the words around the history.
        catalog: the items.
        backbone: a :class:`recbench.interfaces.TextBackbone`, which decides what the prompt holds.
        vocabulary: first id above the text vocabulary (the rows of the model's embedding).
        answers: token ids of each item's title, or of what stands in its place, end-of-title token included.
        trie: of ``answers``.
        max_tokens: longest prompt; the oldest items of a longer history are left out.
        apart: tokenise every title of a history by itself, so that it has the tokens of an answer and can be a target
            (``train.targets=all``). Nothing that knows the whole history may then come before a title: ``USER`` moves
            behind the last one.
        case_rows: cases to the first row of their own tokens, counted after the items; None if no prompt has one.
        chat: what the model's chat template puts around a prompt; None without one.
        shown: what a history shows of each item; None for its title.
        new_tokens: ids of the tokens that an identifier asked for.
    """

    tokenizer: Any
    template: Template
    catalog: Catalog
    backbone: Any
    vocabulary: int
    answers: tuple[tuple[int, ...], ...]
    trie: Trie
    max_tokens: int = 512
    apart: bool = False
    case_rows: Callable[[Histories], int] | None = None
    chat: ChatFrame | None = None
    shown: Shown | None = None
    new_tokens: tuple[int, ...] = ()

    @classmethod
    def create(
        cls,
        tokenizer: Any,
        template: Template,
        catalog: Catalog,
        backbone: Any,
        vocabulary: int,
        max_tokens: int = 512,
        trie: Trie | None = None,
        apart: bool = False,
    ) -> Encoder:
        """Of a catalogue whose ``trie`` is :func:`name_trie`'s; that of its titles is built here unless one is given.

        With a template of turns, ``tokenizer`` must be :func:`recbench.prompts.chat.close_turns`'s.

        Raises:
            DataError: the tokenizer has no end-of-text token, or two titles have the same tokens.
            UsageError: the template wants turns, and the tokenizer has no chat template.
        """
        chat = chat_frame(tokenizer) if template.chat else None
        trie = name_trie(tokenizer, template, catalog) if trie is None else trie
        return cls(
            tokenizer, template, catalog, backbone, vocabulary, trie.sequences(), trie, max_tokens, apart, chat=chat
        )

    def prompts(self, cases: Histories) -> list[list[int]]:
        """Token ids of each case's prompt; a beginning-of-text token first where the tokenizer puts one."""
        return [prompt.ids for prompt in self.read(cases)]

    def prompt_lengths(self, cases: Histories) -> Longs:
        """[N] tokens of each case's prompt; adds no tokens of cases to the model, unlike reading them does."""
        plain = self if self.case_rows is None else replace(self, case_rows=lambda cases: 0)
        return np.array([len(ids) for ids in plain.prompts(cases)], np.int64)

    def read(self, cases: Histories) -> list[Prompt]:
        """Each case's prompt, with the places of its titles.

        Raises:
            RecbenchError: the backbone's pieces do not allow what is asked of them; names it.
        """
        histories = [[int(i) for i in row if i != PAD] for row in cases.history]
        first = 0 if self.case_rows is None else self.case_rows(cases)
        own = [first + n for n in range(len(cases))]
        found = self._encode(histories, own)
        long = self._too_long(found)
        while long:
            shorter = self._encode([found[n].items[1:] for n in long], [own[n] for n in long])
            for n, prompt in zip(long, shorter, strict=True):
                found[n] = prompt
            long = self._too_long(found)
        return found

    def _too_long(self, prompts: list[Prompt]) -> list[int]:
        return [n for n, one in enumerate(prompts) if len(one.ids) > self.max_tokens and len(one.items) > 1]

    def _encode(self, histories: list[list[int]], own: list[int]) -> list[Prompt]:
        quoted = {i: Title(self.text(i)) for i in {i for row in histories for i in row}}
        texts: dict[str, int] = {}
        # per case: titles, ids of a chat's special tokens, texts' numbers, -(row + 1) for a collaborative token
        plan: list[list[int | Title | tuple[int, ...]]] = []
        for items, row in zip(histories, own, strict=True):
            pieces = self._pieces([quoted[i] for i in items], items)
            plan.append(
                [
                    p
                    if isinstance(p, Title | tuple)
                    else texts.setdefault(p, len(texts))
                    if isinstance(p, str)
                    else -(row if p == USER_TOKEN else p) - 1
                    for p in pieces
                ]
            )
        ids = token_ids(self.tokenizer, list(texts))
        start = self.beginning()
        return [self._joined(start, parts, items, ids) for parts, items in zip(plan, histories, strict=True)]

    def beginning(self) -> list[int]:
        """The beginning-of-text token, where the tokenizer puts one; a chat's frame has its own."""
        start: list[int] = self.tokenizer("")["input_ids"][:1]  # some tokenizers name such a token and never put it
        return start if start == [self.tokenizer.bos_token_id] and self.chat is None else []

    def around(self, before: str, after: str) -> tuple[list[int], list[int]]:
        """Token ids of the words before and after something that has its own tokens, framed like a prompt."""
        head, tail = ((), ()) if self.chat is None else (self.chat.head, self.chat.tail)
        first, last = (
            [token for piece in _texts_joined(pieces) for token in self._tokens(piece)]
            for pieces in ([*head, before], [after, *tail])
        )
        return [*self.beginning(), *first], last

    def _tokens(self, piece: str | tuple[int, ...]) -> Sequence[int]:
        return token_ids(self.tokenizer, [piece])[0] if isinstance(piece, str) else piece

    def text(self, item: int) -> str:
        """What a history shows of an item, as text."""
        return self.template.quote(self.catalog.titles[item]) if self.shown is None else self.shown.texts[item]

    def _pieces(self, titles: list[Title], items: list[int]) -> list[Any]:
        """What the backbone shows: texts joined, unless titles are kept apart or something stands in their place."""
        pieces = self.backbone.prompt(titles, items, self.template)
        if USER_TOKEN in pieces and self.case_rows is None:
            raise RecbenchError(
                f"{type(self.backbone).__name__}.prompt shows USER, but the method has no case_vectors."
            )
        if self.apart:
            pieces = self._kept_apart(pieces, titles, items)
        elif self.shown is not None and [id(p) for p in pieces if isinstance(p, Title)] != [id(t) for t in titles]:
            raise RecbenchError(
                f"{type(self.backbone).__name__}.prompt must give every title as a separate piece, in the history's "
                "order: an identifier takes its place."
            )
        framed = pieces if self.chat is None else [*self.chat.head, *pieces, *self.chat.tail]
        return _texts_joined(framed, apart=self.apart or self.shown is not None)

    def _kept_apart(self, pieces: Sequence[Any], titles: list[Title], items: list[int]) -> list[Any]:
        """The pieces with titles whole and in order, and nothing before a title that reveals it.

        Raises:
            RecbenchError: the backbone's prompt is not like that; says what it must be like.
        """
        who, seen, end = f"train.targets=all cannot be used with {type(self.backbone).__name__}", 0, 0
        for place, piece in enumerate(pieces):
            if isinstance(piece, Title):
                if seen == len(titles) or piece is not titles[seen]:
                    raise RecbenchError(f"{who}: its prompt must show the titles once each, in the history's order.")
                seen += 1
            elif isinstance(piece, int) and piece != USER_TOKEN and piece not in items[:seen]:
                raise RecbenchError(f"{who}: its prompt shows an item's collaborative token before the item's title.")
            if not isinstance(piece, str) or isinstance(piece, Title):
                end = place + 1
        if seen < len(titles):
            raise RecbenchError(f"{who}: its prompt must give each title as a separate piece, not as part of a text.")
        head = [piece for piece in pieces[:end] if piece != USER_TOKEN]
        return [*head, *[USER_TOKEN] * (USER_TOKEN in pieces), *pieces[end:]]

    def _joined(
        self, start: list[int], parts: list[int | Title | tuple[int, ...]], items: list[int], texts: list[list[int]]
    ) -> Prompt:
        ids = list(start)
        starts: list[int] = []
        for part in parts:
            if isinstance(part, Title):
                item = items[len(starts)]
                starts.append(len(ids))
                ids += self.answers[item][:-1] if self.shown is None else self.shown.tokens[item]
            elif isinstance(part, tuple):
                ids += part
            elif part < 0:
                ids.append(self.vocabulary - part - 1)
            else:
                ids += texts[part]
        return Prompt(ids, items, starts)

    def item_of(self, tokens: Sequence[int]) -> int:
        """The item whose title is exactly ``tokens`` (end-of-title token optional), or ``PAD``."""
        node = 0
        for token in tokens:
            node = self.trie.step(node, int(token))
            if node == PAD:
                return PAD
        if self.trie.item[node] == PAD and self.tokenizer.eos_token_id in self.trie.children(node):
            node = self.trie.step(node, self.tokenizer.eos_token_id)
        return int(self.trie.item[node])


def _texts_joined(pieces: Sequence[Any], apart: bool = False) -> list[Any]:
    """Neighbouring texts become one, so that a tokenizer sees no seams; titles stay as they are with ``apart``."""

    def joins(piece: Any) -> bool:
        return isinstance(piece, str) and not (apart and isinstance(piece, Title))

    return [
        found for is_text, run in itertools.groupby(pieces, key=joins) for found in (["".join(run)] if is_text else run)
    ]


def name_trie(tokenizer: Any, template: Template, catalog: Catalog, names: Names | None = None) -> Trie:
    """The trie of what stands for a catalogue's items, each closed by the end-of-text token.

    Args:
        tokenizer: one that knows the tokens of ``names``.
        template: quotes titles.
        catalog: the items.
        names: what stands for them; None for their titles.

    Raises:
        DataError: the tokenizer has no end-of-text token, a name has more than :data:`MAX_TITLE_TOKENS`, or two names
            have the same tokens.
    """
    end = tokenizer.eos_token_id
    if end is None:
        raise DataError("The tokenizer has no end-of-text token, which closes every title: choose a causal LM's own.")
    if names is None:
        rows = token_ids(tokenizer, [template.quote(title) for title in catalog.titles])
    else:
        rows = name_ids(tokenizer, template, names)

    def label(item: int) -> str:
        return f"{short(catalog.ids[item])} ({short(catalog.titles[item])})"

    for item, row in enumerate(rows):
        if len(row) > MAX_TITLE_TOKENS:
            raise DataError(f"The title of item {label(item)} has {len(row)} tokens, more than {MAX_TITLE_TOKENS}.")
    return Trie.build([(*row, end) for row in rows], label)
