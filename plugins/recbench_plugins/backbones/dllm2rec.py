"""DLLM2Rec: SASRec learns from a language model's rankings and from its embeddings of titles.

Paper: Cui et al., "Distillation Matters: Empowering Sequential Recommenders to Match the Performance of Large Language
Models", RecSys 2024, https://doi.org/10.1145/3640457.3688118. Original code: github.com/istarryn/DLLM2Rec.

Known differences, and the options that control them:

- ``negative``: the code's term for the negative is softplus(-(1 - s)), a binary cross-entropy that uses 1 - s as the
  score of the opposite class (``official``); ours is softplus(s) (``corrected``).
- ``weighted_dro``: the code multiplies weights [B, 1] by robust terms [B], which pairs every row's weight with every
  row's term (``official``); ours pairs each with its own (``corrected``).
- ``distances``: the code uses the distances of grounded titles as they are, in the tens or hundreds, so that exp(-d)
  vanishes and confidence is uniform (``raw``). ``normalised`` subtracts the best item's and divides by the row's mean
  distance behind it. Any teacher works: a distance is its decoder's score, negated.
- The teacher ranks a sample of the training windows (``windows``), where the code ranks all of them. The other windows
  have only the plain loss, so a row's loss does not depend on the size of the sample. The sample leaves out the windows
  that the teacher was trained on, since it knows their targets. If there are too few others, such windows fill it up,
  and the run reports how many. Neighbouring windows overlap: a target may still be a title of another window's history.
- Negatives are drawn uniformly from all items but the target; the code leaves the history out too, and gives the loss
  and the distillation the same one.
- The code stops early on test and evaluates with dropout on; ours chooses the epoch on validation. The code hard-codes
  LLaMA's width of 4,096; here the projection uses the teacher's width.
- Sizes and the differences of the network are those of :mod:`recbench_plugins.backbones.dros`, on whose code it is
  based; the defaults are those of its README. The ablation is ``ed_weight=0`` with ``lam=0``, or ``--model dros`` with
  ``backbone.alpha=0.5``: they are the same model, bit for bit, and ``dros`` needs no teacher. With alpha 0 too it is
  SASRec with the sizes and loss of ``dros``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, model_validator

from recbench.interfaces import BackbonePlugin, Fit, Lessons, Reporter, Teacher
from recbench_plugins.backbones.dros import DROS, DROSOptions, robust

if TYPE_CHECKING:
    import numpy.typing as npt
    from torch import Tensor

    from recbench.training.scores import ScoreBatch
    from recbench.types import Split


class DLLM2RecOptions(DROSOptions):
    """Options of ``--model dllm2rec``."""

    # what the student makes of the lists; only ``items`` and ``windows`` ask the teacher anything
    later = frozenset(DROSOptions.model_fields) | {
        "ed_weight", "lam", "position", "confidence", "consistency", "distances", "negative", "weighted_dro",
    }  # fmt: skip

    alpha: float = Field(0.5, ge=0, description="weight of the robust term; 0 leaves it out")
    ed_weight: float = Field(0.3, ge=0, description="weight of the projected title embeddings; 0 leaves them out")
    lam: float = Field(0.7, ge=0, description="weight of the distilled rankings; 0 leaves them out")
    items: int = Field(10, ge=1, description="length of the teacher's ranked lists")
    windows: int = Field(
        10_000,
        ge=0,
        description="training windows that the teacher ranks, the same for every seed; windows from the teacher's own "
        "training only if there are too few others; 0 means all",
    )
    position: float = Field(0.3, ge=0, description="weight of an item's place in the teacher's list")
    confidence: float = Field(0.5, ge=0, description="weight of the teacher's confidence in an item")
    consistency: float = Field(0.1, ge=0, description="weight of whether the item is in the student's own list")
    distances: Literal["normalised", "raw"] = Field("normalised", description="what confidence is computed from")
    negative: Literal["corrected", "official"] = Field("corrected", description="the term of the negative item")
    weighted_dro: Literal["corrected", "official"] = Field(
        "corrected", description="how weights and robust terms of the distilled items are paired"
    )

    @model_validator(mode="after")
    def _weighted(self) -> DLLM2RecOptions:
        if self.position == self.confidence == self.consistency == 0:
            raise ValueError("position, confidence and consistency are all 0; one of them must weigh the items")
        return self

    def teacher_depth(self) -> int:
        """The length of the distilled lists."""
        return self.items


def normalised(distances: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """[M, K] distances from 0 for each row's best item, their positive ones with mean 1; inf stays where no item is."""
    import numpy as np

    found = distances - distances.min(axis=1, keepdims=True)
    behind = np.isfinite(found) & (found > 0)
    number = behind.sum(axis=1, keepdims=True)
    mean = np.where(behind, found, 0.0).sum(axis=1, keepdims=True) / np.maximum(number, 1)
    return found / np.where(number > 0, mean, 1.0)


