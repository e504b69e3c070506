"""SASRec through RecBole: its model, trained by the bench's loop on the bench's windows.

Paper: Kang and McAuley, "Self-Attentive Sequential Recommendation", ICDM 2018, https://doi.org/10.1109/ICDM.2018.00035.
Implementation: RecBole 1.2.1, ``recbole.model.sequential_recommender.SASRec``, its published defaults.

Known differences: RecBole's own trainer, configuration and evaluator are not used (the configuration evaluates the
command line and sets CUDA_VISIBLE_DEVICES, the evaluator fails on numpy 2); training windows are ours, every target is
ranked against the whole catalogue, and the epoch is chosen on validation NDCG@10.

Why it is faster than under RecBole, with the same function and distribution: importing any sequential model of RecBole
1.2.1 runs ``torch.autograd.set_detect_anomaly(True)`` (in its ``sine.py``), which checks every gradient for NaN and
nearly doubles an epoch; the last feed-forward layer runs at the last position only, since no other is read; GELU is
torch's instead of five elementwise passes; and dropout draws 16 random bits an element instead of a float.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from pydantic import Field, model_validator

from recbench.interfaces import Fit, FitReport, Options, Plugin, ScoringBackbone

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from recbench.types import Sequences, Split


class SASRecOptions(Options):
    """Options of ``--model sasrec``; defaults are RecBole's."""

    layers: int = Field(2, ge=1, description="transformer layers")
    heads: int = Field(2, ge=1, description="attention heads; must divide hidden")
    hidden: int = Field(64, ge=1, description="width of item embeddings")
    inner: int = Field(256, ge=1, description="width of the feed-forward layers")
    dropout: float = Field(0.5, ge=0, lt=1, description="on embeddings and layers")
    attention_dropout: float = Field(0.5, ge=0, lt=1, description="on attention weights")

    @model_validator(mode="after")
    def _divisible(self) -> SASRecOptions:
        if self.hidden % self.heads:
            raise ValueError(f"heads={self.heads} does not divide hidden={self.hidden}")
        return self


class SASRec(ScoringBackbone[SASRecOptions]):
    """A causal transformer over item embeddings; an item's score is its embedding's product with the last state."""

    module: Any = None

    def fit(self, split: Split, fit: Fit) -> FitReport:
        """Softmax cross-entropy over the catalogue, on every training window."""
        import torch
        from torch.utils.data import TensorDataset

        from recbench.seeds import seed_everything
        from recbench.training.loop import fit as train

        seed_everything(fit.seed, "sasrec weights")
        self._build(split)
        self.module.to(fit.device)
        items, lengths = _left_aligned(split.train)
        data = TensorDataset(items, lengths, torch.from_numpy(split.train.target).long() + 1)

        def collate(rows: list[Any]) -> dict[str, Any]:
            columns = [torch.stack(column) for column in zip(*rows, strict=True)]
            return dict(zip(("items", "lengths", "target"), columns, strict=True))

        return train(self.module, data, collate, fit, purpose="sasrec")

    def scores(self, cases: Sequences) -> npt.NDArray[np.float32]:
        """[N, items] inner products."""
        import torch

        items, lengths = _left_aligned(cases)
        self.module.eval()
        device = next(self.module.parameters()).device
        with torch.inference_mode():
            state = self.module.model(items.to(device), lengths.to(device))
            grid = state @ self.module.model.item_embedding.weight[1:].T
        return grid.float().cpu().numpy()

    def item_vectors(self) -> npt.NDArray[np.float32]:
        """The item embedding table."""
        return self.module.model.item_embedding.weight[1:].detach().float().cpu().numpy()

    def state(self) -> dict[str, npt.NDArray[Any]]:
        """The model's state dict."""
        return {n: v.detach().cpu().numpy() for n, v in self.module.state_dict().items()}

    def restore(self, split: Split, state: Mapping[str, npt.NDArray[Any]]) -> None:
        """Load a state dict."""
        import torch

        self._build(split)
        self.module.load_state_dict({n: torch.from_numpy(v.copy()) for n, v in state.items()})
        self.module.eval()

    def _build(self, split: Split) -> None:
        o = self.options
        settings = {
            "n_layers": o.layers,
            "n_heads": o.heads,
            "hidden_size": o.hidden,
            "inner_size": o.inner,
            "hidden_dropout_prob": o.dropout,
            "attn_dropout_prob": o.attention_dropout,
            "hidden_act": "gelu",
            "layer_norm_eps": 1e-12,
            "initializer_range": 0.02,
            "loss_type": "CE",
            "MAX_ITEM_LIST_LENGTH": split.train.history.shape[1],
        }
        self.module = _module(settings, len(split.catalog))


