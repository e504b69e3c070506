"""Grounding: generate freely, then recommend the items whose titles lie nearest to what was generated.

Paper: Bao et al., "A Bi-Step Grounding Paradigm for Large Language Models in Recommendation Systems", section 3.2,
https://arxiv.org/abs/2308.08434. Original code: github.com/SAI990323/BIGRec (``inference.py``, ``evaluate.py``).

Every title is embedded once per ranking. Above 100,000 items faiss searches, if it is installed
(``recbench-toolkit[neighbours]``) and no fusion needs all distances. The report has the share of best beams whose title
is not in the catalogue.

Known differences, and the options that control them:

- The tuned model embeds titles; ``embedding=base`` uses the untuned model as in the code, with adapters switched off.
  As in the code, the embedding is the last layer's hidden state at a title's last token, quotes stripped, read behind
  the tokenizer's first token where it has one (BOS); the distance is L2; the best of ``beams`` free beams is grounded
  (``ground=all`` takes an item's smallest distance to any of them).
- ``fusion`` is the code's second step, off by default: distances, scaled to [0, 1] case by case, are multiplied by
  ``(1 + P) ** -gamma``, where P is the popularity or a recommender's scores on the same scale. The code chooses gamma
  on the test metrics, one for each metric and cut-off; here it is an option to be chosen on validation.
- One trained model serves every decoder: its epoch is the one that is best under the backbone's validation decoder (the
  constrained beam, for all methods here), which need not be the best one for grounding.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from recbench.interfaces import DecoderPlugin, Options, Reporter, TextDecoder

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from recbench.language.textmodel import TextModel
    from recbench.search.nearest import Nearest
    from recbench.types import Histories, Ranking


class GroundingOptions(Options):
    """Options of ``--decoder grounding``."""

    beams: int = Field(4, ge=1, description="beams of the free generation")
    batch_size: int = Field(64, ge=1, description="users generated at a time; part of the spec")
    embedding: Literal["tuned", "base"] = Field(
        "tuned", description="the model that embeds titles: as tuned, or without its adapters (as in the code)"
    )
    ground: Literal["best", "all"] = Field("best", description="which beams are grounded: the best, or all")
    fusion: Literal["none", "popularity", "collaborative"] = Field(
        "none", description="what is mixed into the distances: nothing, popularity, or a recommender's scores"
    )
    gamma: float = Field(1.0, ge=0, description="weight of the fusion; 0 keeps the order of the distances")
    collaborative: str = Field("sasrec", description="the backbone whose scores fusion=collaborative mixes in")

    def requires(self) -> Mapping[str, str]:
        """A trained recommender, where its scores are mixed in."""
        return {"collaborative": self.collaborative} if self.fusion == "collaborative" else {}


class Grounding(TextDecoder[GroundingOptions]):
    """Nearest titles to a freely generated one."""

    _known: tuple[Any, Nearest] | None = None  # the weights, and the embeddings of the titles by them

    def rank(
        self, model: TextModel, cases: Histories, depth: int, exclude_history: bool, reporter: Reporter
    ) -> Ranking:
        """See :class:`recbench.interfaces.Decoder`; ties in catalogue order.

        Scores are negative distances, with fusion negative fused distances. Raises UsageError where ``embedding=base``
        meets a model without adapters.
        """
        import numpy as np

        from recbench.search import top
        from recbench.search.generate import generate
        from recbench.types import PAD, Ranking

        encoder, options = model.encoder, self.options
        size, kept = options.batch_size, options.beams if options.ground == "all" else 1
        nearest = self._nearest(model, reporter)
        prompts = encoder.prompts(cases)
        order = np.argsort([len(p) for p in prompts], kind="stable")
        items = np.full((len(cases), depth), PAD, np.int32)
        scores = np.full((len(cases), depth), -np.inf, np.float32)
        invalid, titles = 0, set(encoder.catalog.titles)
        for start in range(0, len(order), size):
            rows = order[start : start + size]
            answers = generate(model, [prompts[r] for r in rows], options.beams, kept)
            ids = [tokens for beams in answers for tokens, _ in beams]
            texts = [_unquoted(t, encoder.template.title) for t in encoder.tokenizer.batch_decode(ids)]
            invalid += sum(text not in titles for text in texts[::kept])
            history = cases.history[rows]
            queries = self._embed(model, texts)
            if nearest.index is not None:
                items[rows], scores[rows] = nearest.few(queries, kept, depth, history if exclude_history else None)
            else:
                part = cases.take(rows)
                near = -self._fuse(nearest.all(queries, kept), model, part)
                found = top(near, part, depth, exclude_history)
                items[rows], scores[rows] = found.items, found.scores
            reporter.advance(min(start + size, len(order)), len(order))
        return Ranking(items, scores, invalid_share=invalid / len(cases), generated=len(cases))

    def _nearest(self, model: TextModel, reporter: Reporter) -> Nearest:
        """The catalogue's titles, embedded once for the weights as they are."""
        from recbench.search.nearest import Nearest

        weights = model.lm, model.encoder.catalog, _sums(model)
        if self._known is None or self._known[0] != weights:
            titles = self._embed(model, model.encoder.catalog.titles)
            self._known = weights, Nearest(titles, reporter, few=self.options.fusion == "none")
        return self._known[1]

    def _embed(self, model: TextModel, titles: Sequence[str]) -> npt.NDArray[np.float32]:
        """[titles, width] states of the chosen model."""
        from recbench.errors import UsageError
        from recbench.language.embeddings import title_states

        if self.options.embedding == "tuned":
            without = nullcontext()
        elif hasattr(model.lm, "disable_adapter"):
            without = model.lm.disable_adapter()
        else:
            raise UsageError(
                "decoder.embedding=base needs adapters to switch off, and this language model was trained whole, as "
                "--llm tiny is: use decoder.embedding=tuned."
            )
        with without:
            return title_states(model, titles, self.options.batch_size)

    def _fuse(self, far: npt.NDArray[np.float32], model: TextModel, cases: Histories) -> npt.NDArray[np.floating]:
        """[cases, items] what is sorted: the distances, or their fusion."""
        if self.options.fusion == "none":
            return far
        if self.options.fusion == "popularity":
            assert model.counts is not None
            return fused(far, model.counts, self.options.gamma)
        return fused(far, model.recommender.scores(cases), self.options.gamma)


