"""The score of every title, by one plain forward pass each: what searches are compared with."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from recbench.language.textmodel import TextModel


def steps(
    model: TextModel, prompt: Sequence[int], over_vocabulary: bool, temperature: float = 1.0
) -> list[list[float]]:
    """For each item the log-probability of each token of its answer after the prompt, in float64."""
    answers, found = model.encoder.answers, []
    for answer in answers:
        with torch.inference_mode():
            logits = model.causal(input_ids=torch.tensor([[*prompt, *answer]])).logits[0].double() / temperature
        own = []
        for i, token in enumerate(answer):
            row = logits[len(prompt) + i - 1]
            valid = sorted({a[i] for a in answers if a[:i] == answer[:i]})
            own.append(float(row[token] - (row if over_vocabulary else row[valid]).logsumexp(0)))
        found.append(own)
    return found


def brute_force(model: TextModel, prompt: Sequence[int], over_vocabulary: bool, temperature: float = 1.0) -> np.ndarray:
    """[items] log-probability of each item's answer after the prompt."""
    return np.array([sum(own) for own in steps(model, prompt, over_vocabulary, temperature)])
