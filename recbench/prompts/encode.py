"""Token ids of prompts and titles.

Prompt and answer are tokenised apart and joined as ids, so that training and decoding meet the same boundary whatever
a tokenizer merges across it. Collaborative tokens get ids above the text vocabulary: ``vocabulary + item``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from recbench.errors import DataError
from recbench.prompts.templates import Template
from recbench.prompts.trie import Trie
from recbench.types import PAD, Catalog, Ints, Sequences


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
    """

    tokenizer: Any
    template: Template
    catalog: Catalog
    backbone: Any
    vocabulary: int
    answers: tuple[tuple[int, ...], ...]
    trie: Trie

    @classmethod
    def create(cls, tokenizer: Any, template: Template, catalog: Catalog, backbone: Any, vocabulary: int) -> Encoder:
        """Tokenise the catalogue and build its trie.

        Raises:
            DataError: the tokenizer has no end-of-text token, or two titles have the same tokens.
        """
        end = tokenizer.eos_token_id
        if end is None:
            raise DataError("The tokenizer has no end-of-text token, which closes every title: choose a causal LM's own.")
        texts = [template.quote(title) for title in catalog.titles]
        ids = tokenizer(texts, add_special_tokens=False)["input_ids"]
        answers = tuple((*row, end) for row in ids)
        return cls(tokenizer, template, catalog, backbone, vocabulary, answers, Trie.build(answers))

    def prompts(self, cases: Sequences) -> list[list[int]]:
        """Token ids of each case's prompt; a beginning-of-text token first where the tokenizer has one."""
        quoted = [self.template.quote(title) for title in self.catalog.titles]
        texts: list[str] = []
        plan: list[list[int]] = []  # per case: index into texts, or -(item + 1) for a collaborative token
        for row in cases.history:
            items = [int(i) for i in row if i != PAD]
            pieces = self.backbone.prompt([quoted[i] for i in items], items, self.template)
            plan.append([])
            for piece in pieces:
                if isinstance(piece, int):
                    plan[-1].append(-piece - 1)
                else:
                    plan[-1].append(len(texts))
                    texts.append(piece)
        unique = {text: i for i, text in enumerate(dict.fromkeys(texts))}
        ids = self.tokenizer(list(unique), add_special_tokens=False)["input_ids"] if unique else []
        start = [] if self.tokenizer.bos_token_id is None else [self.tokenizer.bos_token_id]
        rows: list[list[int]] = []
        for parts in plan:
            tokens = list(start)
            for part in parts:
                tokens.extend([self.vocabulary - part - 1] if part < 0 else ids[unique[texts[part]]])
            rows.append(tokens)
        return rows

    def nodes(self, targets: Ints) -> list[Ints]:
        """For each target, the trie node before each of its title's tokens."""
        found = {int(t): self.trie.path(self.answers[int(t)]) for t in set(targets.tolist())}
        return [found[int(t)] for t in targets]

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
