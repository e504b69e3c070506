"""A trained text recommender as decoders see it: a causal LM and the encoder of its prompts."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal, cast

import torch
from torch import Tensor, nn

from recbench.errors import UsageError
from recbench.language.collaborative import CollaborativeEmbedding, find
from recbench.language.hidden_states import HiddenStates
from recbench.language.new_rows import Head
from recbench.language.trial import tried
from recbench.prompts.encode import Encoder
from recbench.types import Longs


@dataclass
class TextModel:
    """A language model with everything needed to prompt it.

    Attributes:
        lm: a transformers causal LM, maybe wrapped by PEFT.
        encoder: prompts and titles as token ids, and the trie.
        device: where ``lm`` is.
        counts: [items] how often each item is a training target, for decoders that mix popularity in; or None.
        recommender: a trained :class:`recbench.interfaces.ScoringBackbone`, for decoders that ask for one; or None.
        trained_at: what its loss divided logits by at the end of the epoch that was kept (MSL: tau).
        temperature: what searches divide logits by, see :meth:`at`.
    """

    lm: Any
    encoder: Encoder
    device: str
    counts: Longs | None = None
    recommender: Any = None
    trained_at: float = 1.0
    temperature: float = field(default=1.0, init=False)
    _head: Head | None = field(default=None, init=False, repr=False)

    @property
    def causal(self) -> Any:
        """The transformers causal LM itself (LoRA layers stay injected in it)."""
        return self.lm.get_base_model() if hasattr(self.lm, "get_base_model") else self.lm

    @property
    def decoder(self) -> Any:
        """The transformer without its output matrix: ids to hidden states."""
        return self.causal.get_decoder()

    @property
    def head(self) -> nn.Linear:
        """The output matrix; one with trained rows looks like a plain one."""
        own = self.causal.get_output_embeddings()
        if not hasattr(own, "token_adapter"):
            return own
        if self._head is None or self._head.wrapped is not own:
            self._head = Head(own)
        return cast(nn.Linear, self._head)

    @cached_property
    def hidden_states(self) -> HiddenStates:
        """Reads rows of tokens; made, and tried out, on first use."""
        return tried(self.causal)

    @property
    def collaborative(self) -> CollaborativeEmbedding | None:
        """The embedding of collaborative tokens, where the backbone has them."""
        return find(self.lm)

    @contextmanager
    def in_fp32(self) -> Iterator[None]:
        """Compute in fp32 for a while, whatever the weights are kept in; they come back unchanged.

        Raises:
            UsageError: the weights are quantised.
        """
        if getattr(self.causal.config, "quantization_config", None) is not None:
            raise UsageError("decoder.precision=fp32 needs llm.bits=16: quantised weights are not kept in fp32.")
        halves = [p for p in (*self.lm.parameters(), *self.lm.buffers()) if p.dtype in (torch.bfloat16, torch.float16)]
        kept = [p.data for p in halves]
        try:
            for half in halves:
                half.data = half.data.float()
            yield
        finally:
            for half, data in zip(halves, kept, strict=True):
                half.data = data

    @contextmanager
    def at(self, temperature: float | Literal["loss"]) -> Iterator[None]:
        """Search at a temperature for a while; ``loss``: at the one that the model was trained at."""
        before = self.temperature
        self.temperature = self.trained_at if temperature == "loss" else temperature
        try:
            yield
        finally:
            self.temperature = before

    def trainable(self) -> dict[str, Tensor]:
        """The trained parameters by name, on the CPU: with the spec, all it takes to rebuild the model."""
        return {n: p.detach().cpu().contiguous() for n, p in self.lm.named_parameters() if p.requires_grad}

    def restore(self, parameters: dict[str, Tensor]) -> None:
        """Load what :meth:`trainable` gave, and switch to evaluation.

        Raises:
            KeyError: the names differ from this model's.
        """
        own = {n: p for n, p in self.lm.named_parameters() if p.requires_grad}
        if own.keys() != parameters.keys():
            raise KeyError(f"parameters differ: {sorted(own.keys() ^ parameters.keys())[:3]}")
        with torch.no_grad():
            for name, parameter in own.items():
                parameter.copy_(parameters[name])
        self.lm.eval()  # PEFT's layers start with their dropout on
