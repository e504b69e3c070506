"""Hidden states of rows of tokens, in whatever way the architecture of a language model allows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from recbench.language import packed

SHORTEST = 16  # tokens of a shared beginning that are worth a separate row


class HiddenStates:
    """Reads rows packed where the architecture takes our attention, else padded.

    Make one by :func:`recbench.language.trial.tried`, which finds out what the architecture can do.

    Attributes:
        packs: whether it takes our attention.
        shortens: whether its last layer can do with some of the tokens.
        architecture: the model's class, for messages.
        window: tokens that a layer with a sliding window sees; what is longer is read padded. None without one.
    """

    def __init__(self, causal: Any) -> None:
        self.decoder = causal.get_decoder()
        self.architecture = type(causal).__name__
        config = causal.config.get_text_config()
        self.window = getattr(config, "sliding_window", None) if getattr(config, "use_sliding_window", True) else None
        self.packs = self.shortens = packed.install(causal)

    def packs_up_to(self, length: int) -> bool:
        """Whether rows of ``length`` tokens are read packed."""
        return self.packs and (not self.window or length <= self.window)

    def rows(self, ids: Tensor, lengths: Tensor, shared: int, wanted: Tensor, below: Tensor | None = None) -> Tensor:
        """[S, width] hidden states of packed rows.

        Args:
            ids: [shared + sum of lengths] tokens: what all rows begin with, then what each continues with.
            lengths: [B] tokens of each row behind the shared ones; at least 1.
            shared: how many tokens all rows begin with; 0 for none.
            wanted: [S] indices into ``ids``, ascending.
            below: what :meth:`rows_below` gave for these rows, so that the layers below are not computed again.
        """
        if not self.packs_up_to(shared + int(lengths.max())):
            assert below is None, "only packed rows can continue from a layer"
            return self._padded(ids, lengths, shared, wanted)
        position, plan = self._plan(ids, lengths, shared, wanted)
        plan.below = below
        return packed.read(self.decoder, ids, position, plan, self.shortens)

    def rows_below(self, ids: Tensor, lengths: Tensor, shared: int) -> Tensor:
        """[T, width] hidden states of all tokens as they enter the layer of a split; see :meth:`rows`.

        Rows must be short enough to be packed.
        """
        position, plan = self._plan(ids, lengths, shared, None)
        plan.stops = True
        return packed.read(self.decoder, ids, position, plan)

    def _plan(
        self, ids: Tensor, lengths: Tensor, shared: int, wanted: Tensor | None
    ) -> tuple[Tensor, packed.AttentionPlan]:
        """[T] positions of packed tokens, and how they attend."""
        device, width = ids.device, int(lengths.max())
        rows = len(lengths) + (shared > 0)
        own = torch.repeat_interleave(torch.arange(len(lengths), device=device), lengths) + (shared > 0)
        row = torch.cat([torch.zeros(shared, dtype=torch.long, device=device), own])
        starts = shared + lengths.cumsum(0) - lengths
        place = torch.arange(len(own), device=device) + shared - starts.repeat_interleave(lengths)
        position = torch.cat([torch.arange(shared, device=device), shared + place])
        # keys of a row: the shared tokens, then its own; the shared ones are a separate row, the first
        keys = torch.zeros(rows, shared + width, dtype=torch.long, device=device)
        keys[:, :shared] = torch.arange(shared, device=device)
        keys[own, shared + place] = torch.arange(len(own), device=device) + shared

        def places(tokens: Tensor) -> packed.Places:
            at, where = row[tokens], position[tokens]
            start = torch.searchsorted(at, torch.arange(rows + 1, device=device))
            most = int(start.diff().max())
            last = torch.full((rows, most), -1, device=device)
            last[at, torch.arange(len(tokens), device=device) - start[at]] = where
            seen = torch.arange(shared + width, device=device) <= last[..., None]
            return packed.Places.of(at, seen)

        chosen = None if wanted is None else places(wanted)
        return position, packed.AttentionPlan(
            places(torch.arange(len(ids), device=device)), keys, wanted=wanted, chosen=chosen
        )

    def _padded(self, ids: Tensor, lengths: Tensor, shared: int, wanted: Tensor) -> Tensor:
        """The same by transformers' own means, every row with all its tokens."""
        device, width = ids.device, shared + int(lengths.max())
        starts = shared + lengths.cumsum(0) - lengths
        grid = torch.zeros(len(lengths), width, dtype=torch.long, device=device)
        grid[:, :shared] = ids[:shared]
        real = torch.arange(width, device=device) < shared + lengths[:, None]
        grid[:, shared:][real[:, shared:]] = ids[shared:]
        hidden = self.decoder(input_ids=grid, attention_mask=real.long(), use_cache=False).last_hidden_state
        row = (torch.searchsorted(starts, wanted, right=True) - 1).clamp_min(0)
        column = torch.where(wanted < shared, wanted, wanted - starts[row] + shared)
        return hidden[row, column]


def pack(rows: Sequence[list[int]], most: Sequence[int] | None = None) -> tuple[list[int], list[int], int]:
    """Rows as :meth:`HiddenStates.rows` takes them: ``(ids, lengths, shared)``.

    Args:
        rows: tokens, at least one each.
        most: how many tokens of each row may be shared at most; by default all but the last.
    """
    common = common_start(rows) if len(rows) > 1 else 0
    shared = min(common, min(most if most is not None else (len(row) - 1 for row in rows)))
    shared = shared if shared >= SHORTEST else 0
    ids = [*rows[0][:shared], *(token for row in rows for token in row[shared:])]
    return ids, [len(row) - shared for row in rows], shared


def common_start(rows: Sequence[list[int]]) -> int:
    """How many tokens all rows begin with: as many as the first and the last in dictionary order."""
    low, high = min(rows), max(rows)
    return next((n for n, (a, b) in enumerate(zip(low, high, strict=False)) if a != b), min(len(low), len(high)))
