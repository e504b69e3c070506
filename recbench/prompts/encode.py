"""Token ids of prompts and titles.

Prompt and answer are tokenised apart and joined as ids, so that training and decoding meet the same boundary whatever
a tokenizer merges across it. All text is text: a title that spells a special token does not become one. Collaborative
tokens get ids above the text vocabulary: ``vocabulary + item``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from recbench.errors import DataError, RecbenchError, short
from recbench.prompts.templates import Template
from recbench.prompts.trie import Trie
from recbench.types import PAD, Catalog, Histories

USER_TOKEN = -1  # the piece that interfaces.USER names
MAX_TITLE_TOKENS = 1024  # memory grows with it in training and search; the longest of Toy has 169 with SmolLM2's


@dataclass(frozen=True)
class Encoder:
    """Turns histories into prompt ids and holds the titles' ids.

    Attributes:
        tokenizer: a transformers fast tokenizer.
        template: the words around the history.
        catalog: the items.
        backbone: a :class:`recbench.interfaces.TextBackbone`, which decides what the prompt holds.
        vocabulary: first id above the text vocabulary (the rows of the model's embedding).
        answers: token ids of each item's title, end-of-title token included.
        trie: of ``answers``.
        max_tokens: longest prompt; the oldest items of a longer history are left out.
        case_rows: cases to the first row of their own tokens, counted behind the items; None where no prompt has one.
    """

    tokenizer: Any
    template: Template
    catalog: Catalog
    backbone: Any
    vocabulary: int
    answers: tuple[tuple[int, ...], ...]
    trie: Trie
    max_tokens: int = 512
    case_rows: Callable[[Histories], int] | None = None

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
    ) -> Encoder:
        """Of a catalogue whose ``trie`` is :func:`title_trie`'s, built here unless it is given.

        Raises:
            DataError: the tokenizer has no end-of-text token, or two titles have the same tokens.
        """
        trie = title_trie(tokenizer, template, catalog) if trie is None else trie
        return cls(tokenizer, template, catalog, backbone, vocabulary, trie.sequences(), trie, max_tokens)

    def prompts(self, cases: Histories) -> list[list[int]]:
        """Token ids of each case's prompt; a beginning-of-text token first where the tokenizer puts one."""
        histories = [[int(i) for i in row if i != PAD] for row in cases.history]
        first = 0 if self.case_rows is None else self.case_rows(cases)
        own = [first + n for n in range(len(cases))]
        rows = self._encode(histories, own)
        too_long = [n for n, row in enumerate(rows) if len(row) > self.max_tokens and len(histories[n]) > 1]
        while too_long:
            for n in too_long:
                histories[n] = histories[n][1:]
            too_long_rows = [own[n] for n in too_long]
            for n, row in zip(too_long, self._encode([histories[n] for n in too_long], too_long_rows), strict=True):
                rows[n] = row
            too_long = [n for n in too_long if len(rows[n]) > self.max_tokens and len(histories[n]) > 1]
        return rows

    def _encode(self, histories: list[list[int]], own: list[int]) -> list[list[int]]:
        titles = self.catalog.titles
        texts: dict[str, int] = {}
        plan: list[list[int]] = []  # per case: a text's number, or -(row + 1) for a collaborative token
        for items, row in zip(histories, own, strict=True):
            quoted = [self.template.quote(titles[i]) for i in items]
            pieces = self.backbone.prompt(quoted, items, self.template)
            if USER_TOKEN in pieces and self.case_rows is None:
                raise RecbenchError(
                    f"{type(self.backbone).__name__}.prompt shows USER, but the method has no case_vectors behind it."
                )
            plan.append(
                [
                    texts.setdefault(p, len(texts)) if isinstance(p, str) else -(row if p == USER_TOKEN else p) - 1
                    for p in pieces
                ]
            )
        ids = token_ids(self.tokenizer, list(texts))
        # some tokenizers name such a token and never put it there
        start = self.tokenizer("")["input_ids"][:1]
        start = start if start == [self.tokenizer.bos_token_id] else []
        return [
            start + [t for part in parts for t in ([self.vocabulary - part - 1] if part < 0 else ids[part])]
            for parts in plan
        ]

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


def title_trie(tokenizer: Any, template: Template, catalog: Catalog) -> Trie:
    """The trie of a catalogue's titles, quoted as ``template`` does and closed by the end-of-text token.

    Raises:
        DataError: the tokenizer has no end-of-text token, a title has more than :data:`MAX_TITLE_TOKENS`, or two titles
            have the same tokens.
    """
    end = tokenizer.eos_token_id
    if end is None:
        raise DataError("The tokenizer has no end-of-text token, which closes every title: choose a causal LM's own.")
    rows = token_ids(tokenizer, [template.quote(title) for title in catalog.titles])

    def label(item: int) -> str:
        return f"{short(catalog.ids[item])} ({short(catalog.titles[item])})"

    for item, row in enumerate(rows):
        if len(row) > MAX_TITLE_TOKENS:
            raise DataError(f"The title of item {label(item)} has {len(row)} tokens, more than {MAX_TITLE_TOKENS}.")
    return Trie.build([(*row, end) for row in rows], label)


def token_ids(tokenizer: Any, texts: list[str]) -> list[list[int]]:
    """Token ids of plain texts; what spells a special token is split like any other text."""
    if not texts:
        return []
    found: list[list[int]] = tokenizer(texts, add_special_tokens=False, split_special_tokens=True)["input_ids"]
    return found
