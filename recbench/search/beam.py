"""Constrained beam search: batched over users, on token trees."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from recbench.language.prefix_decoder import Paths, PrefixDecoder, Tree
from recbench.language.textmodel import TextModel
from recbench.prompts.trie import ROOT
from recbench.search.log_probabilities import log_probabilities
from recbench.types import PAD

Found = list[tuple[float, int]]
"""A user's finished items: (score, item), best first."""

Adjust = Callable[[npt.NDArray, npt.NDArray, npt.NDArray, npt.NDArray], npt.NDArray]
"""Changes the scores of a step. Arguments, one value for each continuation: the user's row in the batch, the trie node
that it leads to, the score of its prefix, and its score by the language model. Returns the new scores."""

AHEAD = 16  # forced tokens that are read in the same pass as the choice before them, where they have to be scored


@dataclass
class _Beams:
    """B users' K live prefixes, all of the same number of tokens.

    node: [B, K] trie node, ``PAD`` where there is no beam. score: [B, K]. pending: [B, K] tokens at the end of the
    prefix that the model has not been fed. seen: [B, K, S] which of the user's S fed tokens belong to the prefix, or
    follow it by force. known: [B, K] how many of the next steps are forced and scored already; ahead: [B, K, AHEAD]
    their log-probabilities.
    """

    node: npt.NDArray[np.int64]
    score: npt.NDArray[np.float64]
    pending: npt.NDArray[np.int64]
    seen: npt.NDArray[np.bool_]
    known: npt.NDArray[np.int64]
    ahead: npt.NDArray[np.float64]

    @classmethod
    def none(cls, users: int, beams: int, fed: int) -> _Beams:
        """No live prefix."""
        shape = (users, beams)
        return cls(
            np.full(shape, PAD, np.int64),
            np.full(shape, -np.inf),
            np.zeros(shape, np.int64),
            np.zeros((*shape, fed), bool),
            np.zeros(shape, np.int64),
            np.zeros((*shape, AHEAD)),
        )


