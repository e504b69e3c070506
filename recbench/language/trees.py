"""What a search asks of a language model: prompts read once, then tokens appended, each seeing its own ancestors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from recbench.language import packed
from recbench.language.reader import SHORTEST, Reader, common_start, pack
from recbench.types import Longs

Bools = npt.NDArray[np.bool_]
AT_ONCE = 1 << 16  # tokens of whole paths that are read in one pass


class Trees:
    """Starts a token tree behind each prompt of a batch; the beginning that all prompts share is read once.

    Args:
        reader: of the language model, which must not change while this is in use.
    """

    def __init__(self, reader: Reader) -> None:
        self.reader = reader
        self._shared: list[int] = []
        self._memory = packed.Memory(1)

    def __call__(self, prompts: Sequence[Sequence[int]], longest: int) -> Tree | Paths:
        """The trees behind ``prompts``, which go on for at most ``longest`` tokens."""
        if not self.reader.packs_up_to(max(map(len, prompts)) + longest):
            return Paths(self.reader, prompts)
        rows = [list(p) for p in prompts]
        shared = rows[0][: min(common_start([*rows, self._shared] if self._shared else rows), min(map(len, rows)) - 1)]
        if len(shared) < SHORTEST:
            return Tree(self.reader, rows, packed.Memory(len(rows)), 0)
        if not self._shared:
            _read(self.reader, [shared], self._memory, 0)
        self._shared = shared
        memory = packed.Memory(len(rows))
        memory.begin(self._memory, len(shared))
        return Tree(self.reader, rows, memory, len(shared))


class Tree:
    """R prompts in memory, and what is appended to them.

    Attributes:
        first: [R, width] hidden states that predict the first token after each prompt.
        fed: [R] how many tokens were appended to each.
        age: how often they were forgotten.
    """

    def __init__(self, reader: Reader, prompts: list[list[int]], memory: packed.Memory, shared: int) -> None:
        self.reader, self.memory = reader, memory
        self.lengths = np.array([len(p) for p in prompts])
        self.first = _read(reader, prompts, memory, shared)
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
        self.memory.keep(index)

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
        self.memory.used = max(self.memory.used, int((self.lengths + self.fed).max()))
        mask = np.zeros((len(self.lengths), int(query.max()) + 1, self.memory.used), bool)
        mask[row, query] = np.arange(self.memory.used) < begin[:, None]
        at, key = np.nonzero(seen)
        mask[row[at], query[at], begin[at] + key] = True
        for back in range(int(place.max()) + 1):
            at = np.flatnonzero(place >= back)
            mask[row[at], query[at], begin[at] + column[at] - back] = True
        hidden = _forward(self.reader, token, begin + offset, row, begin + column, mask, self.memory, wanted)
        return hidden, column


class Paths:
    """As :class:`Tree`, for architectures that do not take our attention: every path is read anew."""

    def __init__(self, reader: Reader, prompts: Sequence[Sequence[int]]) -> None:
        self.reader = reader
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
        device = next(self.reader.decoder.parameters()).device
        batch = max(AT_ONCE // max(map(len, rows)), 1)
        found = []
        for start in range(0, len(rows), batch):
            ids, lengths, shared = pack(rows[start : start + batch])
            own = torch.tensor(lengths, device=device)
            last = shared + own.cumsum(0) - 1
            found.append(self.reader.rows(torch.tensor(ids, device=device), own, shared, last))
        return torch.cat(found)


def _read(reader: Reader, rows: list[list[int]], memory: packed.Memory, shared: int) -> Tensor:
    """[R, width] last hidden states of rows whose first ``shared`` tokens are in memory already."""
    lengths = np.array([len(r) - shared for r in rows])
    row = np.repeat(np.arange(len(rows)), lengths)
    place = np.arange(len(row)) - np.repeat(np.cumsum(lengths) - lengths, lengths) + shared
    memory.used = shared + int(lengths.max())
    seen = np.arange(memory.used) <= np.arange(shared, memory.used)[:, None]
    mask = np.repeat(seen[None], len(rows), axis=0)
    tokens = np.array([t for r in rows for t in r[shared:]], np.int64)
    return _forward(reader, tokens, place, row, place, mask, memory, np.cumsum(lengths) - 1)


def _forward(
    reader: Reader,
    token: Longs,
    position: Longs,
    row: Longs,
    column: Longs,
    mask: Bools,
    memory: packed.Memory,
    wanted: Longs,
) -> Tensor:
    """[W, width]; ``mask`` [R, Q, K] says what the tokens of a row, in their order, see."""
    device = next(reader.decoder.parameters()).device

    def on_device(values: npt.NDArray[Any]) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(values)).to(device)

    rows = on_device(row)
    layout = packed.Layout(packed.Places.of(rows, on_device(mask)), memory=memory, row=rows, column=on_device(column))
    if len(wanted) < len(token):
        query = (np.arange(len(row)) - np.searchsorted(row, row))[wanted]
        place = np.arange(len(wanted)) - np.searchsorted(row[wanted], row[wanted])
        fewer = np.zeros((len(mask), int(place.max()) + 1, mask.shape[2]), bool)
        fewer[row[wanted], place] = mask[row[wanted], query]
        layout.wanted = on_device(wanted)
        layout.chosen = packed.Places.of(on_device(row[wanted]), on_device(fewer))
    return packed.read(reader.decoder, on_device(token), on_device(position), layout, reader.shortens)