def _sums(model: TextModel) -> list[tuple[float, float]]:
    """A value that changes with every training step, to tell when weights have changed."""
    import torch

    trained = [p.detach() for p in model.lm.parameters() if p.requires_grad]
    return [(float(p.sum(dtype=torch.float64)), float(p.square().sum(dtype=torch.float64))) for p in trained]


def fused(distance: npt.ArrayLike, evidence: npt.ArrayLike, gamma: float) -> npt.NDArray[np.float64]:
    """[cases, items] BIGRec's second step, ascending: scaled distance times ``(1 + scaled evidence) ** -gamma``.

    Args:
        distance: [cases, items].
        evidence: [items] counts (their share has the same scale), or [cases, items] scores; more is better.
        gamma: weight of the evidence. The nearest item has 0 and stays first whatever the weight.
    """
    return scaled(distance) * (1.0 + scaled(evidence)) ** -gamma


def scaled(values: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """``values`` moved to [0, 1] along the last axis; 0 where all are equal."""
    import numpy as np

    values = np.asarray(values, np.float64)
    low = values.min(axis=-1, keepdims=True)
    span = values.max(axis=-1, keepdims=True) - low
    return (values - low) / np.where(span > 0, span, 1.0)


def _unquoted(text: str, title: str) -> str:
    """The generated text without the quotes that the template puts around a title."""
    before, _, after = title.partition("{}")
    return text.strip().removeprefix(before).removesuffix(after).strip()


plugin = DecoderPlugin(
    implementation=Grounding,
    summary="free generation, then the nearest titles (BIGRec)",
    options=GroundingOptions,
    reads_titles=True,
    paper="Bao et al., BIGRec, 2023, section 3.2. https://arxiv.org/abs/2308.08434",
)
