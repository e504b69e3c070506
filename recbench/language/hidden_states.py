"""Hidden states of rows of tokens, in whatever way the architecture of a language model allows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from recbench.language import packed

SHORTEST = 16  # tokens of a shared beginning that are worth a row of their own


class HiddenStates:
    """Reads rows packed where the architecture takes our attention, else padded.

    Attributes:
        packs: whether it does. Found out by trying: rows and trees read packed must give what each path gives alone.
        shortens: whether its last layer can do with some of the tokens; found out likewise.
        architecture: the model's class, for messages.
        window: tokens that a layer with a sliding window sees; what is longer is read padded. None without one.
    """

    def __init__(self, causal: Any) -> None:
        self.decoder = causal.get_decoder()
        self.architecture = type(causal).__name__
        config = causal.config.get_text_config()
        self.window = getattr(config, "sliding_window", None) if getattr(config, "use_sliding_window", True) else None
        own = causal.config._attn_implementation
        self.packs = self.shortens = packed.install(causal)
        if self.packs and not _agrees(self, causal, own):
            self.shortens = False
            self.packs = _agrees(self, causal, own)
        if not self.packs:
            causal.config._attn_implementation = own

    def packs_up_to(self, length: int) -> bool:
        """Whether rows of ``length`` tokens are read packed."""
        return self.packs and (not self.window or length <= self.window)

    def rows(self, ids: Tensor, lengths: Tensor, shared: int, wanted: Tensor) -> Tensor:
        """[S, width] hidden states of packed rows.

        Args:
            ids: [shared + sum of lengths] tokens: what all rows begin with, then what each goes on with.
            lengths: [B] tokens of each row behind the shared ones; at least 1.
            shared: how many tokens all rows begin with; 0 for none.
            wanted: [S] indices into ``ids``, ascending.
        """
        if not self.packs_up_to(shared + int(lengths.max())):
            return self._padded(ids, lengths, shared, wanted)
        device, width = ids.device, int(lengths.max())
        rows = len(lengths) + (shared > 0)
        own = torch.repeat_interleave(torch.arange(len(lengths), device=device), lengths) + (shared > 0)
        row = torch.cat([torch.zeros(shared, dtype=torch.long, device=device), own])
        starts = shared + lengths.cumsum(0) - lengths
        place = torch.arange(len(own), device=device) + shared - starts.repeat_interleave(lengths)
        position = torch.cat([torch.arange(shared, device=device), shared + place])
        # keys of a row: the shared tokens, then its own; the shared ones are a row of their own, the first
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

        plan = packed.AttentionPlan(
            places(torch.arange(len(ids), device=device)), keys, wanted=wanted, chosen=places(wanted)
        )
        return packed.read(self.decoder, ids, position, plan, self.shortens)

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


def _agrees(states: HiddenStates, causal: Any, own: str) -> bool:
    """Whether two rows that share a beginning get the hidden states that they get alone: packed, as a tree, and padded.

    The difference must be small against what the beginning does to the last token.
    """
    from recbench.language.prefix_decoder import PrefixDecoder

    decoder, device = states.decoder, next(causal.parameters()).device
    vocabulary = causal.get_input_embeddings().num_embeddings
    begin = [(7 * n + 3) % vocabulary for n in range(5)]
    rows = [[*begin, 11 % vocabulary, 5 % vocabulary], [*begin, 13 % vocabulary, 2 % vocabulary, 5 % vocabulary]]
    other = [(5 * n + 8) % vocabulary for n in range(7)] + [5 % vocabulary]
    modes = {module: module.training for module in decoder.modules()}
    decoder.eval()

    def alone(row: list[int]) -> Tensor:
        return decoder(input_ids=torch.tensor([row], device=device), use_cache=False).last_hidden_state[0, -1].float()

    try:
        with torch.no_grad():
            ids = torch.tensor([*begin, *rows[0][5:], *rows[1][5:]], device=device)
            found = [states.rows(ids, torch.tensor([2, 3], device=device), 5, torch.tensor([6, 9], device=device))]
            tree = PrefixDecoder(states)([row[:-1] for row in rows], 1)
            one, none = np.ones(2, np.int64), np.zeros((2, 0), bool)
            both = np.arange(2)
            found.append(tree.feed(both, one * rows[0][-1], 0 * one, none, 0 * one, both)[0])
            found.append(torch.stack([alone(row) for row in rows]))
            causal.config._attn_implementation = own
            expected = torch.stack([alone(row) for row in rows])
            effect = (expected[1] - alone(other)).norm()
        return all(bool((expected - states.float()).norm() < 0.1 * effect) for states in found)
    except Exception:  # whatever an architecture makes of arguments that it does not know: it does not pack
        return False
    finally:
        causal.config._attn_implementation = packed.NAME
        for module, mode in modes.items():
            module.training = mode
