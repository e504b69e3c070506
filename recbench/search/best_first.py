"""Best-first search of the whole catalogue: the exact top of it, without looking at the rest.

A title's log-probability is a sum of terms that are never positive, so no title below a prefix beats the prefix. Each
user's open prefixes are in a heap; the best ones are expanded until none of them can beat the last item of the list.
"""

from __future__ import annotations

import heapq
from bisect import insort
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import torch

from recbench.language.prefix_decoder import Paths, PrefixDecoder, Tree
from recbench.language.textmodel import TextModel
from recbench.prompts.trie import ROOT
from recbench.search.log_probabilities import log_probabilities
from recbench.types import PAD

Found = list[tuple[float, int]]
"""A user's finished items: (score, item), best first; equal scores in the trie's order."""


@dataclass(frozen=True)
class _Prefix:
    """Fed columns of a prefix, oldest first, and the age of the tree's memory that they belong to."""

    age: int
    columns: npt.NDArray[np.int64]


@dataclass
class _User:
    """What one user's search knows. Heap and list hold (-score, node, ...), so that they sort as wanted."""

    depth: int
    forbidden: set[int]
    open: list[tuple[float, int, _Prefix]] = field(default_factory=list)
    finished: list[tuple[float, int, int]] = field(default_factory=list)

    @property
    def bound(self) -> float:
        """Negative score that an open prefix must not exceed to matter."""
        return self.finished[-1][0] if len(self.finished) == self.depth else np.inf

    def finish(self, negative: float, node: int, item: int) -> None:
        if item not in self.forbidden:
            insort(self.finished, (negative, node, item))
            del self.finished[self.depth :]

    def best(self, count: int) -> list[tuple[float, int, _Prefix]]:
        """Take out the best open prefixes that still matter, at most ``count``."""
        found: list[tuple[float, int, _Prefix]] = []
        while self.open and len(found) < count and self.open[0][0] <= self.bound:
            found.append(heapq.heappop(self.open))
        return found


@dataclass
class _Run:
    """Tokens to feed: a prefix from where it is not in memory up to its next choice.

    row: the user's, among those still searching. score: of the opened node. nodes: that are fed. fresh: how many of
    them, at the end, are the opened node and the forced ones after it. seen: fed columns before them.
    """

    row: int
    score: float
    nodes: list[int]
    fresh: int
    seen: npt.NDArray[np.int64]


