"""Log-probabilities of titles: of any given items, or of the whole catalogue."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch

from recbench.language.prefix_decoder import PrefixDecoder
from recbench.language.textmodel import TextModel
from recbench.prompts.trie import ROOT
from recbench.search.best_first import BestFirst
from recbench.search.log_probabilities import log_probabilities


@torch.inference_mode()
def item_scores(
    model: TextModel, prompts: Sequence[Sequence[int]], items: npt.ArrayLike, over_vocabulary: bool = False
) -> npt.NDArray[np.float64]:
    """[prompts, n] log-probability of the titles of the given items after each prompt, in one pass behind the prompts.

    Args:
        model: the language model and its catalogue.
        prompts: token ids; all of them are one batch.
        items: [prompts, n] item indices; candidates, say. A title is read once for each time it is asked for.
        over_vocabulary: of the plain softmax (hf), not renormalised over valid tokens.

    Raises:
        IndexError: an item is not in the catalogue (``PAD`` is not).
    """
    asked = np.asarray(items, np.int64)
    if ((asked < 0) | (asked >= len(model.encoder.answers))).any():
        raise IndexError(f"Items are numbered from 0 to {len(model.encoder.answers) - 1}.")
    trie, answers = model.encoder.trie, model.encoder.answers
    paths = {int(i): trie.path(answers[int(i)]) for i in np.unique(asked)}
    tree = PrefixDecoder(model.hidden_states)(prompts, max((len(path) for path in paths.values()), default=1))
    # by title: what is read of it (up to the last node that is asked), and which of its nodes are asked
    rows: list[int] = []
    tokens: list[int] = []
    offsets: list[int] = []
    wanted, nodes, labels, title = [], [], [], []
    roots: list[int] = []  # titles whose first token is asked, by prompt
    for number, item in enumerate(asked.flatten().tolist()):
        path = paths[item]
        chosen = np.arange(len(path)) if over_vocabulary else np.flatnonzero(trie.fanout(path) > 1)
        if not len(chosen):
            continue
        begin = len(tokens)
        last = int(chosen[-1])
        rows += [number // asked.shape[1]] * last
        tokens += answers[item][:last]
        offsets += range(last)
        wanted += [begin + int(depth) - 1 for depth in chosen if depth]
        nodes += [int(path[depth]) for depth in chosen if depth]
        labels += [answers[item][depth] for depth in chosen if depth]
        title += [number] * int((chosen > 0).sum())
        if chosen[0] == 0:
            roots.append(number)
    scores = np.zeros(asked.size)
    if roots:
        row = np.array(roots) // asked.shape[1]
        values = log_probabilities(model, tree.first, np.full(len(prompts), ROOT), over_vocabulary)
        edge = [trie.step(ROOT, answers[item][0]) - 1 for item in asked.flatten()[roots].tolist()]
        scores[roots] += values.reshape(len(prompts), -1)[row, edge]
    if tokens:
        offset = np.array(offsets)
        none = np.zeros((len(tokens), 0), np.bool_)
        hidden, _ = tree.feed(np.array(rows), np.array(tokens), offset, none, offset, np.array(wanted))
        values = log_probabilities(model, hidden, np.array(nodes), over_vocabulary)
        start = np.cumsum([0, *trie.fanout(np.array(nodes))[:-1]])
        edge = [trie.step(node, label) - 1 - int(trie.first[node]) for node, label in zip(nodes, labels, strict=True)]
        np.add.at(scores, title, values[start + edge])
    return scores.reshape(asked.shape)


def all_scores(
    model: TextModel, prompts: Sequence[Sequence[int]], over_vocabulary: bool = False, expand: int = 64
) -> npt.NDArray[np.float64]:
    """[prompts, items] log-probability of every title of the catalogue.

    Args:
        model: the language model and its catalogue.
        prompts: token ids; all of them are one batch.
        over_vocabulary: of the plain softmax (hf), not renormalised over valid tokens.
        expand: prefixes of a user in one forward pass; it changes speed and memory only.
    """
    items = len(model.encoder.catalog)
    search = BestFirst(model, items, expand, over_vocabulary)
    scores = np.full((len(prompts), items), -np.inf)
    for row, found in enumerate(search(prompts, [set()] * len(prompts))):
        scores[row, [item for _, item in found]] = [score for score, _ in found]
    return scores
