"""How the MSL paper's code and its neighbours do the same work: dictionaries as tries, dense masks, full logits."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor


def dict_trie(titles: Sequence[Sequence[int]]) -> dict[int, Any]:
    """Nested dictionaries of tokens."""
    root: dict[int, Any] = {}
    for title in titles:
        node = root
        for token in title:
            node = node.setdefault(token, {})
    return root


def following(root: dict[int, Any], end: int) -> Callable[[list[int]], list[int]]:
    """The valid tokens after a beginning, for ``prefix_allowed_tokens_fn``."""

    def allowed(tokens: list[int]) -> list[int]:
        node = root
        for token in tokens:
            node = node.get(token, {})
        return list(node) or [end]

    return allowed


def dense_mask(root: dict[int, Any], title: Sequence[int], vocabulary: int) -> Tensor:
    """[tokens, vocabulary] which tokens are valid before each of a title's tokens."""
    mask = torch.zeros(len(title), vocabulary, dtype=torch.bool)
    node = root
    for place, token in enumerate(title):
        mask[place, list(node)] = True
        node = node[token]
    return mask


def padded(windows: Sequence[tuple[Sequence[int], Sequence[int]]], pad: int) -> dict[str, Tensor]:
    """Prompts and answers as rows padded on the right, with -100 in the labels outside the answers."""
    width = max(len(p) + len(a) for p, a in windows)
    gaps = [width - len(p) - len(a) for p, a in windows]
    rows = list(zip(windows, gaps, strict=True))
    return {
        "input_ids": torch.tensor([[*p, *a, *[pad] * gap] for (p, a), gap in rows]),
        "attention_mask": torch.tensor([[1] * (width - gap) + [0] * gap for _, gap in rows]),
        "labels": torch.tensor([[*[-100] * len(p), *a, *[-100] * gap] for (p, a), gap in rows]),
    }


def full_logit_loss(lm: Any, batch: dict[str, Tensor], masks: Sequence[Tensor], tau: float) -> Tensor:
    """MSL at a fixed temperature, averaged over answer tokens, from the logits of every position."""
    logits = lm(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"], use_cache=False).logits.float()
    labels = batch["labels"]
    allowed = torch.ones_like(logits, dtype=torch.bool)
    for row, mask in enumerate(masks):
        start = int((labels[row] != -100).int().argmax())
        allowed[row, start - 1 : start - 1 + len(mask)] = mask
    masked = (logits / tau).masked_fill(~allowed, -torch.inf)[:, :-1]
    return torch.nn.functional.cross_entropy(masked.flatten(0, 1), labels[:, 1:].flatten())


def padded_prefill(model: Any, prompts: Sequence[Sequence[int]], beams: int) -> Tensor:
    """What ``generate`` does before its first token: every prompt, padded, once for each beam."""
    pad = model.encoder.tokenizer.pad_token_id
    width = max(map(len, prompts))
    rows = [[*[pad] * (width - len(p)), *p] for p in prompts for _ in range(beams)]
    mask = [[0] * (width - len(p)) + [1] * len(p) for p in prompts for _ in range(beams)]
    with torch.inference_mode():
        return model.causal(
            input_ids=torch.tensor(rows), attention_mask=torch.tensor(mask), use_cache=True, logits_to_keep=1
        ).logits
