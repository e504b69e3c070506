"""Collaborative tokens: ids above the text vocabulary whose embedding is projected from a recommender's vectors.

The only difference between BIGRec, LLaRA and A-LLMRec that a language model can see; everything else (collator,
trainer, decoders) handles plain ``input_ids``.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional

from recbench.errors import RecbenchError


class CollaborativeEmbedding(nn.Embedding):
    """An input embedding that also knows the ids ``num_embeddings + item``.

    Subclassing ``nn.Embedding`` and keeping its ``weight`` preserves tying with the output matrix; the projector is a
    child module so that PEFT can train and save it.

    Attributes:
        hybrid: False shows an untrained placeholder in place of each collaborative token (LLaRA's curriculum).
    """

    vectors: Tensor
    placeholder: Tensor

    def __init__(self, text: nn.Embedding, vectors: npt.NDArray[np.float32], projector: nn.Module) -> None:
        super().__init__(1, 1)
        self.num_embeddings, self.embedding_dim = text.num_embeddings, text.embedding_dim
        self.padding_idx = text.padding_idx
        self.weight = text.weight
        self.projector = projector
        self.hybrid = True
        device, dtype = text.weight.device, text.weight.dtype
        self.register_buffer("vectors", torch.as_tensor(vectors).to(device, dtype), persistent=False)
        # transformers gives a new token the mean of the table; LLaRA's [PH] is such a token and is never trained
        self.register_buffer("placeholder", text.weight.detach().float().mean(0).to(dtype), persistent=False)

    def forward(self, ids: Tensor) -> Tensor:
        """[..., width] embeddings of text and collaborative ids."""
        special = ids >= self.num_embeddings
        if not bool(special.any()):
            return super().forward(ids)
        text = functional.embedding(ids.masked_fill(special, 0), self.weight)
        if self.hybrid:
            items = (ids - self.num_embeddings).clamp_min(0)[special]
            shown = self.projector(self.vectors[items].to(next(self.projector.parameters()).dtype)).to(text.dtype)
        else:
            shown = self.placeholder.expand(int(special.sum()), -1)
            # every parameter must take part in each step or DDP waits for its gradient for ever
            shown = shown + 0.0 * sum(p.sum() for p in self.projector.parameters() if p.requires_grad)
        return text.masked_scatter(special[..., None], shown.to(text.dtype))


def install(model: Any, vectors: npt.NDArray[np.float32], projector: nn.Module) -> CollaborativeEmbedding:
    """Give ``model`` a :class:`CollaborativeEmbedding` in place of its input embedding.

    Raises:
        RecbenchError: the model's embedding is no plain look-up (Gemma scales it).
    """
    text = model.get_input_embeddings()
    if type(text).forward is not nn.Embedding.forward:
        raise RecbenchError(
            f"{type(text).__name__} does more than look embeddings up, so collaborative tokens cannot stand beside "
            "text in this model: use a backbone without them, such as bigrec."
        )
    embedding = CollaborativeEmbedding(text, vectors, projector.to(text.weight.device))
    model.set_input_embeddings(embedding)
    return embedding


def find(model: nn.Module) -> CollaborativeEmbedding | None:
    """The collaborative embedding of a (possibly PEFT-wrapped) model, or None."""
    return next((m for m in model.modules() if isinstance(m, CollaborativeEmbedding)), None)
