"""New tokens of a pretrained model: rows of its embedding and output matrix, the only ones of them that are trained.

PEFT's ``trainable_token_indices`` keeps the trained rows next to the matrices, and puts them in their place whenever a
matrix is read. Where the two matrices are one, so are the rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from recbench.errors import RecbenchError
from recbench.seeds import child_seed


def add_rows(lm: Any, ids: Sequence[int], seed: int) -> None:
    """Give a model rows for new tokens, drawn around the mean of those that it has, with their spread.

    Args:
        lm: a causal language model without adapters. Some have spare rows already.
        ids: of the tokens, behind those of its own tokenizer.
        seed: of the run.

    Raises:
        RecbenchError: its output matrix has a bias, which PEFT leaves out next to trained rows.
    """
    if getattr(lm.get_output_embeddings(), "bias", None) is not None:
        raise RecbenchError(
            f"{type(lm).__name__} adds a bias to its logits, which is not supported with new tokens: use --identifier "
            "title."
        )
    own = min(ids)
    tables = [lm.get_input_embeddings().weight, lm.get_output_embeddings().weight]
    spread = [(t[:own].float().mean(0), t[:own].float().std(0)) for t in (table.detach() for table in tables)]
    if max(ids) >= len(tables[0]):
        lm.resize_token_embeddings(max(ids) + 1, mean_resizing=False)
    random = torch.Generator().manual_seed(child_seed(seed, "rows of new tokens"))
    places = (lm.get_input_embeddings().weight, lm.get_output_embeddings().weight)
    with torch.no_grad():
        for place, (mean, deviation) in list(zip(places, spread, strict=True))[: 1 + (places[0] is not places[1])]:
            drawn = torch.randn(len(ids), place.shape[1], generator=random).to(place.device)
            place[list(ids)] = (mean + deviation * drawn).to(place.dtype)


def trained_rows(lm: Any, ids: Sequence[int]) -> dict[str, list[int]]:
    """What ``LoraConfig.trainable_token_indices`` is told: the rows, by the last name of the matrix's module."""
    embedding, head = lm.get_input_embeddings(), lm.get_output_embeddings()
    wanted = (embedding,) if embedding.weight is head.weight else (embedding, head)
    return {
        name.rpartition(".")[2]: list(ids) for name, module in lm.named_modules() if any(module is w for w in wanted)
    }


def in_full_precision(lm: Any) -> Any:
    """The same model with its trained rows in fp32: in half precision, a step of 1e-4 would be rounded away."""
    for name, parameter in lm.named_parameters():
        if "trainable_tokens_delta" in name:
            parameter.data = parameter.data.float()
    return lm


class Head:
    """An output matrix with trained rows, as losses and decoders read one.

    Args:
        wrapped: PEFT's wrapper of the matrix.
    """

    bias = None

    def __init__(self, wrapped: Any) -> None:
        self.wrapped = wrapped
        self._known: tuple[Any, Tensor] | None = None

    @property
    def weight(self) -> Tensor:
        """[vocabulary, width] with the trained rows in their place; kept until they change, where no gradient flows."""
        if torch.is_grad_enabled():
            return self.wrapped.weight
        own, rows = self.wrapped.original_module.weight, self.wrapped.token_adapter.trainable_tokens_delta
        state = [(p.data_ptr(), p.dtype, p.device, p._version) for p in (own, *rows.values())]
        if self._known is None or self._known[0] != state:
            self._known = state, self.wrapped.weight
        return self._known[1]

    @property
    def in_features(self) -> int:
        """Width of a hidden state."""
        return int(self.wrapped.original_module.in_features)

    def __call__(self, hidden: Tensor) -> Tensor:
        """[..., vocabulary] logits."""
        return nn.functional.linear(hidden, self.weight)
