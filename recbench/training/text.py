"""Fine-tuning a text model: examples, collation and the curriculum of collaborative tokens."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset

from recbench.errors import RecbenchError
from recbench.interfaces import Fit, FitReport, Loss, Resumable, TrainOptions
from recbench.language.frozen import kept_below
from recbench.language.hidden_states import pack
from recbench.language.textmodel import TextModel
from recbench.prompts.trie import side_by_side
from recbench.seeds import child
from recbench.training.alignment import Alignment, alignment
from recbench.training.answers import AnswerModel
from recbench.training.devices import process, processes
from recbench.training.loop import fit
from recbench.types import Ints, Sequences


@dataclass(frozen=True)
class Target:
    """A title that a window predicts.

    Attributes:
        ask: the token of the window whose hidden state predicts the title's first token; the next predicts the second.
        labels: the title's tokens.
        nodes: the trie node before each of those that are predicted: all, or those up to the title's last choice.
    """

    ask: int
    labels: Sequence[int]
    nodes: Ints


@dataclass(frozen=True)
class Example:
    """A window as token ids.

    Attributes:
        tokens: those that are read: the prompt, and the last title without its last predicted token.
        targets: in the order of their tokens.
        number: of the window.
    """

    tokens: list[int]
    targets: list[Target]
    number: int = 0


class Examples(Dataset[Example]):
    """The examples of windows.

    Args:
        model: its encoder is used.
        windows: histories and targets.
        choices: leave out what comes after a title's last choice (its first token always stays).
        every: predict the titles of the history too, but for the first one; the encoder must keep them apart.
        aligned: questions about items, behind the windows.
    """

    def __init__(
        self,
        model: TextModel,
        windows: Sequences,
        choices: bool = False,
        every: bool = False,
        aligned: Alignment | None = None,
    ) -> None:
        encoder = model.encoder
        self.prompts = encoder.read(windows.histories())
        self.targets, self.answers, self.every = windows.target.tolist(), encoder.answers, every
        items = {i for prompt in self.prompts for i in prompt.items[1:]} if every else set()
        self.nodes = {i: encoder.trie.path(encoder.answers[i]) for i in items | set(self.targets)}
        if choices:
            fanout = encoder.trie.fanout
            self.nodes = {i: nodes[: _last_choice(fanout(nodes)) + 1] for i, nodes in self.nodes.items()}
        self.aligned = [] if aligned is None else _questions(aligned, len(self.prompts), model, choices)

    def __len__(self) -> int:
        return len(self.prompts) + len(self.aligned)

    def __getitem__(self, index: int) -> Example:
        if index >= len(self.prompts):
            return self.aligned[index - len(self.prompts)]
        prompt, last = self.prompts[index], self.targets[index]
        found = [self._target(len(prompt.ids) - 1, last)]
        if self.every:
            titles = zip(prompt.starts[1:], prompt.items[1:], strict=True)
            found = [*(self._target(start - 1, item) for start, item in titles), *found]
        return Example([*prompt.ids, *self.answers[last][: len(self.nodes[last]) - 1]], found, index)

    def _target(self, ask: int, item: int) -> Target:
        return Target(ask, self.answers[item], self.nodes[item])

    @property
    def lengths(self) -> list[int]:
        """Tokens that are read of each."""
        pairs = zip(self.prompts, self.targets, strict=True)
        own = [len(prompt.ids) + len(self.nodes[last]) - 1 for prompt, last in pairs]
        return [*own, *(len(question.tokens) for question in self.aligned)]


def _questions(aligned: Alignment, first: int, model: TextModel, choices: bool) -> list[Example]:
    """Questions as examples, numbered from ``first``."""
    fanout = np.diff(side_by_side([model.encoder.trie, aligned.titles])[0])
    found = []
    for number, (prompt, answer, nodes) in enumerate(zip(aligned.prompts, aligned.answers, aligned.nodes, strict=True)):
        kept = nodes[: _last_choice(fanout[nodes]) + 1] if choices else nodes
        target = Target(len(prompt) - 1, answer, kept)
        found.append(Example([*prompt, *answer[: len(kept) - 1]], [target], first + number))
    return found


def _last_choice(fanout: Ints) -> int:
    choices = np.flatnonzero(fanout > 1)
    return int(choices[-1]) if len(choices) else 0


def collate(examples: Sequence[Example]) -> dict[str, Any]:
    """What :meth:`recbench.training.answers.AnswerModel.answers` takes; a title's last token is predicted, not read.

    A long beginning that all prompts share (an instruction) is read once, gradient and all: the loss is the same, only
    the adapters' dropout on it is drawn once for the batch.
    """
    ids, lengths, shared = pack([e.tokens for e in examples], [e.targets[0].ask for e in examples])
    targets = [target for example in examples for target in example.targets]
    counts = np.array([len(target.nodes) for target in targets])
    starts = np.cumsum(lengths) - lengths  # of each row; the shared tokens come before all of them
    rows = np.repeat(starts, [len(example.targets) for example in examples])
    depth = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    first = rows + np.array([target.ask for target in targets])
    return {
        "ids": torch.tensor(ids),
        "lengths": torch.tensor(lengths),
        "shared": shared,
        "asks": torch.from_numpy(np.repeat(first, counts) + depth),
        "labels": torch.tensor([t for target in targets for t in target.labels[: len(target.nodes)]]),
        "nodes": torch.from_numpy(np.concatenate([target.nodes for target in targets]).astype(np.int64)),
        "depth": torch.from_numpy(depth),
        "titles": torch.from_numpy(counts),
        "dropped": sum(len(target.labels) for target in targets) - int(counts.sum()),
        "numbers": torch.tensor([example.number for example in examples]),
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
    aligned: float = 0.0,
) -> FitReport:
    """Fine-tune ``model`` in place on ``windows`` with ``loss``; ``aligned`` is the share of questions about items.

    A backbone with collaborative tokens decides before every step which rows of the batch show them (LLaRA section
    3.3): all, or each group of ``backbone.draw_rows`` rows by its own draw. Where the encoder keeps titles apart,
    every title of a window but its first is a target. Layers below the first trained one are computed once a window
    where they can be (see :mod:`recbench.language.frozen`).
    """
    asked = alignment(model, round(aligned * len(windows)), plan.seed) if aligned else None
    module = AnswerModel(model, loss, [] if asked is None else [asked.titles])
    embedding = model.collaborative
    curriculum, temperatures = _Curriculum(child(plan.seed, "curriculum")), _Temperatures()
    temperature_of(loss)  # a wrong one ends the training before it begins

    def before(step: int, steps: int) -> None:
        if embedding is not None:
            shown = _curriculum(backbone, plan.budget, step, steps, curriculum.draws)
            embedding.hybrid = bool(shown.any())
            module.concealed = None if shown.all() or not shown.any() else ~shown
        if probe is not None:
            probe(step, steps, module)

    examples = Examples(model, windows, loss.positions == "choices", model.encoder.apart, asked)
    with kept_below(model, examples.lengths, plan.budget.epochs, plan.reporter) as module.below:
        report = fit(
            module,
            examples,
            lambda rows: {"batch": collate(rows)},
            _validating(plan, embedding, loss, temperatures),
            purpose="language model",
            precision=precision,
            lengths=examples.lengths,
            on_step=before,
            watched=loss.state,
            # a probe keeps notes of its own
            parts=None if probe is not None else {"loss": loss, "curriculum": curriculum, "temperatures": temperatures},
        )
    module.below = None
    kept = temperatures.of_epochs
    model.trained_at = kept[report.best_epoch - 1] if kept else temperature_of(loss)
    if embedding is not None:
        embedding.hybrid = True  # inference always shows the collaborative tokens
    return replace(report, temperature=model.trained_at)


class _Curriculum(Resumable):
    """The generator of a training's curriculum."""

    def __init__(self, draws: np.random.Generator) -> None:
        self.draws = draws


