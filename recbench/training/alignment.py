"""Alignment tasks: which identifier a title has, and which title an identifier.

Source: Zheng et al., LC-Rec, ICDE 2024 (https://arxiv.org/abs/2311.09049), "explicit index-language alignment". Its
other tasks need texts about intentions and preferences, which a data set does not have here.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from recbench.language.textmodel import TextModel
from recbench.prompts.encode import name_trie
from recbench.prompts.trie import Trie
from recbench.seeds import child
from recbench.types import Ints

ASK_NAME = ("Which item is called ", "?\n")
ASK_TITLE = ("What is the title of ", "?\n")


@dataclass(frozen=True)
class Alignment:
    """Questions about items, and the titles that answer half of them.

    Attributes:
        prompts: token ids of each question.
        answers: token ids of each answer, end-of-title token included.
        nodes: for each answer the node before each of its tokens, counted behind those of the model's own trie where
            the answer is a title.
        titles: the trie of titles.
    """

    prompts: list[list[int]]
    answers: list[tuple[int, ...]]
    nodes: list[Ints]
    titles: Trie


def alignment(model: TextModel, count: int, seed: int) -> Alignment:
    """``count`` questions in turns of both kinds, about all items of the catalogue alike, known in training or not.

    Args:
        model: whose encoder has an identifier that is not the title.
        count: how many.
        seed: of the run; draws the items.
    """
    encoder = model.encoder
    titles = name_trie(encoder.tokenizer, encoder.template, encoder.catalog)
    rows, items, draws = titles.sequences(), len(encoder.catalog), child(seed, "alignment")
    name, title = (encoder.around(*words) for words in (ASK_NAME, ASK_TITLE))
    drawn = np.concatenate([draws.permutation(items) for _ in range(-(-count // items))] or [np.empty(0, np.int64)])
    prompts, answers, nodes = [], [], []
    for number, item in enumerate(drawn[:count].tolist()):
        own = encoder.answers[item]
        if number % 2:
            prompts.append([*title[0], *own[:-1], *title[1]])
            answers.append(rows[item])
            nodes.append(titles.path(rows[item]) + np.int32(len(encoder.trie)))
        else:
            prompts.append([*name[0], *rows[item][:-1], *name[1]])
            answers.append(own)
            nodes.append(encoder.trie.path(own))
    return Alignment(prompts, answers, nodes, titles)
