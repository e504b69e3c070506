"""Best-first search of the whole catalogue: the exact top of it, without looking at the rest.

A title's log-probability is a sum of terms that are never positive, so no title below a prefix beats the prefix. Each
user's open prefixes stand in a heap; the best ones are expanded until none of them can beat the last item of the list.
"""

from __future__ import annotations

import heapq
from bisect import insort
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import torch

from recbench.language.textmodel import TextModel
from recbench.prompts.trie import ROOT
from recbench.types import PAD
from recbench_plugins.decoders.beam_search import Feeder, check_window, log_probabilities

Found = list[tuple[float, int]]
"""A user's finished items: (score, item), best first; equal scores in the trie's order."""


@dataclass
class _Run:
    """A prefix to expand: the tokens from the one after a choice to the next choice (or the title's end).

    score: of ``nodes[0]``, the first of the trie nodes that are fed. seen: fed columns of the prefix before it.
    """

    user: int
    score: float
    nodes: list[int]
    seen: npt.NDArray[np.int64]


@dataclass
class _User:
    """What one user's search knows. Heap and list hold (-score, node, ...), so that they sort as wanted."""

    depth: int
    forbidden: set[int]
    open: list[tuple[float, int, npt.NDArray[np.int64]]] = field(default_factory=list)
    finished: list[tuple[float, int, int]] = field(default_factory=list)

    @property
    def bound(self) -> float:
        """Negative score that an open prefix must not exceed to matter."""
        return self.finished[-1][0] if len(self.finished) == self.depth else np.inf

    def finish(self, negative: float, node: int, item: int) -> None:
        if item not in self.forbidden:
            insort(self.finished, (negative, node, item))
            del self.finished[self.depth :]

    def pop(self, count: int) -> list[tuple[float, int, npt.NDArray[np.int64]]]:
        """The best open prefixes that still matter, at most ``count``."""
        best = []
        while self.open and len(best) < count and self.open[0][0] <= self.bound:
            best.append(heapq.heappop(self.open))
        return best


