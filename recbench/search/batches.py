"""What the searching decoders share: users in batches, and how many of them at a time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np
import torch

from recbench.interfaces import Reporter
from recbench.types import PAD, Histories, Ranking

if TYPE_CHECKING:
    from recbench.language.textmodel import TextModel

Search = Callable[[Sequence[Sequence[int]], Sequence[set[int]]], list[list[tuple[float, int]]]]
"""Prompts and forbidden items to each user's items: (score, item), best first."""
MOST = 256  # users at a time on CUDA: the bench ranks no more of them in one chunk


def rank(
    model: TextModel,
    cases: Histories,
    depth: int,
    exclude_history: bool,
    reporter: Reporter,
    search: Search,
    batch: int | Literal["auto"],
    on_cpu: int,
    fed: int,
    begin: Callable[[Histories], None] | None = None,
) -> Ranking:
    """Rank ``cases`` by ``search``, users of like prompt length together; the order is a function of the cases alone.

    Args:
        model, cases, depth, exclude_history, reporter: see :meth:`recbench.interfaces.Decoder.rank`.
        search: of a batch.
        batch: users at a time; ``auto`` is ``on_cpu`` on the CPU, where results have to repeat bit for bit, and what
            the free memory holds on CUDA (where the model is read packed).
        on_cpu: see there.
        fed: tokens that the search keeps behind a user's prompt at most.
        begin: is told the cases of each batch before they are searched.
    """
    prompts = model.encoder.prompts(cases)
    order = np.argsort([len(p) for p in prompts], kind="stable")
    items = np.full((len(cases), depth), PAD, np.int32)
    scores = np.full((len(cases), depth), -np.inf, np.float32)
    longest = max(map(len, prompts), default=0) + max(map(len, model.encoder.answers))
    packs = model.hidden_states.packs_up_to(longest)
    if model.hidden_states.packs and not packs:
        reporter.message(
            f"prompt and title need up to {longest} tokens, more than the model's sliding window of "
            f"{model.hidden_states.window}: every prefix is read again, which is slow (llm.max_tokens shortens prompts)"
        )
    if batch == "auto":
        on_cuda = packs and model.head.weight.device.type == "cuda"
        batch = _fitting(model, longest + fed) if on_cuda else on_cpu
        if on_cuda:  # the free memory is not part of the spec
            reporter.message(f"ranking {batch} users at a time")
    for start in range(0, len(order), batch):
        rows = order[start : start + batch]
        if begin is not None:
            begin(cases.take(rows))
        forbidden = [set(cases.history[r].tolist()) if exclude_history else set() for r in rows]
        for row, found in zip(rows, search([prompts[r] for r in rows], forbidden), strict=True):
            kept = found[:depth]
            items[row, : len(kept)] = [item for _, item in kept]
            scores[row, : len(kept)] = [score for score, _ in kept]
        reporter.advance(min(start + batch, len(order)), len(order))
    return Ranking(items, scores)


def _fitting(model: TextModel, tokens: int) -> int:
    """Users whose keys and values fill half of the memory that is free, or held by torch and not in use."""
    device = model.head.weight.device
    free = torch.cuda.mem_get_info(device)[0] + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return min(max(free // 2 // (tokens * bytes_per_token(model)), 1), MOST)


def bytes_per_token(model: TextModel) -> int:
    """Keys and values of a token in all layers."""
    config = model.causal.config.get_text_config()
    heads = getattr(config, "num_key_value_heads", None) or config.num_attention_heads
    width = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    return int(2 * config.num_hidden_layers * heads * width * model.head.weight.element_size())
