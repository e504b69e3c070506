"""Sizes of a sequence model."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, model_validator

from recbench.interfaces import Options


class TransformerOptions(Options):
    """Sizes of the transformer; defaults are RecBole's."""

    layers: int = Field(2, ge=1, description="transformer layers")
    heads: int = Field(2, ge=1, description="attention heads; must divide hidden")
    hidden: int = Field(64, ge=1, description="width of item embeddings")
    inner: int = Field(256, ge=1, description="width of the feed-forward layers")
    dropout: float = Field(0.5, ge=0, lt=1, description="on embeddings and layers")
    attention_dropout: float = Field(0.5, ge=0, lt=1, description="on attention weights")

    @model_validator(mode="after")
    def _divisible(self) -> TransformerOptions:
        if self.hidden % self.heads:
            raise ValueError(f"heads={self.heads} does not divide hidden={self.hidden}")
        return self

    def settings(self, longest: int) -> dict[str, Any]:
        """The same under RecBole's names, for sequences of at most ``longest`` items."""
        return {
            "n_layers": self.layers,
            "n_heads": self.heads,
            "hidden_size": self.hidden,
            "inner_size": self.inner,
            "hidden_dropout_prob": self.dropout,
            "attn_dropout_prob": self.attention_dropout,
            "MAX_ITEM_LIST_LENGTH": longest,
        }


class SequenceOptions(TransformerOptions):
    """Options of SASRec and the methods built on it."""

    output: Literal["tied", "separate"] = Field(
        "tied", description="items are scored by their input embeddings, or by a separate matrix with a bias"
    )