class BestFirst:
    """Exact search for one model and catalogue.

    Args:
        model: the language model and its trie.
        depth: how many items to find; at least 1.
        expand: prefixes of a user that are expanded in one forward pass.
        over_vocabulary: log-probabilities of the plain softmax (hf), not renormalised over valid tokens.
    """

    def __init__(self, model: TextModel, depth: int, expand: int, over_vocabulary: bool) -> None:
        self.model, self.depth, self.expand, self.over_vocabulary = model, depth, expand, over_vocabulary
        self.trie = trie = model.encoder.trie
        # the next node with a choice, or the title's end, down a path without one
        follow = np.where(np.diff(trie.first) == 1, trie.first[:-1] + 1, np.arange(len(trie)))
        while (follow != (further := follow[follow])).any():
            follow = further
        self.end = follow

    @torch.inference_mode()
    def __call__(self, prompts: Sequence[Sequence[int]], forbidden: Sequence[set[int]]) -> list[Found]:
        """The best ``depth`` items after each prompt, without those in ``forbidden``; fewer where there are no more."""
        check_window(self.model, prompts)
        feeder = Feeder(self.model, prompts)
        users = [_User(self.depth, items) for items in forbidden]
        nobody = np.zeros(0, np.int64)
        roots = np.full(len(users), ROOT)
        asks = self.over_vocabulary or self.trie.fanout(roots[:1])[0] > 1
        edges = len(self.trie.children(ROOT)) * len(users)
        step = log_probabilities(self.model, feeder.first, roots, self.over_vocabulary) if asks else np.zeros(edges)
        for user, values in zip(users, np.split(step, len(users)), strict=True):
            self._open(user, ROOT, np.minimum(values, 0.0), nobody)
        alive = np.arange(len(users))  # the users of the feeder's rows
        while runs := [run for row, u in enumerate(alive) for run in self._runs(row, users[u])]:
            busy = np.unique([run.user for run in runs])
            if 2 * len(busy) <= len(alive):  # those who are done leave, once that halves the batch
                feeder.keep(busy)
                alive = alive[busy]
                for run in runs:
                    run.user = int(np.searchsorted(busy, run.user))
            self._expand(feeder, runs, [users[u] for u in alive])
        return [[(-negative, item) for negative, _, item in user.finished] for user in users]

    def _runs(self, row: int, user: _User) -> list[_Run]:
        return [_Run(row, -negative, self._chain(node), seen) for negative, node, seen in user.pop(self.expand)]

    def _chain(self, node: int) -> list[int]:
        """The nodes from ``node`` to the next choice, or to the one before a title's end."""
        end, chain = int(self.end[node]), [node]
        while chain[-1] != end:
            chain.append(int(self.trie.first[chain[-1]]) + 1)
        return chain if self.trie.item[end] == PAD else chain[:-1]

    def _open(self, user: _User, node: int, scores: npt.NDArray[np.float64], seen: npt.NDArray[np.int64]) -> None:
        """Take the children of ``node`` with the given scores: titles that end there, and prefixes to go on with."""
        first, bound = int(self.trie.first[node]) + 1, user.bound
        for child in np.flatnonzero(-scores <= bound).tolist():
            negative, node = -float(scores[child]), first + child
            # renormalised, what is forced costs nothing: such a title is finished here
            item = int(self.trie.item[node if self.over_vocabulary else self.end[node]])
            if item != PAD:
                user.finish(negative, int(self.end[node]), item)
            else:
                heapq.heappush(user.open, (negative, node, seen))

    def _expand(self, feeder: Feeder, runs: list[_Run], users: list[_User]) -> None:
        """Feed the runs, whose rows ascend, and open what follows."""
        count = np.array([len(run.nodes) for run in runs])
        last = np.cumsum(count) - 1
        nodes = np.concatenate([run.nodes for run in runs])
        seen = np.zeros((len(nodes), feeder.fed), bool)
        for run, end in zip(runs, last, strict=True):
            seen[end + 1 - len(run.nodes) : end + 1, run.seen] = True
        owner = np.repeat([run.user for run in runs], count)
        place = np.arange(len(nodes)) - np.repeat(last + 1 - count, count)
        offset = np.repeat([len(run.seen) for run in runs], count) + place
        hidden, column = feeder.feed(owner, self.trie.token[nodes - 1], offset, seen, place)
        asked = np.arange(len(nodes)) if self.over_vocabulary else last
        rows = torch.from_numpy(asked).to(hidden.device)
        step = log_probabilities(self.model, hidden[rows], nodes[asked], self.over_vocabulary)
        pieces = np.split(np.minimum(step, 0.0), np.cumsum(self.trie.fanout(nodes[asked]))[:-1])
        at = 0
        for run, end in zip(runs, last, strict=True):
            chain = len(run.nodes) - 1 if self.over_vocabulary else 0
            score = run.score + float(sum(piece[0] for piece in pieces[at : at + chain]))
            here = np.concatenate([run.seen, column[end + 1 - len(run.nodes) : end + 1]])
            self._open(users[run.user], run.nodes[-1], score + pieces[at + chain], here)
            at += chain + 1


def all_scores(
    model: TextModel, prompts: Sequence[Sequence[int]], over_vocabulary: bool = False, expand: int = 64
) -> npt.NDArray[np.float64]:
    """[prompts, items] log-probability of every title of the catalogue.

    Args:
        model: the language model and its catalogue.
        prompts: token ids; all of them are one batch.
        over_vocabulary: of the plain softmax (hf), not renormalised over valid tokens.
        expand: prefixes of a user in one forward pass; a matter of speed and memory.
    """
    items = len(model.encoder.catalog)
    search = BestFirst(model, items, expand, over_vocabulary)
    scores = np.full((len(prompts), items), -np.inf)
    for row, found in enumerate(search(prompts, [set()] * len(prompts))):
        scores[row, [item for _, item in found]] = [score for score, _ in found]
    return scores
