"""What a search asks of a language model: prompts read once, then tokens appended, each seeing its own ancestors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from recbench.language import packed
from recbench.language.hidden_states import SHORTEST, HiddenStates, common_start, pack
from recbench.types import Longs

Bools = npt.NDArray[np.bool_]
AT_ONCE = 1 << 16  # tokens of whole paths that are read in one pass


class PrefixDecoder:
    """Starts a token tree behind each prompt of a batch; the beginning that all prompts share is read once.

    Args:
        states: of the language model, which must not change while this is in use.
    """

    def __init__(self, states: HiddenStates) -> None:
        self.states = states
        self._shared: list[int] = []
        self._cache = packed.KVCache(1)

    def __call__(self, prompts: Sequence[Sequence[int]], longest: int) -> Tree | Paths:
        """The trees after ``prompts``, which continue for at most ``longest`` tokens."""
        if not self.states.packs_up_to(max(map(len, prompts)) + longest):
            return Paths(self.states, prompts)
        rows = [list(p) for p in prompts]
        shared = rows[0][: min(common_start([*rows, self._shared] if self._shared else rows), min(map(len, rows)) - 1)]
        if len(shared) < SHORTEST:
            return Tree(self.states, rows, packed.KVCache(len(rows)), 0)
        if not self._shared:
            _read(self.states, [shared], self._cache, 0)
        self._shared = shared
        cache = packed.KVCache(len(rows))
        cache.begin(self._cache, len(shared))
        return Tree(self.states, rows, cache, len(shared))


class Tree:
    """R prompts in memory, and what is appended to them.

    Attributes:
        first: [R, width] hidden states that predict the first token after each prompt.
        fed: [R] how many tokens were appended to each.
        age: how often they were forgotten.
    """

    def __init__(self, states: HiddenStates, prompts: list[list[int]], cache: packed.KVCache, shared: int) -> None:
        self.states, self.cache = states, cache
        self.lengths = np.array([len(p) for p in prompts])
        self.first = _read(states, prompts, cache, shared)
        self.fed = np.zeros(len(prompts), np.int64)
        self.age = 0

    def forget(self) -> None:
        """Go back to the prompts: whatever was appended is gone."""
        self.fed[:] = 0
        self.age += 1

    def keep(self, rows: Longs) -> None:
        """Go on with these rows only, in the given order."""
        self.lengths, self.fed = self.lengths[rows], self.fed[rows]
        index = torch.from_numpy(rows).to(self.first.device)
        self.first = self.first[index]
        self.cache.keep(index)

    def feed(
        self, row: Longs, token: Longs, offset: Longs, seen: Bools, place: Longs, wanted: Longs
    ) -> tuple[Tensor, Longs]:
        """Append tokens; consecutive ones with rising ``place`` follow each other.

        Args:
            row: [T] whose token, ascending.
            token, offset: [T] id, and position after the prompt's end.
            seen: [T, S] which appended tokens of its row each attends to, besides its run.
            place: [T] position within its run.
            wanted: [W] tokens whose hidden states are returned, ascending.

        Returns:
            ``(hidden [W, width], column [T])``: the column is the token's number among those appended to its row.
        """
        query = np.arange(len(row)) - np.searchsorted(row, row)
        column = self.fed[row] + query
        begin = self.lengths[row]
        self.fed += np.bincount(row, minlength=len(self.fed))
        self.cache.used = max(self.cache.used, int((self.lengths + self.fed).max()))
        mask = np.zeros((len(self.lengths), int(query.max()) + 1, self.cache.used), bool)
        mask[row, query] = np.arange(self.cache.used) < begin[:, None]
        at, key = np.nonzero(seen)
        mask[row[at], query[at], begin[at] + key] = True
        for back in range(int(place.max()) + 1):
            at = np.flatnonzero(place >= back)
            mask[row[at], query[at], begin[at] + column[at] - back] = True
        hidden = _forward(self.states, token, begin + offset, row, begin + column, mask, self.cache, wanted)
        return hidden, column


class Paths:
    """Like :class:`Tree`, for architectures that do not support our attention: every path is read again."""

    def __init__(self, states: HiddenStates, prompts: Sequence[Sequence[int]]) -> None:
        self.states = states
        self.prompts = [list(p) for p in prompts]
        self.tokens: list[list[int]] = [[] for _ in prompts]
        self.fed = np.zeros(len(prompts), np.int64)
        self.first = self._last(self.prompts)
        self.age = 0

    def forget(self) -> None:
        """See :meth:`Tree.forget`."""
        self.tokens = [[] for _ in self.prompts]
        self.fed[:] = 0
        self.age += 1

    def keep(self, rows: Longs) -> None:
        """See :meth:`Tree.keep`."""
        self.prompts, self.tokens = [self.prompts[r] for r in rows], [self.tokens[r] for r in rows]
        self.fed, self.first = self.fed[rows], self.first[torch.from_numpy(rows).to(self.first.device)]

    def feed(
        self, row: Longs, token: Longs, offset: Longs, seen: Bools, place: Longs, wanted: Longs
    ) -> tuple[Tensor, Longs]:
        """See :meth:`Tree.feed`."""
        column = self.fed[row] + np.arange(len(row)) - np.searchsorted(row, row)
        self.fed += np.bincount(row, minlength=len(self.fed))
        for r, t in zip(row.tolist(), token.tolist(), strict=True):
            self.tokens[r].append(t)
        paths = []
        for t in wanted.tolist():
            r, run = int(row[t]), token[t - int(place[t]) : t + 1].tolist()
            paths.append([*self.prompts[r], *(self.tokens[r][c] for c in np.flatnonzero(seen[t])), *run])
        return self._last(paths), column

    def _last(self, rows: list[list[int]]) -> Tensor:
        device = next(self.states.decoder.parameters()).device
        batch = max(AT_ONCE // max(map(len, rows)), 1)
        found = []
        for start in range(0, len(rows), batch):
            ids, lengths, shared = pack(rows[start : start + batch])
            own = torch.tensor(lengths, device=device)
            last = shared + own.cumsum(0) - 1
            found.append(self.states.rows(torch.tensor(ids, device=device), own, shared, last))
        return torch.cat(found)


def _read(states: HiddenStates, rows: list[list[int]], cache: packed.KVCache, shared: int) -> Tensor:
    """[R, width] last hidden states of rows whose first ``shared`` tokens are in memory already."""
    lengths = np.array([len(r) - shared for r in rows])
    row = np.repeat(np.arange(len(rows)), lengths)
    place = np.arange(len(row)) - np.repeat(np.cumsum(lengths) - lengths, lengths) + shared
    cache.used = shared + int(lengths.max())
    seen = np.arange(cache.used) <= np.arange(shared, cache.used)[:, None]
    mask = np.repeat(seen[None], len(rows), axis=0)
    tokens = np.array([t for r in rows for t in r[shared:]], np.int64)
    return _forward(states, tokens, place, row, place, mask, cache, np.cumsum(lengths) - 1)


def _forward(
    states: HiddenStates,
    token: Longs,
    position: Longs,
    row: Longs,
    column: Longs,
    mask: Bools,
    cache: packed.KVCache,
    wanted: Longs,
) -> Tensor:
    """[W, width]; ``mask`` [R, Q, K] says what the tokens of a row, in their order, see."""
    device = next(states.decoder.parameters()).device

    def on_device(values: npt.NDArray[Any]) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(values)).to(device)

    rows = on_device(row)
    plan = packed.AttentionPlan(
        packed.Places.of(rows, on_device(mask)), cache=cache, row=rows, column=on_device(column)
    )
    if len(wanted) < len(token):
        query = (np.arange(len(row)) - np.searchsorted(row, row))[wanted]
        place = np.arange(len(wanted)) - np.searchsorted(row[wanted], row[wanted])
        fewer = np.zeros((len(mask), int(place.max()) + 1, mask.shape[2]), bool)
        fewer[row[wanted], place] = mask[row[wanted], query]
        plan.wanted = on_device(wanted)
        plan.chosen = packed.Places.of(on_device(row[wanted]), on_device(fewer))
    return packed.read(states.decoder, on_device(token), on_device(position), plan, states.shortens)
