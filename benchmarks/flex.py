"""Attention of packed rows by torch's FlexAttention, next to recbench's own grid of places on SDPA."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

Attention = Callable[[Tensor, Tensor, Tensor, float], Tensor]


def flex(row: Tensor, position: Tensor, shared: int, compiled: bool) -> Attention:
    """The attention of T packed tokens, as :class:`recbench.language.packed.Places` computes it.

    Args:
        row: [T] row of each token; the tokens that all rows begin with come first, as row 0.
        position: [T] place of each token in its row.
        shared: how many tokens all rows begin with.
        compiled: by torch.compile, without which nothing is fused.

    Returns:
        A function of query [T, heads, d], key and value [T, key heads, d] and the scale, to [T, heads, d].
    """
    from torch.nn.attention.flex_attention import create_block_mask, flex_attention

    def seen(batch: Tensor, head: Tensor, q: Tensor, k: Tensor) -> Tensor:
        return ((row[q] == row[k]) | (k < shared)) & (position[k] <= position[q])

    attend = torch.compile(flex_attention) if compiled else flex_attention
    blocks = create_block_mask(seen, None, None, len(row), len(row), device=str(row.device))

    def found(query: Tensor, key: Tensor, value: Tensor, scale: float) -> Tensor:
        q, k, v = (x.transpose(0, 1)[None] for x in (query, key, value))
        out: Tensor = attend(q, k, v, block_mask=blocks, scale=scale, enable_gqa=q.shape[1] != k.shape[1])
        return out[0].transpose(0, 1)

    return found


def rows_of(lengths: Tensor, shared: int) -> tuple[Tensor, Tensor]:
    """[T] row and position of packed tokens: ``shared`` ones, then each row's own."""
    own = torch.repeat_interleave(torch.arange(len(lengths), device=lengths.device), lengths) + (shared > 0)
    starts = lengths.cumsum(0) - lengths
    place = torch.arange(len(own), device=lengths.device) - starts.repeat_interleave(lengths) + shared
    begin = torch.arange(shared, device=lengths.device)
    return torch.cat([torch.zeros_like(begin), own]), torch.cat([begin, place])
