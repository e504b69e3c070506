"""The search itself: batched over users, one append-only cache, a tree-shaped attention mask."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from recbench.errors import RecbenchError
from recbench.language.textmodel import TextModel
from recbench.prompts.trie import ROOT
from recbench.training.answers import segment_logsumexp
from recbench.types import PAD

Found = list[tuple[float, int]]
"""A user's finished items: (score, item), best first."""


@dataclass
class _Beams:
    """B users' K live prefixes, all of the same number of tokens.

    node: [B, K] trie node, ``PAD`` where there is no beam. score: [B, K]. pending: [B, K] tokens at the end of the
    prefix that the model has not been fed. seen: [B, K, S] which of the user's S fed tokens belong to the prefix.
    """

    node: npt.NDArray[np.int64]
    score: npt.NDArray[np.float64]
    pending: npt.NDArray[np.int64]
    seen: npt.NDArray[np.bool_]


class BeamSearch:
    """Constrained beam search for one model and catalogue."""

    def __init__(self, model: TextModel, beams: int, over_vocabulary: bool, length_penalty: float) -> None:
        self.model, self.beams = model, beams
        self.over_vocabulary, self.length_penalty = over_vocabulary, length_penalty
        trie = model.encoder.trie
        self.trie = trie
        self.parent = np.concatenate([[PAD], np.repeat(np.arange(len(trie)), np.diff(trie.first))])

    @torch.inference_mode()
    def __call__(self, prompts: Sequence[Sequence[int]], forbidden: Sequence[set[int]]) -> list[Found]:
        """Search for each prompt; items in ``forbidden`` are dropped as they finish.

        Returns:
            For each prompt up to ``beams`` finished items, best first.
        """
        check_window(self.model, prompts)
        # forbidden items take up beams until they finish: so many more are kept that none is missed
        k = self.beams + max(len(items - {PAD}) for items in forbidden)
        users = len(prompts)
        feeder = Feeder(self.model, prompts)
        state = _Beams(
            np.full((users, k), PAD, np.int64),
            np.full((users, k), -np.inf),
            np.zeros((users, k), np.int64),
            np.zeros((users, k, 0), bool),
        )
        state.node[:, 0], state.score[:, 0] = ROOT, 0.0
        finished: list[list[tuple[float, int, int]]] = [[] for _ in range(users)]
        length = 0
        while (state.node != PAD).any():
            user, slot, child, score = self._expand(state, feeder, length)
            length += 1
            state = self._select(k, state, user, slot, child, score, finished, forbidden, length)
        return [[(score, item) for score, _, item in pool] for pool in finished]

    def _expand(
        self, state: _Beams, feeder: Feeder, length: int
    ) -> tuple[npt.NDArray, npt.NDArray, npt.NDArray, npt.NDArray]:
        """All continuations of the live beams: user, beam, next node and score of each."""
        user, slot = np.nonzero(state.node != PAD)
        node = state.node[user, slot]
        indptr, _ = self.trie.allowed(node)
        fanout = np.diff(indptr)
        step = np.zeros(int(indptr[-1]))
        asks = np.ones(len(node), bool) if self.over_vocabulary else fanout > 1
        if asks.any():
            hidden = self._feed(state, feeder, user[asks], slot[asks], length)
            step[np.repeat(asks, fanout)] = log_probabilities(self.model, hidden, node[asks], self.over_vocabulary)
        beam = np.repeat(np.arange(len(node)), fanout)
        child = np.arange(indptr[-1]) + np.repeat(self.trie.first[node] - indptr[:-1], fanout) + 1
        return user[beam], slot[beam], child, state.score[user, slot][beam] + step

    def _feed(self, state: _Beams, feeder: Feeder, user: npt.NDArray, slot: npt.NDArray, length: int) -> Tensor:
        """[beams] hidden states that predict the next token of the given beams; feeds their pending tokens."""
        if length == 0:
            return feeder.first
        count = state.pending[user, slot]
        beam = np.repeat(np.arange(len(user)), count)
        place = np.arange(len(beam)) - np.repeat(np.cumsum(count) - count, count)  # within the beam's pending tokens
        tokens = self._pending_tokens(state.node[user, slot], count)
        hidden, column = feeder.feed(
            user[beam], tokens, length - count[beam] + place, state.seen[user, slot][beam], place
        )
        state.seen = np.concatenate(
            [state.seen, np.zeros((*state.seen.shape[:2], feeder.fed - state.seen.shape[2]), bool)], axis=2
        )
        state.seen[user[beam], slot[beam], column] = True
        state.pending[user, slot] = 0
        last = np.cumsum(count) - 1
        return hidden[torch.from_numpy(last).to(hidden.device)]

    def _pending_tokens(self, node: npt.NDArray[np.int64], count: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
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
        new = _Beams(
            np.full_like(state.node, PAD),
            np.full_like(state.score, -np.inf),
            np.zeros_like(state.pending),
            np.zeros_like(state.seen),
        )
        u, old = user[live], slot[live]
        new.node[u, live_rank], new.score[u, live_rank] = child[live], score[live]
        new.pending[u, live_rank] = state.pending[u, old] + 1
        new.seen[u, live_rank] = state.seen[u, old]
        return new


def check_window(model: TextModel, prompts: Sequence[Sequence[int]]) -> None:
    """Layers with a sliding window are exact as long as everything fits into it.

    Raises:
        RecbenchError: it does not.
    """
    config = model.causal.config
    window = getattr(config, "sliding_window", None)
    needed = max(map(len, prompts)) + max(map(len, model.encoder.answers))
    if window and getattr(config, "use_sliding_window", True) and needed > window:
        raise RecbenchError(
            f"Prompt and title need {needed} tokens, more than the model's sliding window of {window}: "
            "lower llm.max_tokens."
        )


def log_probabilities(
    model: TextModel, hidden: Tensor, nodes: npt.NDArray[np.int64], over_vocabulary: bool
) -> npt.NDArray[np.float64]:
    """[edges] log-probability of every valid token of ``nodes``, whose predicting states are ``hidden``."""
    indptr, tokens = model.encoder.trie.allowed(nodes)
    device = hidden.device
    position = torch.from_numpy(np.repeat(np.arange(len(nodes)), np.diff(indptr))).to(device)
    allowed = torch.from_numpy(tokens.astype(np.int64)).to(device)
    head = model.head
    if over_vocabulary:
        logits = head(hidden).float()
        values = logits[position, allowed] - logits.logsumexp(1)[position]
    else:
        union, column = allowed.unique(return_inverse=True)
        bias = None if head.bias is None else head.bias[union].float()
        # in fp32 whatever the model's precision: bf16 would make ties of close scores
        dense = torch.nn.functional.linear(hidden.float(), head.weight[union].float(), bias)
        values = dense[position, column]
        values = values - segment_logsumexp(values, position, len(nodes))[position]
    return values.double().cpu().numpy()


class Feeder:
    """The model's side: prompts read once, then tokens appended under a mask of each one's ancestors."""

    def __init__(self, model: TextModel, prompts: Sequence[Sequence[int]]) -> None:
        from transformers import DynamicCache

        self.decoder = model.decoder
        self.device = model.head.weight.device
        lengths = torch.tensor([len(p) for p in prompts])
        width = int(lengths.max())
        ids = torch.tensor([[*p, *[0] * (width - len(p))] for p in prompts])
        real = torch.arange(width) < lengths[:, None]
        # a cache made from the configuration drops what a sliding window no longer sees, and beams would count into it
        self.lengths, self.cache = lengths.numpy(), DynamicCache()
        out = self.decoder(
            input_ids=ids.to(self.device),
            attention_mask=real.long().to(self.device),
            position_ids=torch.arange(width).expand(len(prompts), -1).to(self.device),
            past_key_values=self.cache,
            use_cache=True,
        ).last_hidden_state
        self.first = out[torch.arange(len(prompts)), lengths - 1]
        self.prompt = real.numpy()
        self.fed = self.age = 0

    def forget(self) -> None:
        """Go back to the prompts: whatever was fed after them is gone."""
        self.cache.crop(-self.fed)
        self.fed, self.age = 0, self.age + 1

    def keep(self, users: npt.NDArray[np.int64]) -> None:
        """Go on with these users only, in the given order."""
        self.prompt, self.lengths = self.prompt[users], self.lengths[users]
        self.cache.batch_select_indices(torch.from_numpy(users).to(self.device))

    def feed(
        self,
        user: npt.NDArray,
        token: npt.NDArray,
        offset: npt.NDArray,
        seen: npt.NDArray[np.bool_],
        place: npt.NDArray,
    ) -> tuple[Tensor, npt.NDArray]:
        """Append tokens; consecutive ones with rising ``place`` follow each other.

        Args:
            user: [T] whose token, ascending.
            token, offset: [T] id, and position after the prompt's end.
            seen: [T, S] which fed tokens each attends to, besides its run.
            place: [T] position within its run.

        Returns:
            ``(hidden [T, width], column [T])``: the column is the token's index among the user's fed tokens.
        """
        users, width = self.prompt.shape
        column = np.arange(len(user)) - np.searchsorted(user, user)
        new = int(column.max()) + 1
        ids = np.zeros((users, new), np.int64)
        position = np.zeros((users, new), np.int64)
        ids[user, column] = token
        position[user, column] = self.lengths[user] + offset
        mask = np.zeros((users, new, width + self.fed + new), bool)
        mask[:, :, :width] = self.prompt[:, None]
        mask[user, column, width : width + self.fed] = seen[:, : self.fed]
        run = np.arange(new)
        mask[user, column, width + self.fed :] = (run <= column[:, None]) & (run >= (column - place)[:, None])
        dtype = next(self.decoder.parameters()).dtype
        bias = torch.zeros(mask.shape, dtype=dtype).masked_fill_(~torch.from_numpy(mask), torch.finfo(dtype).min)
        hidden = self.decoder(
            input_ids=torch.from_numpy(ids).to(self.device),
            attention_mask=bias[:, None].to(self.device),
            position_ids=torch.from_numpy(position).to(self.device),
            past_key_values=self.cache,
            use_cache=True,
        ).last_hidden_state
        first = self.fed
        self.fed += new
        return hidden[torch.from_numpy(user), torch.from_numpy(column)], column + first
