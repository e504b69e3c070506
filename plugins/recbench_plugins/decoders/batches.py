"""What the searching decoders share: users in batches, and how many of them at a time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np
import torch

from recbench.interfaces import Reporter
from recbench.types import PAD, Ranking, Sequences

if TYPE_CHECKING:
    from recbench.language.textmodel import TextModel

Search = Callable[[Sequence[Sequence[int]], Sequence[set[int]]], list[list[tuple[float, int]]]]
"""Prompts and forbidden items to each user's items: (score, item), best first."""
MOST = 1024  # users at a time on CUDA: beyond that only memory grows


def rank(
    model: TextModel,
    cases: Sequences,
    depth: int,
    exclude_history: bool,
    reporter: Reporter,
    search: Search,
    batch: int | Literal["auto"],
    on_cpu: int,
    widest: int,
) -> Ranking:
    """Rank ``cases`` by ``search``, users of like prompt length together; the order is a function of the cases alone.

    Args:
        model, cases, depth, exclude_history, reporter: see :meth:`recbench.interfaces.Decoder.rank`.
        search: of a batch.
        batch: users at a time; ``auto`` is ``on_cpu`` on the CPU, where results have to repeat bit for bit, and what
            the free memory holds on CUDA.
        on_cpu: see there.
        widest: prefixes of a user that are read in one pass at most.
    """
    prompts = model.encoder.prompts(cases)
    order = np.argsort([len(p) for p in prompts], kind="stable")
    items = np.full((len(cases), depth), PAD, np.int32)
    scores = np.full((len(cases), depth), -np.inf, np.float32)
    if batch == "auto":
        batch = on_cpu if model.head.weight.device.type == "cpu" else _fitting(model, len(prompts[order[-1]]), widest)
    for start in range(0, len(order), batch):
        rows = order[start : start + batch]
        forbidden = [set(cases.history[r].tolist()) if exclude_history else set() for r in rows]
        for row, found in zip(rows, search([prompts[r] for r in rows], forbidden), strict=True):
            kept = found[:depth]
            items[row, : len(kept)] = [item for _, item in kept]
            scores[row, : len(kept)] = [score for score, _ in kept]
        reporter.step(min(start + batch, len(order)), len(order))
    return Ranking(items, scores)


def _fitting(model: TextModel, prompt: int, widest: int) -> int:
    """Users whose keys, values and logits fill half of the free memory."""
    weight = model.head.weight
    free, _ = torch.cuda.mem_get_info(weight.device)
    return min(max(free // 2 // bytes_per_user(model, prompt, widest), 1), MOST)


def bytes_per_user(model: TextModel, prompt: int, widest: int) -> int:
    """Keys and values of a prompt and of the prefixes behind it, and twice the logits of one pass in fp32."""
    config, weight = model.causal.config, model.head.weight
    heads = getattr(config, "num_key_value_heads", None) or config.num_attention_heads
    width = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    tokens = prompt + widest * max(map(len, model.encoder.answers))
    kept = 2 * config.num_hidden_layers * heads * width * weight.element_size() * tokens
    return int(kept + 2 * 4 * widest * weight.shape[0])
