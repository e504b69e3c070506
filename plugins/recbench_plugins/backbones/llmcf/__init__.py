"""LLM-CF: SASRec reads a history and, next to it, a language model's explanations of similar users' decisions.

Paper: Sun et al., "Large Language Models Enhanced Collaborative Filtering", CIKM 2024,
https://arxiv.org/abs/2403.17688. Original code: github.com/Jeryi-Sun/LLM-CF (``retrieval_task``,
``SASREC_aug``).

How it works: the teacher explains, step by step, decisions of a share of the training windows (``texts.py``). For
a case, the windows of the most similar histories are looked up; their features, explanations and outcomes, and then the
case's own features, pass through a small causal transformer, whose last state is added to SASRec's
(``context.py``).

Known differences, and the options that control them:

- ``rec_weight``: weight of reconstructing an explanation from what stands before it. The paper's objective has the
  term; the code's configuration gives it 0 for SASRec and 1 for the other models.
- ``retrieval``: the code leaves out a user's strictly later windows only, so that a training window finds itself, its
  own target and outcome included (``official``). Ours leaves out those of the same time too (``corrected``).
- The main loss is ``--loss``; the code's is a softmax sampled with 128 negatives that a batch shares, ``ce`` its limit.
- In its ranking task the code knows the target whose probability it asks for; in its retrieval task a padding item
  replaces the target. The same is done here, since the whole catalogue is ranked. Windows have no declined items: for
  each explained window one is drawn, and both outcomes are explained, so the two best windows give two positive and two
  negative examples.
- A fixed rule samples the explained windows, and avoids those that the teacher was trained on as long as there are
  others; the code draws from all windows.
- Texts are embedded by the language model that writes them (mean of last hidden states, its width), in the code by a
  BGE model of width 768. Explanations are chosen among the candidates by the code's four scores, of which coherence is
  here the share of distinct words (there also swings of sentiment).
- The writer is the tuned teacher, or with ``writer=base`` the pretrained model without its adapters. The code tunes a
  chat model on recommendation and general instructions together, so that it can still write: a teacher tuned on titles
  alone often cannot, and ``llm=tiny`` has never seen a sentence.
- User embeddings are drawn from Xavier's normal distribution, and those of users without a training window are zeros:
  in a chronological split these are many of the test users. The code splits each user's own history, where all are
  known.
- The network is RecBole's SASRec with the code's sizes and the differences of :mod:`recbench.sequential`; embeddings of
  texts are kept in half precision. The epoch is chosen by NDCG@10 on validation (the code: HR@10, patience 2; Adam
  1e-3 with weight decay 1e-5, batch 128, up to 50 epochs). The ablation is ``weight=0`` with
  ``rec_weight=0``, or ``--model sasrec`` with these sizes: they are the same model, bit for bit, and ``sasrec`` needs
  no teacher.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, model_validator

from recbench.interfaces import BackbonePlugin, Fit, Lessons, Reporter, Teacher
from recbench.sequential import SequenceModel, SequenceOptions

if TYPE_CHECKING:
    import numpy.typing as npt
    from torch import Tensor

    from recbench.training.scores import ScoreBatch
    from recbench.types import Histories, Split


class LLMCFOptions(SequenceOptions):
    """Options of ``--model llmcf``; sizes are those of its code."""

    # how SASRec reads the texts: no option of those asks the teacher anything
    later = frozenset(SequenceOptions.model_fields) | {"weight", "rec_weight", "retrieval"}

    layers: int = Field(1, ge=1, description="transformer layers")
    inner: int = Field(64, ge=1, description="width of the feed-forward layers")
    dropout: float = Field(0.2, ge=0, lt=1, description="on embeddings and layers")
    attention_dropout: float = Field(0.2, ge=0, lt=1, description="on attention weights")
    weight: float = Field(0.1, ge=0, description="weight of the context's state next to SASRec's; 0 leaves it out")
    rec_weight: float = Field(1.0, ge=0, description="weight of reconstructing explanations; the code's is 0")
    retrieval: Literal["corrected", "official"] = Field(
        "corrected",
        description="whether the user's windows at the same time are left out, or a window may retrieve itself",
    )
    share: float = Field(0.1, gt=0, le=1, description="share of the training windows that are explained")
    candidates: int = Field(3, ge=1, description="explanations written for each decision; the best is kept")
    temperature: float = Field(0.6, gt=0, description="sampling temperature of the explanations")
    top_k: int = Field(50, ge=1, description="number of likeliest tokens to sample from")
    tokens: int = Field(256, ge=1, description="longest explanation")
    batch_size: int = Field(
        32, ge=1, description="decisions explained at a time, two a window; each takes as many sequences as candidates"
    )
    writer: Literal["tuned", "base"] = Field(
        "tuned", description="the teacher, or its pretrained model without the adapters"
    )

    @model_validator(mode="after")
    def _even(self) -> LLMCFOptions:
        if self.hidden % 4:
            raise ValueError(f"hidden={self.hidden} does not split into two heads of even width; take a multiple of 4")
        return self


class LLMCF(SequenceModel[LLMCFOptions]):
    """SASRec next to a transformer over explained examples."""

    rebuilt: tuple[Tensor, Tensor] | None = None
    """Of the current training batch: the summed error of the reconstructed explanations, and their number."""

    def lessons(self, split: Split, teacher: Teacher, seed: int, reporter: Reporter) -> Lessons:
        """Explanations of a share of the training windows.

        Returns:
            Arrays ``rows`` [M], ``declined`` [M] (an item drawn for each), ``cots`` [M, 2, width] (embeddings of why
            the drawn item was declined, and the target taken) and ``titles`` [items, width]; and the texts.

        Raises:
            UsageError: ``writer=base`` with a model that has no adapters.
        """
        from recbench_plugins.backbones.llmcf.texts import explain

        rows = teacher.sample(max(1, round(self.options.share * len(split.train))), reporter)
        return explain(teacher.model, split, rows, self.options, seed, reporter)

    def prepare(self, split: Split, fit: Fit) -> None:
        """Add the transformer over examples, unless it is switched off."""
        if self.options.weight == self.options.rec_weight == 0:
            return
        import torch

        from recbench_plugins.backbones.llmcf.context import memory

        trained = torch.zeros(len(split.users), dtype=torch.bool)
        trained[torch.from_numpy(split.train.users).long()] = True
        self._add_context(memory(split.train, fit.lessons), trained)

    def inputs(self, cases: Histories) -> dict[str, Tensor]:
        """Also ``users`` [N] and ``examples`` [N, 4], those of the most similar histories."""
        import torch

        found = super().inputs(cases)
        context = getattr(self.module, "context", None)
        if context is None:
            return found
        users, times = torch.from_numpy(cases.users).long(), torch.from_numpy(cases.time)
        examples = context.examples(users, found["items"], times, self.options.retrieval == "official")
        return {**found, "users": users, "examples": examples}

    def represent(self, states: Tensor, batch: Mapping[str, Tensor]) -> Tensor:
        """SASRec's state, and the context's state with its weight."""
        context = getattr(self.module, "context", None)
        if context is None:
            return states
        vectors = self.module.model.item_embedding.weight
        last, self.rebuilt = context(states, batch, vectors, self._history)
        return states + self.options.weight * last if self.options.weight else states

    def terms(self, scored: ScoreBatch, batch: Mapping[str, Tensor]) -> list[tuple[Tensor, Tensor | float]]:
        """rec_weight times 1 - cos of each explanation and its reconstruction."""
        if self.options.rec_weight == 0:
            return []
        assert self.rebuilt is not None
        total, count = self.rebuilt
        return [(self.options.rec_weight * total, count)]

    def restore(self, split: Split, state: Mapping[str, npt.NDArray[Any]]) -> None:
        """Load a state dict, which holds the explained windows too."""
        import torch

        from recbench_plugins.backbones.llmcf.context import MEMORY

        self.build(split)
        if "context.users" in state:
            kept = {name: torch.from_numpy(state[f"context.{name}"].copy()) for name in MEMORY}
            self._add_context(kept, torch.ones(len(split.users), dtype=torch.bool))  # their embeddings are in the state
        self.module.load_state_dict({n: torch.from_numpy(v.copy()) for n, v in state.items()})
        self.module.eval()

    def _add_context(self, kept: Mapping[str, Tensor], users: Tensor) -> None:
        from recbench_plugins.backbones.llmcf.context import Context

        self.module.context = Context(kept, users, self.options.hidden, self.options.rec_weight > 0)

    def _history(self, items: Tensor, lengths: Tensor) -> Tensor:
        return self.module.model.encode(self.embed(items), items, lengths)


plugin = BackbonePlugin(
    implementation=LLMCF,
    summary="SASRec with a language model's explanations of similar users' decisions in context",
    options=LLMCFOptions,
    default_loss="ce",
    default_decoder="topk",
    requires={"teacher": "bigrec"},
    extra="recbole",
    paper="Sun et al., LLM-CF, CIKM 2024. https://arxiv.org/abs/2403.17688",
)
