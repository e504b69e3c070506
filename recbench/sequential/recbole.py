"""Any sequential model of RecBole behind the interface of a backbone; imports torch.

Every model is RecBole's own class with its own settings, loss and scores. The bench gives it windows and the training
loop.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn

import recbench.sequential.network  # noqa: F401 - undoes what importing RecBole's models does to torch, so comes first

import recbole.model.sequential_recommender as models  # isort: skip

USERS = ("user_embedding", "user_lambda", "UI_emb")
"""The names that RecBole's models give to a table with a row for each user."""
SHIFTED = ("SHAN",)
"""Models that learn from right-aligned histories, while their ``full_sort_predict`` reads left-aligned ones."""
_CELLS = 2**21  # scores at a time
_FIELDS = {
    "USER_ID_FIELD": "user",
    "ITEM_ID_FIELD": "item",
    "LIST_SUFFIX": "_list",
    "ITEM_LIST_LENGTH_FIELD": "length",
    "NEG_PREFIX": "negative_",
    "INVERSE_ITEM_SEQ": "right_aligned",
    "device": "cpu",
}


class RecBoleModule(nn.Module):
    """One of RecBole's models behind ``forward(batch) -> {"loss"}``.

    Args:
        name: of the class in ``recbole.model.sequential_recommender``.
        settings: under RecBole's names.
        users: [U] the users that have training windows, sorted.
        items: size of the catalogue.
        longest: items in a history at most.
    """

    known: Tensor

    def __init__(self, name: str, settings: Mapping[str, Any], users: Tensor, items: int, longest: int) -> None:
        super().__init__()
        sizes = {"user": len(users) + 1, "item": items + 1}
        data = SimpleNamespace(
            num=sizes.__getitem__,
            user_num=sizes["user"],
            item_num=sizes["item"],
            field2seqlen={"item_list": longest},
        )
        config = _Config({**settings, **_FIELDS, "MAX_ITEM_LIST_LENGTH": longest})
        self.model: Any = getattr(models, name)(config, data)
        for table in USERS:
            if hasattr(self.model, table):
                getattr(self.model, table).register_forward_hook(_mean_of_the_known)
        self.name, self.items = name, items
        self.register_buffer("known", users)

    def forward(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The model's own loss of a batch of ``user``, ``items``, ``lengths`` and ``target``, a mean over its rows."""
        from recbench.training.devices import global_mean, own_uniform

        target = batch["target"]
        draws = (own_uniform(len(target), target.device) * (self.items - 1)).long()
        negatives = draws + (draws >= target)
        loss = self.model.calculate_loss(self._columns(batch) | {"item": target + 1, "negative_item": negatives + 1})
        if isinstance(loss, tuple):
            loss = sum(loss)
        # with a penalty on embeddings the loss is a vector of one number
        return {"loss": global_mean(loss.reshape(()) * len(target), float(len(target)))}

    def score(self, batch: Mapping[str, Tensor]) -> Tensor:
        """[B, items] the model's scores."""
        # TransRec makes a vector of each score, RepeatNet a number for each item of the history
        rows = max(1, _CELLS // self.items)
        parts = zip(*(column.split(rows) for column in batch.values()), strict=True)
        return torch.cat([self._score(dict(zip(batch, part, strict=True))) for part in parts])

    def _score(self, batch: Mapping[str, Tensor]) -> Tensor:
        columns = self._columns(batch)
        columns["item"] = torch.zeros_like(batch["lengths"])  # two models read targets here, to no effect
        if self.name in SHIFTED:
            columns["item_list"] = columns["right_aligned"]
        return self.model.full_sort_predict(columns).view(len(batch["lengths"]), -1)[:, 1 : self.items + 1]

    def place(self, device: str) -> None:
        """Tell the parts that create tensors on which device to create them."""
        part: Any
        for part in self.modules():
            if isinstance(getattr(part, "device", None), str | torch.device):
                part.device = torch.device(device)

    def _columns(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """A batch under RecBole's names: items from 1, and users from 1, 0 being an unknown one."""
        user, items, lengths = batch["user"], batch["items"], batch["lengths"]
        place = torch.searchsorted(self.known, user).clamp(max=len(self.known) - 1)
        user = torch.where(self.known[place] == user, place + 1, 0)
        width = items.shape[1]
        shift = (torch.arange(width, device=items.device) - (width - lengths)[:, None]) % width
        return {"user": user, "item_list": items, "length": lengths, "right_aligned": items.gather(1, shift)}


def _mean_of_the_known(table: nn.Embedding, given: tuple[Tensor], found: Tensor) -> Tensor | None:
    """Give a user without training windows, RecBole's user 0, the mean of the others.

    Nothing is written into the table: Caser's penalty on all of it would then depend on when validation happens.
    """
    unknown = given[0] == 0
    if table.training or not unknown.any():
        return None
    return torch.where(unknown[..., None], table.weight[1:].mean(0), found)


class _Config(dict[str, Any]):
    """RecBole's configuration as its models read it: an unset setting is None."""

    def __missing__(self, name: str) -> None:
        return None
