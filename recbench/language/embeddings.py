"""Texts to vectors: the last layer's hidden states of a language model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from recbench.language.hidden_states import HiddenStates
from recbench.language.textmodel import TextModel


def title_states(model: TextModel, titles: Sequence[str], batch: int = 64) -> npt.NDArray[np.float32]:
    """[titles, width] the last layer's hidden state at each title's last token; no quotes, and no end-of-text token.

    Where the tokenizer begins a text with a token (Llama's BOS), the title is read behind it, as BIGRec's code does. An
    empty title is represented by the end-of-text token.

    Args:
        model: in evaluation mode.
        titles: texts as they are embedded.
        batch: titles at a time; it moves the last bits.
    """

    parts = model.encoder.tokenizer, model.hidden_states, model.head
    return _states(*parts, titles, batch, lambda lengths: lengths.cumsum(0) - 1, lambda hidden, lengths: hidden)


def text_means(model: TextModel, texts: Sequence[str], batch: int = 64) -> npt.NDArray[np.float32]:
    """[texts, width] the mean of the last layer's hidden states over each text's own tokens, scaled to length 1.

    As :func:`title_states` otherwise.
    """
    return mean_states(model.encoder.tokenizer, model.hidden_states, model.head, texts, batch)


def mean_states(
    tokenizer: Any, states: HiddenStates, head: torch.nn.Linear, texts: Sequence[str], batch: int = 64
) -> npt.NDArray[np.float32]:
    """:func:`text_means` of a language model without a catalogue, by its parts."""

    def mean(hidden: Tensor, lengths: Tensor) -> Tensor:
        row = torch.arange(len(lengths), device=hidden.device).repeat_interleave(lengths)
        summed = hidden.new_zeros(len(lengths), hidden.shape[1]).index_add(0, row, hidden)
        return torch.nn.functional.normalize(summed, dim=1)

    def every(lengths: Tensor) -> Tensor:
        return torch.arange(int(lengths.sum()), device=lengths.device)

    return _states(tokenizer, states, head, texts, batch, every, mean)


def _states(
    tokenizer: Any,
    states: HiddenStates,
    head: torch.nn.Linear,
    texts: Sequence[str],
    batch: int,
    wanted: Callable[[Tensor], Tensor],
    pool: Callable[[Tensor, Tensor], Tensor],
) -> npt.NDArray[np.float32]:
    """``wanted`` says of which tokens of rows of the given lengths; ``pool`` makes one vector a row of their states.

    What every text begins with is read once, and counts in neither.
    """
    device = head.weight.device
    end, begin = tokenizer.eos_token_id, beginning(tokenizer)
    rows = tokenizer(list(texts), add_special_tokens=False)["input_ids"] if texts else []
    rows = [row or [end] for row in rows]
    order = sorted(range(len(rows)), key=lambda n: len(rows[n]))  # those of like length share a batch
    found = np.zeros((len(rows), head.in_features), np.float32)
    for start in range(0, len(order), batch):
        chosen = order[start : start + batch]
        ids = torch.tensor([*begin, *(token for n in chosen for token in rows[n])], device=device)
        lengths = torch.tensor([len(rows[n]) for n in chosen], device=device)
        with torch.inference_mode():
            hidden = states.rows(ids, lengths, len(begin), len(begin) + wanted(lengths))
            found[chosen] = pool(hidden.float(), lengths).cpu().numpy()
    return found


def beginning(tokenizer: Any) -> list[int]:
    """The token that a tokenizer puts before every text, if it does; some name such a token and never put it there."""
    start: list[int] = tokenizer("")["input_ids"][:1]
    return start if start == [tokenizer.bos_token_id] else []