def weights(distances: Tensor, known: Tensor, shared: Tensor, mixture: tuple[float, float, float]) -> Tensor:
    """[B, K] importance of each item of the teacher's lists, of sum 1 in each row.

    Args:
        distances: [B, K] of the items, best first.
        known: [B, K] whether there is an item at all.
        shared: [B, K] whether the student ranks it among its own first K.
        mixture: weights of position, confidence and consistency.
    """
    import torch

    rank = torch.arange(1, distances.shape[1] + 1, device=distances.device, dtype=distances.dtype)
    place = torch.exp(-rank).expand_as(distances) * known
    sure = (torch.exp(-distances) + 1e-8) * known
    agreed = (shared + 1e-8) * known
    parts = [place / place.sum(1, keepdim=True), sure / sure.sum(1, keepdim=True), agreed]
    total = sum(weight * part for weight, part in zip(mixture, parts, strict=True))
    return total / total.sum(1, keepdim=True)


def distilled(right: Tensor, wrong: Tensor, weight: Tensor, official: bool) -> Tensor:
    """[B] ranking distillation of each row.

    Args:
        right: [B, K] the student's scores of the teacher's items.
        wrong: [B, 1] its score of a negative item.
        weight: [B, K] importance of each.
        official: the code's term for the negative.
    """
    from torch.nn.functional import softplus

    against = softplus(-(1.0 - wrong)) if official else softplus(wrong)
    return (weight * (softplus(-right) + against)).sum(dim=1)


