"""Rows of tokens read without padding: packed one after the other, attention through tables, nothing computed unread.

transformers hands every attention layer to a function that is registered by name. Ours attends within rows of a packed
sequence, maybe behind a shared beginning that is read once, or over a :class:`KVCache` of what was read before; without
a plan it is transformers' own SDPA. Whatever is not needed is not computed: in the last layer only keys and values are
made for all tokens, the rest of it for those whose hidden states are wanted.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

NAME = "recbench"  # of the attention function, in transformers' registry


@dataclass
class Places:
    """Where packed queries are in the [R, Q] grid that attention is computed on.

    Attributes:
        query: [R * Q] packed query of each place; any where there is none.
        back: [S] place of each packed query.
        seen: [R, Q, K] which keys of its row a query sees.
    """

    query: Tensor
    back: Tensor
    seen: Tensor
    _bias: Tensor | None = field(default=None, repr=False)

    @classmethod
    def of(cls, row: Tensor, seen: Tensor) -> Places:
        """Of S queries in rising ``row`` [S]; each sees the keys of its row where ``seen`` [R, Q, K] is true."""
        rows, width, _ = seen.shape
        start = torch.searchsorted(row, torch.arange(rows, device=row.device))
        place = torch.arange(len(row), device=row.device) - start[row]
        back = row * width + place
        query = torch.zeros(rows * width, dtype=torch.long, device=row.device)
        query[back] = torch.arange(len(row), device=row.device)
        return cls(query, back, seen)

    def attend(self, query: Tensor, key: Tensor, value: Tensor, scaling: float | None, dropout: float) -> Tensor:
        """[S, heads, d] attention of ``query`` [S, heads, d] to ``key`` and ``value`` [R, key heads, K, d]."""
        rows, key_heads, _, _ = key.shape
        heads, width = query.shape[1:]
        places, group = self.seen.shape[1], heads // key_heads
        grid = query.flatten(1).index_select(0, self.query).view(rows, places, key_heads, group, width)
        # query heads that share a key stand below each other, so that no key is copied
        grid = grid.permute(0, 2, 3, 1, 4).reshape(rows, key_heads, group * places, width)
        out = torch.nn.functional.scaled_dot_product_attention(
            grid, key, value, attn_mask=self._added(grid.dtype, group), dropout_p=dropout, scale=scaling
        )
        out = out.view(rows, key_heads, group, places, -1).permute(0, 3, 1, 2, 4).reshape(rows * places, -1)
        return out.index_select(0, self.back).view(len(self.back), heads, -1)

    def _added(self, dtype: torch.dtype, group: int) -> Tensor:
        """[R, 1, group * Q, K] 0, or a number so low that a key is not seen; made once for all layers.

        Finite, since a place without a query sees nothing; and half the lowest number, since autocast may round it.
        """
        if self._bias is None or self._bias.dtype != dtype:
            bias = torch.zeros(self.seen.shape, dtype=dtype, device=self.seen.device)
            self._bias = bias.masked_fill_(~self.seen, torch.finfo(dtype).min / 2)[:, None].repeat(1, 1, group, 1)
        return self._bias


class KVCache:
    """Keys and values of what was read, by layer and row; rows grow at their own pace.

    Attributes:
        used: columns that hold something in some row.
    """

    def __init__(self, rows: int) -> None:
        self.rows, self.used = rows, 0
        self._kept: dict[int, tuple[Tensor, Tensor]] = {}

    def put(self, layer: int, key: Tensor, value: Tensor, row: Tensor, column: Tensor) -> tuple[Tensor, Tensor]:
        """Write ``key`` and ``value`` [T, heads, d] to their places; all that is there, [rows, heads, used, d] each."""
        found = []
        for old, new in zip(self._kept.get(layer, (None, None)), (key, value), strict=True):
            if old is None or old.shape[2] < self.used:
                size = max(self.used, 0 if old is None else old.shape[2] * 3 // 2)
                grown = new.new_zeros(self.rows, new.shape[1], size, new.shape[2])
                if old is not None:
                    grown[:, :, : old.shape[2]] = old
                old = grown
            old[row, :, column] = new
            found.append(old)
        self._kept[layer] = (found[0], found[1])
        return found[0][:, :, : self.used], found[1][:, :, : self.used]

    def begin(self, shared: KVCache, length: int) -> None:
        """Start every row with the first ``length`` columns of ``shared``, which has one row."""
        self.used = length
        for layer, (key, value) in shared._kept.items():
            first = [x[:, :, :length].expand(self.rows, -1, -1, -1).contiguous() for x in (key, value)]
            self._kept[layer] = (first[0], first[1])

    def keep(self, rows: Tensor) -> None:
        """Go on with these rows only, in the given order."""
        self.rows = len(rows)
        self._kept = {layer: (key[rows], value[rows]) for layer, (key, value) in self._kept.items()}


class Enough(Exception):
    """What a pass was for is there: keys and values of the last layer, or what enters the first trained one."""


@dataclass
class AttentionPlan:
    """How the packed tokens of one forward pass attend.

    Attributes:
        places: of all tokens as queries.
        keys: [R, K] packed token of each key of each row, any where there is none; None with a cache.
        cache, row, column: where keys and values are kept, and the place of each token there; or None.
        wanted: [S] tokens whose last hidden states are wanted, ascending; None wants all.
        chosen: places of the wanted tokens as queries of the last layer.
        below: [T, width] hidden states that enter the first trained layer; given, the layers below do nothing.
        stops: end the pass at that layer, with ``below``.
    """

    places: Places
    keys: Tensor | None = None
    cache: KVCache | None = None
    row: Tensor | None = None
    column: Tensor | None = None
    wanted: Tensor | None = None
    chosen: Places | None = None
    below: Tensor | None = None
    stops: bool = False
    _collecting: bool = field(default=False, repr=False)
    _collected: tuple[Tensor, Tensor] | None = field(default=None, repr=False)
    _last: int = field(default=-1, repr=False)  # the layer that they belong to

    def attend(
        self, layer: int, query: Tensor, key: Tensor, value: Tensor, scaling: float | None, dropout: float
    ) -> Tensor:
        """[S, heads, d]; query, key and value are [T, heads, d], or of the wanted tokens only in the last layer."""
        if self._collecting:
            self._collected, self._last = (key, value), layer
            raise Enough
        places = self.places
        if layer == self._last:  # when a checkpointed layer runs again, too
            assert self._collected is not None
            assert self.chosen is not None
            (key, value), places = self._collected, self.chosen
        if self.cache is not None:
            assert self.row is not None
            assert self.column is not None
            key, value = self.cache.put(layer, key, value, self.row, self.column)
        else:
            assert self.keys is not None
            key, value = (
                x.flatten(1).index_select(0, self.keys.flatten()).view(*self.keys.shape, *x.shape[1:]).transpose(1, 2)
                for x in (key, value)
            )
        return places.attend(query, key, value, scaling, dropout)

    def enter_last_layer(self, layer: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Keys and values for all tokens; then the layer's arguments for the wanted ones."""
        checkpointed, layer.gradient_checkpointing = getattr(layer, "gradient_checkpointing", False), False
        self._collecting = True
        try:
            layer.forward(*args, **kwargs)
        except Enough:
            pass
        finally:
            self._collecting, layer.gradient_checkpointing = False, checkpointed
        wanted = self.wanted
        assert wanted is not None

        def chosen(value: Any) -> Any:
            return value.index_select(1, wanted) if isinstance(value, Tensor) else value

        kwargs = dict(kwargs)
        if isinstance(kwargs.get("position_embeddings"), tuple):
            kwargs["position_embeddings"] = tuple(map(chosen, kwargs["position_embeddings"]))
        for name in ("position_ids", "hidden_states"):
            if name in kwargs:
                kwargs[name] = chosen(kwargs[name])
        return (chosen(args[0]), *args[1:]) if args else args, kwargs


