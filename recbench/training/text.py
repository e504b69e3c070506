"""Fine-tuning a text model: examples, collation and the curriculum of collaborative tokens."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset

from recbench.interfaces import Fit, FitReport, Loss
from recbench.language.hidden_states import pack
from recbench.language.textmodel import TextModel
from recbench.seeds import child
from recbench.training.answers import AnswerModel
from recbench.training.loop import fit
from recbench.types import Ints, Sequences


@dataclass(frozen=True)
class Example:
    """A window as token ids.

    Attributes:
        prompt, answer: tokens of the history and of the target's title.
        nodes: the trie node before each of the title's tokens that is predicted: all, or those up to its last choice.
    """

    prompt: list[int]
    answer: Sequence[int]
    nodes: Ints


class Examples(Dataset[Example]):
    """The examples of windows.

    Args:
        model: its encoder is used.
        windows: histories and targets.
        choices: leave out what comes after a title's last choice (its first token always stays).
    """

    def __init__(self, model: TextModel, windows: Sequences, choices: bool = False) -> None:
        encoder = model.encoder
        self.prompts = encoder.prompts(windows.histories())
        self.answers = [encoder.answers[int(t)] for t in windows.target]
        found = {int(t): encoder.trie.path(encoder.answers[int(t)]) for t in set(windows.target.tolist())}
        if choices:
            found = {t: nodes[: _last_choice(encoder.trie.fanout(nodes)) + 1] for t, nodes in found.items()}
        self.nodes = [found[int(t)] for t in windows.target]

    def __len__(self) -> int:
        return len(self.prompts)

    def __getitem__(self, index: int) -> Example:
        return Example(self.prompts[index], self.answers[index], self.nodes[index])

    @property
    def lengths(self) -> list[int]:
        """Tokens that are read of each."""
        return [len(prompt) + len(nodes) - 1 for prompt, nodes in zip(self.prompts, self.nodes, strict=True)]


def _last_choice(fanout: Ints) -> int:
    choices = np.flatnonzero(fanout > 1)
    return int(choices[-1]) if len(choices) else 0


def collate(examples: Sequence[Example]) -> dict[str, Any]:
    """What :meth:`recbench.training.answers.AnswerModel.answers` takes; a title's last token is predicted, not read.

    A long beginning that all prompts share (an instruction) is read once, gradient and all: the loss is the same, only
    the adapters' dropout on it is drawn once for the batch.
    """
    rows = [[*e.prompt, *e.answer[: len(e.nodes) - 1]] for e in examples]
    ids, lengths, shared = pack(rows, [len(e.prompt) - 1 for e in examples])
    counts = np.array([len(e.nodes) for e in examples])
    ends = shared + np.cumsum(lengths)
    depth = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    return {
        "ids": torch.tensor(ids),
        "lengths": torch.tensor(lengths),
        "shared": shared,
        "asks": torch.from_numpy(np.repeat(ends - counts, counts) + depth),
        "labels": torch.tensor([t for e in examples for t in e.answer[: len(e.nodes)]]),
        "nodes": torch.from_numpy(np.concatenate([e.nodes for e in examples]).astype(np.int64)),
        "depth": torch.from_numpy(depth),
        "titles": torch.from_numpy(counts),
        "dropped": sum(len(e.answer) for e in examples) - int(counts.sum()),
    }


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
    module = AnswerModel(model, loss)
    embedding = model.collaborative
    draws = child(plan.seed, "curriculum")

    def before(step: int, steps: int) -> None:
        if embedding is not None:
            embedding.hybrid = backbone.hybrid(step, steps, plan.train.epochs, float(draws.random()))
        if probe is not None:
            probe(step, steps, module)

    examples = Examples(model, windows, choices=loss.positions == "choices")
    report = fit(
        module,
        examples,
        lambda rows: {"batch": collate(rows)},
        _validating_hybrid(plan, embedding),
        purpose="language model",
        precision=precision,
        lengths=examples.lengths,
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
