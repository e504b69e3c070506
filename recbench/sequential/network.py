"""RecBole's transformers as the bench trains them: the same function and distribution, in less time.

Importing any sequential model of RecBole 1.2.1 runs ``torch.autograd.set_detect_anomaly(True)`` (in its ``sine.py``),
which checks every gradient for NaN and nearly doubles an epoch: it is set back here. The last layer is computed only
where it is read (SASRec's queries and feed-forward, BERT4Rec's feed-forward); GELU is torch's instead of five
elementwise passes; and dropout draws 16 random bits an element instead of a float.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn

from recbench.errors import RecbenchError

_checking = torch.is_anomaly_enabled()
try:
    from recbole.model.sequential_recommender.bert4rec import BERT4Rec
    from recbole.model.sequential_recommender.sasrec import SASRec
except ModuleNotFoundError as error:
    raise RecbenchError(
        f"RecBole's models need the package {error.name}, which is not installed: "
        "pip install 'recbench-toolkit[recbole]' && pip install --no-deps recbole==1.2.1"
    ) from error
finally:
    torch.autograd.set_detect_anomaly(_checking)

_FIELDS = {
    "USER_ID_FIELD": "user",
    "ITEM_ID_FIELD": "item",
    "LIST_SUFFIX": "_list",
    "ITEM_LIST_LENGTH_FIELD": "length",
    "NEG_PREFIX": "negative_",
    "device": "cpu",
    "hidden_act": "gelu",
    "layer_norm_eps": 1e-12,
    "initializer_range": 0.02,
    "loss_type": "CE",
    # BERT4Rec's names of columns that its own loss reads; ours does not
    "MASK_ITEM_SEQ": "masked",
    "POS_ITEMS": "positives",
    "NEG_ITEMS": "negatives",
    "MASK_INDEX": "places",
}


class Dropout(nn.Dropout):
    """Dropout whose probability is rounded to 1/65536: torch draws bits several times faster than floats."""

    def forward(self, x: Tensor) -> Tensor:
        """On the CPU in training; elsewhere torch's own."""
        if not self.training or self.p == 0.0 or x.is_cuda:
            return super().forward(x)
        bits = torch.empty((x.numel() + 3) // 4, dtype=torch.int64).random_(-(2**63), None).view(torch.int16)
        keep = bits[: x.numel()].view(x.shape) >= round(self.p * 65536) - 32768
        return x * keep.to(x.dtype).mul_(1.0 / (1.0 - self.p))


class Causal(SASRec):
    """SASRec's transformer; items count from 1, 0 is RecBole's padding."""

    def encode(self, x: Tensor, items: Tensor, lengths: Tensor) -> Tensor:
        """[B, d] last states of input embeddings ``x`` [B, H, d] of left-aligned ``items`` [B, H]."""
        place = torch.arange(items.size(1), device=items.device)
        x = self.dropout(self.LayerNorm(x + self.position_embedding(place)))
        mask = self.get_attention_mask(items)
        *layers, last = self.trm_encoder.layer
        for layer in layers:
            x = layer(x, mask)
        return last.feed_forward(_attend_last(last.multi_head_attention, x, lengths))


def _attend_last(attention: Any, x: Tensor, lengths: Tensor) -> Tensor:
    """[B, d] what RecBole's ``attention`` makes of ``x`` [B, H, d] at each last place, the only one that is read."""
    heads, width = attention.num_attention_heads, attention.attention_head_size
    last = x[torch.arange(len(x), device=x.device), lengths - 1]
    query = attention.query(last).view(-1, heads, 1, width)
    key, value = (part(x).view(*x.shape[:2], heads, width).transpose(1, 2) for part in (attention.key, attention.value))
    beyond = torch.arange(x.size(1), device=x.device) >= lengths[:, None]
    scores = (query @ key.transpose(2, 3) / width**0.5).masked_fill(beyond[:, None, None], -10000.0)
    read = attention.attn_dropout(scores.softmax(-1)) @ value
    return attention.LayerNorm(attention.out_dropout(attention.dense(read.view(len(x), -1))) + last)


class Bidirectional(BERT4Rec):
    """BERT4Rec's transformer; items count from 1, 0 is padding and the number of items plus 1 the mask."""

    def encode(self, items: Tensor, read: Tensor) -> Tensor:
        """[M, d] states at the M places of left-aligned ``items`` [B, L] where ``read`` [B, L] is true."""
        place = torch.arange(items.size(1), device=items.device)
        x = self.dropout(self.LayerNorm(self.item_embedding(items) + self.position_embedding(place)))
        mask = self.get_attention_mask(items, bidirectional=True)
        *layers, last = self.trm_encoder.layer
        for layer in layers:
            x = layer(x, mask)
        x = last.feed_forward(last.multi_head_attention(x, mask)[read])
        return self.output_ln(self.output_gelu(self.output_ffn(x)))


class Network(nn.Module):
    """A transformer behind ``forward(batch) -> {"loss"}``.

    Args:
        kind: :class:`Causal` or :class:`Bidirectional`.
        settings: RecBole's names of its sizes.
        items: size of the catalogue.
        objective: a batch of columns to the loss.
        separate: whether a separate output matrix and bias score the items.
    """

    def __init__(
        self,
        kind: type[nn.Module],
        settings: Mapping[str, Any],
        items: int,
        objective: Callable[[Mapping[str, Tensor]], Tensor],
        separate: bool = False,
    ) -> None:
        super().__init__()
        self.model: Any
        self.model = kind(_FIELDS | dict(settings), SimpleNamespace(num=lambda _field: items + 1))
        self.output = nn.Linear(settings["hidden_size"], items) if separate else None
        self.objective, self.items = objective, items
        for layer in self.model.trm_encoder.layer:
            layer.feed_forward.intermediate_act_fn = nn.functional.gelu
        for parent in list(self.model.modules()):
            for name, child in parent.named_children():
                if type(child) is nn.Dropout:
                    setattr(parent, name, Dropout(child.p))

    def forward(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The loss of a batch of columns."""
        return {"loss": self.objective(batch)}

    def catalogue(self) -> tuple[Tensor, Tensor | None]:
        """[items, d] what an item's score is the product with, and the bias [items] of its score."""
        if self.output is not None:
            return self.output.weight, self.output.bias
        weight, bias = self.model.item_embedding.weight, getattr(self.model, "output_bias", None)
        return weight[1 : self.items + 1], None if bias is None else bias[1:]