def attention(
    module: Any,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    packed: AttentionPlan | None = None,
    **rest: Any,
) -> tuple[Tensor, None]:
    """transformers' attention interface; ``packed`` comes through the model's keyword arguments."""
    from transformers.integrations.sdpa_attention import sdpa_attention_forward

    if packed is None:
        found: tuple[Tensor, None] = sdpa_attention_forward(module, query, key, value, attention_mask, **rest)
        return found
    if strange := {name for name in ("softcap", "s_aux", "position_bias") if rest.get(name) is not None}:
        raise NotImplementedError(f"attention with {', '.join(sorted(strange))}")
    query, key, value = (x[0].transpose(0, 1) for x in (query, key, value))
    out = packed.attend(module.layer_idx, query, key, value, rest.get("scaling"), rest.get("dropout", 0.0))
    return out[None], None


def _before_last_layer(layer: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    packed = kwargs.get("packed")
    return packed.enter_last_layer(layer, args, kwargs) if packed is not None and packed.wanted is not None else None


def install(causal: Any) -> bool:
    """Give a causal LM our attention; False where its architecture does not take one."""
    from transformers import AttentionInterface, AttentionMaskInterface
    from transformers.masking_utils import sdpa_mask

    AttentionInterface.register(NAME, attention)
    AttentionMaskInterface.register(NAME, sdpa_mask)
    decoder = causal.get_decoder()
    layers = layers_of(decoder)
    if layers is None or not getattr(causal, "_supports_attention_backend", False):
        return False
    causal.config._attn_implementation = NAME
    if _before_last_layer not in layers[-1]._forward_pre_hooks.values():
        layers[-1].register_forward_pre_hook(_before_last_layer, with_kwargs=True)
    return True


def layers_of(decoder: Any) -> Any:
    """The layers of a transformer, by the names that transformers gives them; None where it has others."""
    return getattr(decoder, "layers", getattr(decoder, "h", None))


def read(decoder: Any, ids: Tensor, position: Tensor, plan: AttentionPlan, shortens: bool = True) -> Tensor:
    """[S, width] last hidden states of the wanted ones of the packed tokens ``ids`` [T] at ``position`` [T].

    Args:
        decoder, ids, position, plan: of the pass.
        shortens: whether the last layer can do with the wanted tokens; else it computes all.
    """
    wanted = plan.wanted
    if not shortens:
        plan.wanted = None
    try:
        hidden: Tensor = decoder(
            input_ids=ids[None],
            position_ids=position[None],
            # four dimensions: taken as it is, so that no mask over all pairs of tokens is made for nothing
            attention_mask=torch.zeros(1, 1, 1, 1, dtype=torch.bool, device=ids.device),
            use_cache=False,
            packed=plan,
        ).last_hidden_state
    except Enough:
        assert plan.below is not None
        return plan.below
    return hidden[0] if shortens or wanted is None else hidden[0, wanted]