def _module(settings: dict[str, Any], items: int) -> Any:
    import torch
    from torch import nn

    checking = torch.is_anomaly_enabled()
    from recbole.model.sequential_recommender.sasrec import SASRec as RecBoleSASRec

    torch.autograd.set_detect_anomaly(checking)

    fields = {
        "USER_ID_FIELD": "user",
        "ITEM_ID_FIELD": "item",
        "LIST_SUFFIX": "_list",
        "ITEM_LIST_LENGTH_FIELD": "length",
        "NEG_PREFIX": "negative_",
        "device": "cpu",
    }

    class Dropout(nn.Dropout):
        """Dropout whose probability is rounded to 1/65536: torch draws bits several times faster than floats."""

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            if not self.training or self.p == 0.0 or x.is_cuda:
                return super().forward(x)
            bits = torch.empty((x.numel() + 3) // 4, dtype=torch.int64).random_(-(2**63), None).view(torch.int16)
            keep = bits[: x.numel()].view(x.shape) >= round(self.p * 65536) - 32768
            return x * keep.to(x.dtype).mul_(1.0 / (1.0 - self.p))

    class Model(RecBoleSASRec):
        """RecBole's model, its last layer computed where it is read."""

        def forward(self, item_seq: torch.Tensor, item_seq_len: torch.Tensor) -> torch.Tensor:
            place = torch.arange(item_seq.size(1), device=item_seq.device)
            x = self.item_embedding(item_seq) + self.position_embedding(place)
            x = self.dropout(self.LayerNorm(x))
            mask = self.get_attention_mask(item_seq)
            *layers, last = self.trm_encoder.layer
            for layer in layers:
                x = layer(x, mask)
            x = self.gather_indexes(last.multi_head_attention(x, mask), item_seq_len - 1)
            return last.feed_forward(x)

    class Module(nn.Module):
        """The model behind ``forward(**batch) -> {"loss"}``."""

        def __init__(self) -> None:
            super().__init__()
            # item 0 is RecBole's padding
            self.model = Model(fields | settings, SimpleNamespace(num=lambda _field: items + 1))
            for layer in self.model.trm_encoder.layer:
                layer.feed_forward.intermediate_act_fn = nn.functional.gelu
            for parent in list(self.model.modules()):
                for name, child in parent.named_children():
                    if type(child) is nn.Dropout:
                        setattr(parent, name, Dropout(child.p))

        def forward(self, items: Any, lengths: Any, target: Any) -> dict[str, Any]:
            batch = {"item_list": items, "length": lengths, "item": target}
            return {"loss": self.model.calculate_loss(batch)}

    return Module()


def _left_aligned(cases: Sequences) -> tuple[Any, Any]:
    """RecBole's layout: items from 1, oldest first at column 0, zeros behind; and the lengths."""
    import numpy as np
    import torch

    lengths = cases.history_length
    width = cases.history.shape[1]
    shift = (np.arange(width) + (width - lengths)[:, None]) % width
    items = np.take_along_axis(cases.history, shift, axis=1) + 1
    return torch.from_numpy(items).long(), torch.from_numpy(lengths).long()


plugin = Plugin(
    kind="backbone",
    summary="self-attention over item embeddings (RecBole)",
    implementation="recbench_plugins.backbones.sasrec:SASRec",
    options=SASRecOptions,
    signal="scores",
    default_loss="ce",
    default_decoder="topk",
    extra="recbole",
    paper="Kang and McAuley, SASRec, ICDM 2018. https://doi.org/10.1109/ICDM.2018.00035",
)
