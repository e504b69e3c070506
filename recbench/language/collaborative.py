"""Collaborative tokens: ids above the text vocabulary whose embedding is projected from a recommender's vectors.

The only difference between BIGRec, LLaRA and A-LLMRec that a language model can see; everything else (collator,
trainer, decoders) handles plain ``input_ids``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional

from recbench.errors import RecbenchError
from recbench.types import Histories

CONCEALED = -1
"""The id of a collaborative token that a prompt does not show: the placeholder stands there."""


class CollaborativeEmbedding(nn.Embedding):
    """An input embedding that also knows the ids ``num_embeddings + item``, and behind those one for each window.

    Subclassing ``nn.Embedding`` and keeping its ``weight`` preserves tying with the output matrix; the projector is a
    child module so that PEFT can train and save it.

    Attributes:
        hybrid: False shows an untrained placeholder in place of every collaborative token (LLaRA's curriculum), True in
            place of those whose id is ``CONCEALED``.
    """

    vectors: Tensor
    cases: Tensor
    placeholder: Tensor

    def __init__(
        self,
        text: nn.Embedding,
        vectors: npt.NDArray[np.float32],
        projector: nn.Module,
        case_projector: nn.Module | None = None,
    ) -> None:
        super().__init__(1, 1)
        self.num_embeddings, self.embedding_dim = text.num_embeddings, text.embedding_dim
        self.padding_idx = text.padding_idx
        self.weight = text.weight
        self.projector = projector
        self.case_projector = case_projector
        self.hybrid = True
        device, dtype = text.weight.device, text.weight.dtype
        self.register_buffer("vectors", torch.as_tensor(vectors).to(device, dtype), persistent=False)
        self.register_buffer("cases", self.vectors.new_zeros(0, 0), persistent=False)
        self._known: dict[str, int] = {}  # windows that have rows already, by their digest
        # transformers gives a new token the mean of the table; LLaRA's [PH] is such a token and is never trained
        self.register_buffer("placeholder", text.weight.detach().float().mean(0).to(dtype), persistent=False)

    def forward(self, ids: Tensor) -> Tensor:
        """[..., width] embeddings of text and collaborative ids."""
        special = ((ids >= self.num_embeddings) | (ids == CONCEALED)).flatten().nonzero().squeeze(1)
        if not len(special):
            return super().forward(ids)
        flat = ids.flatten()
        text = functional.embedding(flat.index_fill(0, special, 0), self.weight)
        if self.hybrid:
            concealed = flat[special] == CONCEALED
            shown = self._projected((flat[special] - self.num_embeddings).masked_fill(concealed, 0)).to(text.dtype)
            shown = torch.where(concealed[:, None], self.placeholder, shown)
        else:
            trained = [p for m in (self.projector, self.case_projector) if m is not None for p in m.parameters()]
            # every parameter must take part in each step or DDP waits for its gradient for ever
            nothing = 0.0 * sum(p.sum() for p in trained if p.requires_grad)
            shown = self.placeholder.expand(len(special), -1) + nothing
        return text.index_copy(0, special, shown.to(text.dtype)).view(*ids.shape, -1)

    def _projected(self, row: Tensor) -> Tensor:
        """[n, width] of item rows, and of window rows behind them."""
        items = len(self.vectors)
        dtype = next(self.projector.parameters()).dtype
        if self.case_projector is None:
            return self.projector(self.vectors[row].to(dtype))
        is_case = row >= items
        shown = self.projector(self.vectors[row.masked_fill(is_case, 0)].to(dtype))
        users = self.case_projector(self.cases[row[is_case] - items].to(dtype))  # also of none: see above, DDP
        return shown.masked_scatter(is_case[:, None], users.to(shown.dtype))

    def add_cases(self, name: str, vectors: Callable[[], npt.NDArray[np.float32]]) -> int:
        """Row of the first of a set of windows; their vectors are computed when the set is new.

        Args:
            name: names the set (its digest).
            vectors: gives [N, d].
        """
        if name not in self._known:
            new = torch.as_tensor(vectors()).to(self.vectors)
            self._known[name] = len(self.vectors) + len(self.cases)
            self.cases = torch.cat([self.cases, new]) if len(self.cases) else new
        return self._known[name]


def install(
    model: Any, vectors: npt.NDArray[np.float32], projector: nn.Module, case_projector: nn.Module | None = None
) -> CollaborativeEmbedding:
    """Give ``model`` a :class:`CollaborativeEmbedding` in place of its input embedding.

    Raises:
        RecbenchError: the model's embedding is more than a look-up (Gemma scales it).
    """
    text = model.get_input_embeddings()
    if type(text).forward is not nn.Embedding.forward:
        raise RecbenchError(
            f"{type(text).__name__} does more than look embeddings up, so collaborative tokens cannot be mixed with "
            "text in this model: use a backbone without them, such as bigrec."
        )
    place = text.weight.device
    case_projector = None if case_projector is None else case_projector.to(place)
    embedding = CollaborativeEmbedding(text, vectors, projector.to(place), case_projector)
    model.set_input_embeddings(embedding)
    return embedding


def case_rows(embedding: CollaborativeEmbedding, backbone: Any) -> Callable[[Histories], int]:
    """What :attr:`recbench.prompts.encode.Encoder.case_rows` asks for a backbone with a token of each window."""

    def first(cases: Histories) -> int:
        return embedding.add_cases(cases.digest(), lambda: backbone.case_vectors(cases))

    return first


def find(model: nn.Module) -> CollaborativeEmbedding | None:
    """The collaborative embedding of a (possibly PEFT-wrapped) model, or None."""
    return next((m for m in model.modules() if isinstance(m, CollaborativeEmbedding)), None)