class DLLM2Rec(DROS):
    """SASRec whose inputs hold projected title embeddings and whose loss follows the teacher's rankings."""

    options: DLLM2RecOptions
    taught: Any = None
    shift: Any = None

    def lessons(self, split: Split, teacher: Teacher, seed: int, reporter: Reporter) -> Lessons:
        """Rankings of a sample of the training windows, and the frozen model's embeddings of all titles.

        Returns:
            Arrays ``rows`` [M], ``items`` [M, K] (-1 where the teacher found none), ``distances`` [M, K] and
            ``titles`` [items, width].
        """
        import numpy as np

        from recbench.language.embeddings import title_states

        rows = teacher.sample(self.options.windows, reporter)
        depth = min(self.options.items, len(split.catalog))
        found = teacher.rank(split.train.take(rows).histories(), depth, reporter)
        return Lessons(
            {
                "rows": rows,
                "items": found.items,
                "distances": (-found.scores).astype(np.float32),
                "titles": title_states(teacher.model, split.catalog.titles),
            }
        )

    def prepare(self, split: Split, fit: Fit) -> None:
        """Count the training targets, look the lessons up by training row, and add the projection of titles."""
        import numpy as np
        import torch
        from torch import nn

        super().prepare(split, fit)
        given, device, o = fit.lessons, fit.device, self.options
        self.shift = self.taught = None
        if o.ed_weight:
            titles = torch.from_numpy(np.asarray(given["titles"], np.float32)).to(device)
            self.module.titles = nn.Linear(titles.shape[1], o.hidden)
            self.shift = lambda: o.ed_weight * self.module.titles(titles)
        if o.lam:
            kept = (given["items"] >= 0).any(axis=1)  # a list without an item teaches nothing
            distances = given["distances"][kept]
            distances = distances if o.distances == "raw" else normalised(distances)
            lesson = torch.full((len(split.train),), -1)
            lesson[torch.from_numpy(given["rows"][kept]).long()] = torch.arange(int(kept.sum()))
            self.taught = {
                "lesson": lesson.to(device),
                "items": torch.from_numpy(given["items"][kept]).long().to(device),
                "distances": torch.from_numpy(np.asarray(distances, np.float32)).to(device),
            }

    def embed(self, items: Tensor) -> Tensor:
        """x = e + ed_weight (W z + b): item embeddings, and the projection of their titles' where there is an item."""
        from torch.nn.functional import pad

        plain = super().embed(items)
        if self.shift is None:
            return plain
        return plain + pad(self.shift(), (0, 0, 1, 0))[items]

    def terms(self, scored: ScoreBatch, batch: Mapping[str, Tensor]) -> list[tuple[Tensor, Tensor | float]]:
        """The robust term; and over the rows that have a lesson, what they learn from it."""
        found = super().terms(scored, batch)
        if self.taught is None:
            return found
        lesson = self.taught["lesson"][batch["row"]]
        rows = (lesson >= 0).nonzero().squeeze(1)
        items, distances = self.taught["items"][lesson[rows]], self.taught["distances"][lesson[rows]]
        total = self.distillation(scored.logits[rows], items, distances, scored.negatives(1)[rows])
        return [*found, (self.options.lam * total, float(len(scored)))]

    def distillation(self, logits: Tensor, items: Tensor, distances: Tensor, negative: Tensor) -> Tensor:
        """Summed over B rows: ranking distillation, plus alpha times the weighted robust terms.

        Args:
            logits: [B, items] the student's scores.
            items, distances: [B, K] the teacher's lists, -1 where there is no item.
            negative: [B, 1] an item that counts as wrong.
        """
        o = self.options
        known, chosen = items >= 0, items.clamp_min(0)
        own = logits.detach().topk(items.shape[1], dim=1).indices
        shared = (chosen[:, :, None] == own[:, None]).any(dim=2)
        mixture = (o.position, o.confidence, o.consistency)
        weight = weights(distances, known, shared, mixture)
        right, wrong = logits.gather(1, chosen), logits.gather(1, negative)
        total = distilled(right, wrong, weight, o.negative == "official").sum()
        if o.alpha == 0:
            return total
        terms = robust(logits, chosen, self.weight, o.beta)
        if o.weighted_dro == "official":  # every row's weight meets every row's term: the product of two means
            return total + o.alpha * len(logits) * (weight.mean(0) * terms.mean(0)).sum() if len(logits) else total
        return total + o.alpha * (weight * terms).sum()

    def state(self) -> dict[str, npt.NDArray[Any]]:
        """The model's state dict, and in place of the projection what it adds to each item."""
        found = {name: array for name, array in super().state().items() if not name.startswith("titles.")}
        if self.shift is not None:
            found["shift"] = self.shift().detach().cpu().numpy()
        return found

    def restore(self, split: Split, state: Mapping[str, npt.NDArray[Any]]) -> None:
        """Load what :meth:`state` gave."""
        import torch

        plain = dict(state)
        shift = plain.pop("shift", None)
        super().restore(split, plain)
        self.shift = self.taught = None
        if shift is not None:
            fixed = torch.from_numpy(shift.copy())
            self.shift = lambda: fixed


plugin = BackbonePlugin(
    implementation=DLLM2Rec,
    summary="SASRec distilled from a language model's rankings and title embeddings",
    options=DLLM2RecOptions,
    default_loss="bce",
    default_decoder="topk",
    requires={"teacher": "bigrec"},
    extra="recbole",
    paper="Cui et al., DLLM2Rec, RecSys 2024. https://doi.org/10.1145/3640457.3688118",
)
