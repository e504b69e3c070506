"""``transformers.generate`` with beam search, as decoders call it: token ids in, answers out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import torch
from transformers import GenerationConfig

from recbench.language.textmodel import TextModel

Answer = tuple[list[int], float]
"""Token ids before the end-of-text token, and the sequence's score (0 where scores were not asked for)."""
UNFILLED = -1e8  # generate() gives a beam that it found nothing for a sum of -1e9 or less


def generate(
    model: TextModel,
    prompts: Sequence[Sequence[int]],
    beams: int,
    returned: int = 1,
    length_penalty: float = 1.0,
    allowed: Callable[[list[int]], list[int]] | None = None,
    scores: bool = False,
) -> list[list[Answer]]:
    """The ``returned`` best answers to each prompt, best first; with scores, only those that the search found.

    Args:
        model: the language model and its encoder; an answer is no longer than the longest title.
        prompts: token ids, one batch, padded on the left.
        beams: of the search.
        returned: at most ``beams``.
        length_penalty: a finished beam's score is divided by its token count to this power.
        allowed: the tokens that may follow an answer's beginning, never none; None allows all.
        scores: keep them, for two beams or more: one [prompts * beams, vocabulary] matrix for every token.
    """
    tokenizer = model.encoder.tokenizer
    ids, mask = left_padded(model, prompts)
    width = ids.shape[1]
    config = GenerationConfig(
        num_beams=beams,
        num_return_sequences=returned,
        do_sample=False,
        length_penalty=length_penalty,
        max_new_tokens=max(map(len, model.encoder.answers)),
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        return_dict_in_generate=True,
        output_scores=scores,
    )

    def following(_batch: int, row: torch.Tensor) -> list[int]:
        assert allowed is not None
        return allowed(row[width:].tolist())

    with configured(model, config):
        out = model.causal.generate(
            input_ids=ids,
            attention_mask=mask,
            generation_config=config,
            prefix_allowed_tokens_fn=following if allowed else None,
        )
    stop = {tokenizer.eos_token_id, tokenizer.pad_token_id}
    rows = out.sequences[:, width:].tolist()
    values = out.sequences_scores.tolist() if scores else [0.0] * len(rows)
    found: list[list[Answer]] = [[] for _ in prompts]
    for n, (row, score) in enumerate(zip(rows, values, strict=True)):
        end = next((i for i, token in enumerate(row) if token in stop), len(row))
        if min(score, score * (end + 1) ** length_penalty) > UNFILLED:
            found[n // returned].append((row[:end], score))
    return found


def left_padded(model: TextModel, prompts: Sequence[Sequence[int]]) -> tuple[torch.Tensor, torch.Tensor]:
    """Ids and attention mask [prompts, longest] where the model is; padding on the left."""
    pad, device, width = model.encoder.tokenizer.pad_token_id, model.head.weight.device, max(map(len, prompts))
    ids = torch.tensor([[*[pad] * (width - len(p)), *p] for p in prompts])
    mask = torch.tensor([[0] * (width - len(p)) + [1] * len(p) for p in prompts])
    return ids.to(device), mask.to(device)


@contextmanager
def configured(model: TextModel, config: GenerationConfig) -> Iterator[None]:
    """Generate by ``config`` alone: what a call leaves unset is filled from the model's own, which may sample."""
    own = model.causal.generation_config
    model.causal.generation_config = config
    try:
        yield
    finally:
        model.causal.generation_config = own