class BeamSearch:
    """Constrained beam search for one model and catalogue.

    Attributes:
        adjust: changes the scores of each step; None for the language model's own. A search ends when nothing open can
            still enter the list, so that a score may fall along a title and never rise.
    """

    adjust: Adjust | None = None

    def __init__(self, model: TextModel, beams: int, over_vocabulary: bool, length_penalty: float) -> None:
        self.model, self.beams = model, beams
        self.over_vocabulary, self.length_penalty = over_vocabulary, length_penalty
        trie = model.encoder.trie
        self.trie = trie
        self.parent = trie.parents()
        # how many nodes from each one on have just one child, that one included
        self.forced = (np.diff(trie.first) == 1).astype(np.int64)
        after = np.where(self.forced, trie.first[:-1] + 1, np.arange(len(trie)))
        while (self.forced != (longer := self.forced + self.forced[after])).any():
            self.forced, after = longer, after[after]
        self.prefixes = PrefixDecoder(model.hidden_states)
        self.longest = max(map(len, model.encoder.answers))

    @torch.inference_mode()
    def __call__(self, prompts: Sequence[Sequence[int]], forbidden: Sequence[set[int]]) -> list[Found]:
        """Search for each prompt; items in ``forbidden`` are dropped as they finish.

        Returns:
            For each prompt up to ``beams`` finished items, best first.
        """
        # forbidden items take up beams until they finish: that many more beams are kept
        k = self.beams + max(len(items - {PAD}) for items in forbidden)
        users = len(prompts)
        tree = self.prefixes(prompts, self.longest)
        state = _Beams.none(users, k, 0)
        state.node[:, 0], state.score[:, 0] = ROOT, 0.0
        finished: list[list[tuple[float, int, int]]] = [[] for _ in range(users)]
        length = 0
        while (state.node != PAD).any():
            user, slot, child, score = self._expand(state, tree, length)
            length += 1
            state = self._select(k, state, user, slot, child, score, finished, forbidden, length)
        return [[(score, item) for score, _, item in pool] for pool in finished]

    def _expand(
        self, state: _Beams, tree: Tree | Paths, length: int
    ) -> tuple[npt.NDArray, npt.NDArray, npt.NDArray, npt.NDArray]:
        """All continuations of the live beams: user, beam, next node and score of each."""
        user, slot = np.nonzero(state.node != PAD)
        node = state.node[user, slot]
        indptr, _ = self.trie.allowed(node)
        fanout = np.diff(indptr)
        step = np.zeros(int(indptr[-1]))
        ready = state.known[user, slot] > 0
        step[np.repeat(ready, fanout)] = state.ahead[user[ready], slot[ready], 0]
        state.ahead[user[ready], slot[ready]] = np.roll(state.ahead[user[ready], slot[ready]], -1, axis=1)
        state.known[user[ready], slot[ready]] -= 1
        asks = ~ready if self.over_vocabulary else fanout > 1
        if asks.any():
            step[np.repeat(asks, fanout)] = self._ask(state, tree, user[asks], slot[asks], length)
        beam = np.repeat(np.arange(len(node)), fanout)
        child = np.arange(indptr[-1]) + np.repeat(self.trie.first[node] - indptr[:-1], fanout) + 1
        before = state.score[user, slot][beam]
        score = before + step
        if self.adjust is not None:
            score = self.adjust(user[beam], child, before, score)
        return user[beam], slot[beam], child, score

    def _ask(
        self, state: _Beams, tree: Tree | Paths, user: npt.NDArray, slot: npt.NDArray, length: int
    ) -> npt.NDArray[np.float64]:
        """[edges] log-probability of every next token of the given beams.

        Feeds their pending tokens; and, where forced ones follow that have to be scored, those too.
        """
        node = state.node[user, slot]
        if length == 0:
            return log_probabilities(self.model, tree.first, node, self.over_vocabulary)
        more = np.clip(self.forced[node] - 1, 0, AHEAD) if self.over_vocabulary else np.zeros_like(node)
        steps = np.arange(int(more.max()) + 1)
        ahead = np.empty((len(node), len(steps)), np.int64)  # the nodes that are asked
        for n in steps:
            ahead[:, n] = node if n == 0 else np.where(n <= more, self.trie.first[ahead[:, n - 1]] + 1, ahead[:, n - 1])
        pending = state.pending[user, slot]
        count = pending + more
        beam = np.repeat(np.arange(len(user)), count)
        place = np.arange(len(beam)) - np.repeat(np.cumsum(count) - count, count)  # within the beam's tokens
        tokens = self._last_tokens(ahead[:, -1], count)
        hidden, column = tree.feed(
            user[beam],
            tokens,
            length - pending[beam] + place,
            state.seen[user, slot][beam],
            place,
            np.flatnonzero(place >= pending[beam] - 1),
        )
        grown = int(tree.fed.max()) - state.seen.shape[2]
        state.seen = np.concatenate([state.seen, np.zeros((*state.seen.shape[:2], grown), bool)], axis=2)
        state.seen[user[beam], slot[beam], column] = True
        state.pending[user, slot] = 0
        asked = steps <= more[:, None]
        values = log_probabilities(self.model, hidden, ahead[asked], self.over_vocabulary)
        owner, step = np.nonzero(asked)
        edge = np.repeat(np.arange(len(owner)), self.trie.fanout(ahead[asked]))
        later = step[edge] > 0
        state.known[user, slot] = more
        state.ahead[user[owner[edge[later]]], slot[owner[edge[later]]], step[edge[later]] - 1] = values[later]
        return values[~later]

    def _last_tokens(self, node: npt.NDArray[np.int64], count: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """The last ``count`` tokens on the way to each node, beam after beam, in reading order."""
        width = int(count.max())
        grid = np.full((len(node), width), PAD, np.int64)
        here = node.copy()
        for back in range(width):
            on = back < count
            grid[on, width - 1 - back] = self.trie.token[here[on] - 1]
            here[on] = self.parent[here[on]]
        return grid[grid != PAD]

    def _select(
        self,
        k: int,
        state: _Beams,
        user: npt.NDArray,
        slot: npt.NDArray,
        child: npt.NDArray,
        score: npt.NDArray,
        finished: list[list[tuple[float, int, int]]],
        forbidden: Sequence[set[int]],
        length: int,
    ) -> _Beams:
        """Keep each user's best unfinished continuations; collect the finished ones; stop users who are done."""
        order = np.lexsort((child, -score, user))
        user, slot, child, score = user[order], slot[order], child[order], score[order]
        rank = np.arange(len(user)) - np.searchsorted(user, user)
        item = self.trie.item[child]
        penalty = float(length) ** self.length_penalty
        for at in np.flatnonzero((item != PAD) & (rank < k)):
            u, i = int(user[at]), int(item[at])
            if i not in forbidden[u]:
                finished[u].append((float(score[at]) / penalty, int(child[at]), i))
        live = np.flatnonzero(item == PAD)
        live_rank = np.arange(len(live)) - np.searchsorted(user[live], user[live])
        live, live_rank = live[live_rank < k], live_rank[live_rank < k]
        best = np.full(len(finished), -np.inf)
        best[user[live[live_rank == 0]]] = score[live[live_rank == 0]] / penalty
        done = np.zeros(len(finished), bool)
        for u in np.unique(user):
            pool = finished[u]
            pool.sort(key=lambda f: (-f[0], f[1]))
            del pool[self.beams :]
            # log-probabilities only fall, so nothing open can still enter (with a length penalty: as transformers)
            done[u] = len(pool) == self.beams and best[u] <= pool[-1][0]
        keep = ~done[user[live]]
        live, live_rank = live[keep], live_rank[keep]
        new = _Beams.none(len(state.node), state.node.shape[1], state.seen.shape[2])
        u, old = user[live], slot[live]
        new.node[u, live_rank], new.score[u, live_rank] = child[live], score[live]
        for name in ("seen", "known", "ahead"):
            getattr(new, name)[u, live_rank] = getattr(state, name)[u, old]
        # the token of a node whose next step is known has been fed
        new.pending[u, live_rank] = np.where(state.known[u, old] > 0, 0, state.pending[u, old] + 1)
        return new
