"""From hidden states to log-probabilities of the tokens that a trie allows next."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from recbench.errors import RecbenchError
from recbench.language.textmodel import TextModel
from recbench.training.segments import segment_logsumexp, union_of

AT_ONCE = 1024  # states whose logits over the whole vocabulary are held at a time


def log_probabilities(
    model: TextModel, hidden: Tensor, nodes: npt.NDArray[np.int64], over_vocabulary: bool
) -> npt.NDArray[np.float64]:
    """[edges] log-probability of every valid token of ``nodes``, whose predicting states are ``hidden``.

    Args:
        model: its output matrix, trie and temperature are used.
        hidden: [N, width].
        nodes: [N] trie nodes.
        over_vocabulary: of the plain softmax, not renormalised over valid tokens.

    Raises:
        RecbenchError: one of them is NaN: a search would drop it in silence.
    """
    indptr, tokens = model.encoder.trie.allowed(nodes)
    device = hidden.device
    position = torch.from_numpy(np.repeat(np.arange(len(nodes)), np.diff(indptr))).to(device)
    allowed = torch.from_numpy(tokens.astype(np.int64)).to(device)
    head = model.head
    if over_vocabulary:
        parts = []
        for start in range(0, len(nodes), AT_ONCE):  # a row of logits is as long as the vocabulary
            logits = head(hidden[start : start + AT_ONCE]).float() / model.temperature
            edges = slice(int(indptr[start]), int(indptr[min(start + AT_ONCE, len(nodes))]))
            row = position[edges] - start
            parts.append(logits[row, allowed[edges]] - logits.logsumexp(1)[row])
        values = torch.cat(parts)
    else:
        union, column = union_of(allowed, head.weight.shape[0])
        bias = None if head.bias is None else head.bias[union].float()
        # in fp32 whatever the model's precision: bf16 would make ties of close scores
        dense = torch.nn.functional.linear(hidden.float(), head.weight[union].float(), bias)
        values = dense[position, column] / model.temperature
        values = values - segment_logsumexp(values, position, len(nodes))[position]
    found: npt.NDArray[np.float64] = values.double().cpu().numpy()
    if np.isnan(found).any():
        raise RecbenchError(
            "The language model's probabilities are not numbers (NaN), so nothing can be ranked by them: the training "
            "diverged (lower train.learning_rate), or the precision is too low (llm.precision=fp32)."
        )
    return found
