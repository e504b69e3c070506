"""Grounding: generate freely, then recommend the items whose titles lie nearest to what was generated.

Paper: Bao et al., "A Bi-Step Grounding Paradigm for Large Language Models in Recommendation Systems", section 3.2,
https://arxiv.org/abs/2308.08434. Original code: github.com/SAI990323/BIGRec (``inference.py``, ``evaluate.py``).

Known differences: titles are embedded by the tuned model (the code embeds with the untuned one). As in the code, the
embedding is the last layer's hidden state at a title's last token, quotes stripped; the distance is L2; the best of
``beams`` free beams is grounded. The share of generated titles that are no item is reported.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pydantic import Field

from recbench.interfaces import Decoder, Options, Plugin, Reporter

if TYPE_CHECKING:
    from torch import Tensor

    from recbench.language.textmodel import TextModel
    from recbench.types import Ranking, Sequences


class GroundingOptions(Options):
    """Options of ``--decoder grounding``."""

    beams: int = Field(4, ge=1, description="beams of the free generation; the best one is grounded")
    batch_size: int = Field(64, ge=1, description="users generated at a time; part of the spec")


class Grounding(Decoder[GroundingOptions]):
    """Nearest titles to a freely generated one."""

    def rank(
        self, model: TextModel, cases: Sequences, depth: int, exclude_history: bool, reporter: Reporter
    ) -> Ranking:
        """See :class:`recbench.interfaces.Decoder`; scores are negative distances, ties in catalogue order."""
        import numpy as np
        import torch

        from recbench.types import PAD, Ranking

        encoder, size = model.encoder, self.options.batch_size
        with torch.inference_mode():
            catalogue = torch.cat(
                [embed(model, encoder.catalog.titles[i : i + size]) for i in range(0, len(encoder.catalog), size)]
            )
            prompts = encoder.prompts(cases)
            order = np.argsort([len(p) for p in prompts], kind="stable")
            items = np.full((len(cases), depth), PAD, np.int32)
            scores = np.full((len(cases), depth), -np.inf, np.float32)
            invalid, titles = 0, set(encoder.catalog.titles)
            for start in range(0, len(order), size):
                rows = order[start : start + size]
                generated = generate(model, [prompts[r] for r in rows], self.options.beams)
                texts = [_unquoted(t, encoder.template.title) for t in encoder.tokenizer.batch_decode(generated)]
                invalid += sum(text not in titles for text in texts)
                near = -torch.cdist(embed(model, texts), catalogue).cpu().numpy()
                if exclude_history:
                    row, column = np.nonzero(cases.history[rows] != PAD)
                    near[row, cases.history[rows][row, column]] = -np.inf
                best = np.argsort(-near, axis=1, kind="stable")[:, :depth]
                score = np.take_along_axis(near, best, axis=1)
                items[rows, : best.shape[1]] = np.where(np.isneginf(score), PAD, best)
                scores[rows, : best.shape[1]] = score
                reporter.step(min(start + size, len(order)), len(order))
        return Ranking(items, scores, invalid_share=invalid / len(cases))


def embed(model: TextModel, titles: Sequence[str]) -> Tensor:
    """[titles, width] fp32 hidden state of the last layer at each title's last token."""
    import torch

    ids = model.encoder.tokenizer(list(titles), add_special_tokens=False)["input_ids"]
    end = model.encoder.tokenizer.eos_token_id
    ids = [row or [end] for row in ids]  # nothing was generated: the end of text stands for it
    lengths = torch.tensor([len(row) for row in ids])
    width = int(lengths.max())
    tokens = torch.tensor([[*row, *[end] * (width - len(row))] for row in ids])
    device = model.head.weight.device
    mask = (torch.arange(width) < lengths[:, None]).long()
    hidden = model.decoder(input_ids=tokens.to(device), attention_mask=mask.to(device), use_cache=False)
    return hidden.last_hidden_state[torch.arange(len(ids)), lengths - 1].float()


def generate(model: TextModel, prompts: Sequence[Sequence[int]], beams: int) -> list[list[int]]:
    """The best freely generated answer to each prompt, as token ids without end-of-text and padding."""
    import torch
    from transformers import GenerationConfig

    tokenizer = model.encoder.tokenizer
    width = max(map(len, prompts))
    ids = torch.tensor([[*[tokenizer.pad_token_id] * (width - len(p)), *p] for p in prompts])
    mask = torch.tensor([[0] * (width - len(p)) + [1] * len(p) for p in prompts])
    device = model.head.weight.device
    config = GenerationConfig(
        num_beams=beams,
        do_sample=False,
        max_new_tokens=max(map(len, model.encoder.answers)),
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    own = model.causal.generation_config
    # Whatever a call leaves unset is filled from the model's own configuration: an Instruct model then samples.
    model.causal.generation_config = config
    try:
        out = model.causal.generate(input_ids=ids.to(device), attention_mask=mask.to(device), generation_config=config)
    finally:
        model.causal.generation_config = own
    stop = {tokenizer.eos_token_id, tokenizer.pad_token_id}
    answers = []
    for row in out[:, width:].tolist():
        end = next((i for i, token in enumerate(row) if token in stop), len(row))
        answers.append(row[:end])
    return answers


def _unquoted(text: str, title: str) -> str:
    """The generated text without the quotes that the template puts around a title."""
    before, _, after = title.partition("{}")
    return text.strip().removeprefix(before).removesuffix(after).strip()


plugin = Plugin(
    kind="decoder",
    summary="free generation, then the nearest titles (BIGRec)",
    implementation="recbench_plugins.decoders.grounding:Grounding",
    options=GroundingOptions,
    signal="text",
    paper="Bao et al., BIGRec, 2023, section 3.2. https://arxiv.org/abs/2308.08434",
)