class BestFirst:
    """Exact search for one model and catalogue.

    Args:
        model: the language model and its trie.
        depth: how many items to find; at least 1.
        expand: prefixes of a user that are expanded in one forward pass.
        over_vocabulary: log-probabilities of the plain softmax (hf), not renormalised over valid tokens.
        kept: fed tokens of a user that are remembered; a search that needs more reads some prefixes again, which bounds
            memory and attention.
    """

    def __init__(
        self, model: TextModel, depth: int, expand: int, over_vocabulary: bool = False, kept: int = 1024
    ) -> None:
        self.model, self.depth, self.expand, self.over_vocabulary = model, depth, expand, over_vocabulary
        self.kept = kept
        self.trie = trie = model.encoder.trie
        fanout = np.diff(trie.first)
        self.parent = trie.parents()
        # the next node with a choice, or the title's end, down a path without one
        self.end = np.where(fanout == 1, trie.first[:-1] + 1, np.arange(len(trie)))
        while (self.end != (further := self.end[self.end])).any():
            self.end = further
        self.prefixes = PrefixDecoder(model.hidden_states)
        self.longest = max(map(len, model.encoder.answers))

    @torch.inference_mode()
    def __call__(self, prompts: Sequence[Sequence[int]], forbidden: Sequence[set[int]]) -> list[Found]:
        """The best ``depth`` items after each prompt, without those in ``forbidden``; fewer where there are no more."""
        tree = self.prefixes(prompts, self.longest)
        users = [_User(self.depth, items) for items in forbidden]
        roots = np.full(len(users), ROOT)
        if self.over_vocabulary or len(self.trie.children(ROOT)) > 1:
            step = log_probabilities(self.model, tree.first, roots, self.over_vocabulary)
        else:
            step = np.zeros(len(users))
        for user, values in zip(users, np.split(step, len(users)), strict=True):
            self._open(user, ROOT, np.minimum(values, 0.0), _Prefix(0, np.zeros(0, np.int64)))
        alive = users  # those of the tree's rows
        while True:
            if tree.fed.max() > self.kept:
                tree.forget()
            runs = [self._run(row, tree, *one) for row, user in enumerate(alive) for one in user.best(self.expand)]
            if not runs:
                return [[(-negative, item) for negative, _, item in user.finished] for user in users]
            busy = np.unique([run.row for run in runs])
            if 2 * len(busy) <= len(alive):  # those who are done leave, once that halves the batch
                tree.keep(busy)
                alive = [alive[row] for row in busy]
                for run in runs:
                    run.row = int(np.searchsorted(busy, run.row))
            self._expand(tree, runs, alive)

    def _run(self, row: int, tree: Tree | Paths, negative: float, node: int, prefix: _Prefix) -> _Run:
        end, nodes = int(self.end[node]), [node]
        while nodes[-1] != end:
            nodes.append(int(self.trie.first[nodes[-1]]) + 1)
        if self.trie.item[end] != PAD:
            nodes.pop()  # nothing follows a title's end
        fresh = len(nodes)
        if prefix.age == tree.age:
            return _Run(row, -negative, nodes, fresh, prefix.columns)
        while (node := int(self.parent[node])) != ROOT:
            nodes.insert(0, node)
        return _Run(row, -negative, nodes, fresh, prefix.columns[:0])

    def _open(self, user: _User, node: int, scores: npt.NDArray[np.float64], prefix: _Prefix) -> None:
        """Take the children of ``node`` with the given scores: titles that end there, and prefixes to go on with."""
        first = int(self.trie.first[node]) + 1
        for place in np.flatnonzero(-scores <= user.bound).tolist():
            negative, child = -float(scores[place]), first + place
            end = int(self.end[child])
            # renormalised, what is forced costs nothing: such a title is finished here
            item = int(self.trie.item[child if self.over_vocabulary else end])
            if item != PAD:
                user.finish(negative, end, item)
            else:
                heapq.heappush(user.open, (negative, child, prefix))

    def _expand(self, tree: Tree | Paths, runs: list[_Run], users: list[_User]) -> None:
        """Feed the runs, whose rows ascend, and open what follows."""
        count = np.array([len(run.nodes) for run in runs])
        stop = np.cumsum(count)
        nodes = np.concatenate([run.nodes for run in runs])
        seen = np.zeros((len(nodes), int(tree.fed.max())), bool)
        for run, end in zip(runs, stop, strict=True):
            seen[end - len(run.nodes) : end, run.seen] = True
        place = np.arange(len(nodes)) - np.repeat(stop - count, count)
        offset = np.repeat([len(run.seen) for run in runs], count) + place
        row = np.repeat([run.row for run in runs], count)
        asks = [run.fresh if self.over_vocabulary else 1 for run in runs]
        asked = np.concatenate([np.arange(end - n, end) for n, end in zip(asks, stop, strict=True)])
        states, column = tree.feed(row, self.trie.token[nodes - 1].astype(np.int64), offset, seen, place, asked)
        step = np.minimum(log_probabilities(self.model, states, nodes[asked], self.over_vocabulary), 0.0)
        steps = iter(np.split(step, np.cumsum(self.trie.fanout(nodes[asked]))[:-1]))
        for run, n, end in zip(runs, asks, stop, strict=True):
            score = run.score + sum(float(next(steps)[0]) for _ in range(n - 1))
            prefix = _Prefix(tree.age, np.concatenate([run.seen, column[end - len(run.nodes) : end]]))
            self._open(users[run.row], run.nodes[-1], score + next(steps), prefix)
