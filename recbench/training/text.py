"""Fine-tuning a text model: examples, collation and the curriculum of collaborative tokens."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Dataset

from recbench.interfaces import Fit, FitReport, Loss
from recbench.language.textmodel import TextModel
from recbench.seeds import child
from recbench.training.answers import AnswerModel
from recbench.training.loop import fit
from recbench.types import Sequences


class Examples(Dataset[dict[str, list[int]]]):
    """Prompt and answer ids of each window, with the trie node before each answer token."""

    def __init__(self, model: TextModel, windows: Sequences) -> None:
        encoder = model.encoder
        self.prompts = encoder.prompts(windows)
        self.nodes = encoder.nodes(windows.target)
        self.answers = [encoder.answers[int(t)] for t in windows.target]

    def __len__(self) -> int:
        return len(self.prompts)

    def __getitem__(self, index: int) -> dict[str, list[int]]:
        prompt, answer = self.prompts[index], self.answers[index]
        return {
            "input_ids": [*prompt, *answer],
            "labels": [-100] * len(prompt) + list(answer),
            "nodes": [-1] * len(prompt) + self.nodes[index].tolist(),
        }


def collator(pad: int) -> Any:
    """Pads on the right: ids with ``pad``, labels with -100, nodes with -1."""
    fill = {"input_ids": pad, "labels": -100, "nodes": -1}

    def collate(rows: list[dict[str, list[int]]]) -> Mapping[str, Tensor]:
        width = max(len(row["input_ids"]) for row in rows)
        batch = {
            key: torch.tensor([row[key] + [value] * (width - len(row[key])) for row in rows])
            for key, value in fill.items()
        }
        lengths = torch.tensor([len(row["input_ids"]) for row in rows])
        batch["attention_mask"] = (torch.arange(width) < lengths[:, None]).long()
        return batch

    return collate


Probe = Callable[[int, int, AnswerModel], None]
"""Looks at a training from outside: called before each step with (step, steps, module), and must leave no trace."""


def tune(
    model: TextModel,
    loss: Loss[Any],
    windows: Sequences,
    plan: Fit,
    backbone: Any,
    precision: str,
    probe: Probe | None = None,
) -> FitReport:
    """Fine-tune ``model`` in place on ``windows`` with ``loss``.

    A backbone with collaborative tokens decides before every step whether they are shown (LLaRA section 3.3).
    """
    module = AnswerModel(model.lm, model.decoder, model.head, loss, model.encoder.trie)
    embedding = model.collaborative
    draws = child(plan.seed, "curriculum")

    def before(step: int, steps: int) -> None:
        if embedding is not None:
            embedding.hybrid = backbone.hybrid(step, steps, plan.train.epochs, float(draws.random()))
        if probe is not None:
            probe(step, steps, module)

    examples = Examples(model, windows)
    report = fit(
        module,
        examples,
        collator(model.encoder.tokenizer.pad_token_id),
        _validating_hybrid(plan, embedding),
        purpose="language model",
        precision=precision,
        lengths=[len(p) + len(a) for p, a in zip(examples.prompts, examples.answers, strict=True)],
        on_step=before,
        watched=loss.state,
    )
    if embedding is not None:
        embedding.hybrid = True  # inference always shows the collaborative tokens
    return report


def _validating_hybrid(plan: Fit, embedding: Any) -> Fit:
    """Validate as at inference: with the collaborative tokens shown."""
    score = plan.validate
    if embedding is None or score is None:
        return plan

    def validate() -> float:
        embedding.hybrid = True
        return score()

    return replace(plan, validate=validate)