def temperature_of(loss: Loss[Any]) -> float:
    """The loss's temperature as it is now.

    Raises:
        RecbenchError: it is not a positive number.
    """
    said: Any = loss.softmax_temperature
    try:
        value = float(said)
    except (TypeError, ValueError):
        value = math.nan
    if not (value > 0 and math.isfinite(value)):
        raise RecbenchError(f"softmax_temperature of {type(loss).__name__} must be a positive number, not {said!r}.")
    return value


class _Temperatures(Resumable):
    """The loss's temperature at the end of each epoch: the best epoch's is the model's."""

    def __init__(self) -> None:
        self.of_epochs: list[float] = []


def _curriculum(backbone: Any, budget: TrainOptions, step: int, steps: int, draws: np.random.Generator) -> torch.Tensor:
    """[rows] whether each row of this process's part of a batch shows its collaborative tokens."""
    size = backbone.draw_rows or budget.batch_size
    groups = -(-budget.batch_size // size)
    values = draws.random(groups)  # of the whole batch, so that several processes draw what one does
    shown = [
        backbone.hybrid(step * groups + n, steps * groups, budget.epochs, float(value))
        for n, value in enumerate(values)
    ]
    rows = budget.batch_size // processes()
    return torch.tensor(shown).repeat_interleave(size)[process() * rows :][:rows]


def _validating(plan: Fit, embedding: Any, loss: Loss[Any], temperatures: _Temperatures) -> Fit:
    """Validate as at inference, with the collaborative tokens shown; and note the epoch's temperature."""
    score = plan.validate
    if score is None:
        return plan

    def validate() -> float:
        if embedding is not None:
            embedding.hybrid = True
        temperatures.of_epochs.append(temperature_of(loss))
        return score()

    return replace(plan, validate=validate)
