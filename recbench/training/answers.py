"""What a loss sees: the answer positions of a batch of titles, and what is valid there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn

from recbench.language.collaborative import CONCEALED
from recbench.language.frozen import Below
from recbench.language.textmodel import TextModel
from recbench.prompts.trie import Trie, side_by_side
from recbench.training.devices import global_mean
from recbench.training.segments import union_of


@dataclass
class AnswerBatch:
    """N positions, each predicting one token of a target's title (end-of-title token included).

    Attributes:
        labels: [N] the right token.
        hidden: [N, width] the hidden state that predicts it.
        head: the output matrix, width to vocabulary.
        row: [N] which title of the batch the position belongs to.
        depth: [N] position within the title, from 0.
        indptr, allowed: the valid tokens of position i are ``allowed[indptr[i]:indptr[i + 1]]``, ascending; None when
            the loss sees ``all`` positions without them.
        training: whether running estimates (MSL's temperature) may be updated.
        dropped: positions that are not here, since they come after their title's last choice (``Loss.positions``).
    """

    labels: Tensor
    hidden: Tensor
    head: nn.Linear
    row: Tensor
    depth: Tensor
    indptr: Tensor | None = None
    allowed: Tensor | None = None
    training: bool = True
    dropped: int = 0

    def __len__(self) -> int:
        return len(self.labels)

    @cached_property
    def logits(self) -> Tensor:
        """[N, vocabulary] logits in at least fp32, computed on first use."""
        return at_least_fp32(self.head(self.hidden))

    @cached_property
    def fanout(self) -> Tensor:
        """[N] number of valid tokens."""
        assert self.indptr is not None
        return self.indptr.diff()

    def branching(self) -> AnswerBatch:
        """The positions with more than one valid token; the others are forced and cost nothing."""
        assert self.indptr is not None
        assert self.allowed is not None
        keep = self.fanout > 1
        edge = keep.repeat_interleave(self.fanout)
        indptr = torch.cat([self.indptr.new_zeros(1), self.fanout[keep].cumsum(0)])
        return AnswerBatch(
            self.labels[keep],
            self.hidden[keep],
            self.head,
            self.row[keep],
            self.depth[keep],
            indptr,
            self.allowed[edge],
            self.training,
            self.dropped + len(self) - int(keep.sum()),
        )

    def valid_logits(self) -> tuple[Tensor, Tensor, Tensor]:
        """Logits of the valid tokens only.

        Only the rows of the output matrix that are valid somewhere in the batch are multiplied, then the valid pairs
        are picked: with a vocabulary of 49,152 and a hundred valid tokens this is where the time goes.

        Returns:
            ``(values, position, positive)``. An edge is a pair of a position and a token that is valid there; the edges
            have the order of ``allowed``. ``values`` [edges] are their logits, ``position`` [edges] says which of
            the N positions each belongs to, ``positive`` [N] which edge is the right token of each position:
            ``values[positive]`` [N] are the right tokens' logits.
        """
        assert self.allowed is not None
        position = torch.arange(len(self), device=self.labels.device).repeat_interleave(self.fanout)
        table = self.head.weight
        union, column = union_of(self.allowed, table.shape[0])
        weight = table.index_select(0, union)
        dense = at_least_fp32(self.hidden.to(weight.dtype) @ weight.T)
        if self.head.bias is not None:
            dense = dense + self.head.bias[union]
        is_label = self.allowed == self.labels[position]
        positive = is_label.nonzero().squeeze(1)
        return dense[position, column], position, positive


def at_least_fp32(values: Tensor) -> Tensor:
    """Half precision is raised to fp32 for the softmax; anything finer stays."""
    return values.float() if values.dtype.itemsize < 4 else values


class AnswerModel(nn.Module):
    """What the trainer trains: language model and loss in one forward, so that DDP sees every parameter's gradient.

    ``forward`` returns the loss of the *global* batch: sums and counts are added over processes and the result is
    scaled by their number, which DDP's averaging of gradients undoes.

    Attributes:
        concealed: [B] rows of the batch to come whose collaborative tokens are not shown; None for none.
        below: keeps what enters the first trained layer; None where everything is computed.
    """

    first: Tensor
    token: Tensor

    def __init__(self, model: TextModel, loss: Any, others: Sequence[Trie] = ()) -> None:
        """``others``: tries of further answers, whose nodes are counted behind those of the model's own."""
        super().__init__()
        self.lm, self.loss = model.lm, loss
        self.concealed: Tensor | None = None
        self.below: Below | None = None
        self._model = model  # no module: its parameters are registered through ``lm``
        first, token = side_by_side([model.encoder.trie, *others])
        self.register_buffer("first", torch.from_numpy(first).long(), persistent=False)
        self.register_buffer("token", torch.from_numpy(token).long(), persistent=False)

    def forward(self, batch: Mapping[str, Any]) -> dict[str, Tensor]:
        """Loss of what :func:`recbench.training.text.collate` packed."""
        total, count = self.loss(self.answers(**batch))
        return {"loss": global_mean(total, count)}

    def answers(
        self,
        ids: Tensor,
        lengths: Tensor,
        shared: int,
        asks: Tensor,
        labels: Tensor,
        nodes: Tensor,
        depth: Tensor,
        titles: Tensor,
        dropped: int,
        numbers: Tensor | None = None,
    ) -> AnswerBatch:
        """The batch of answer positions that the loss sees.

        Args:
            ids, lengths, shared: packed rows, see :meth:`recbench.language.hidden_states.HiddenStates.rows`.
            asks: [N] the tokens whose hidden states predict.
            labels, nodes, depth: [N] what they predict, the trie node before it and its place in the title.
            titles: [titles] positions of each target, several of which a window may have.
            dropped: see :class:`AnswerBatch`.
            numbers: [B] which examples these are, for ``below``.
        """
        known = None if self.below is None or numbers is None else self.below(numbers, ids, lengths, shared)
        hidden = self._model.hidden_states.rows(self._shown(ids, lengths, shared), lengths, shared, asks, known)
        indptr = allowed = None
        if self.loss.positions != "all":
            fanout = self.first[nodes + 1] - self.first[nodes]
            indptr = torch.cat([fanout.new_zeros(1), fanout.cumsum(0)])
            offset = (self.first[nodes] - indptr[:-1]).repeat_interleave(fanout)
            allowed = self.token[torch.arange(len(offset), device=offset.device) + offset]
        return AnswerBatch(
            labels=labels,
            hidden=hidden,
            head=self._model.head,
            row=torch.arange(len(titles), device=titles.device).repeat_interleave(titles),
            depth=depth,
            indptr=indptr,
            allowed=allowed,
            training=self.training,
            dropped=dropped,
        )

    def _shown(self, ids: Tensor, lengths: Tensor, shared: int) -> Tensor:
        """In training the ids with those of concealed tokens replaced; what all rows begin with is as in the first."""
        if self.concealed is None or not self.training:
            return ids
        own = self.concealed[: len(lengths)].to(ids.device).repeat_interleave(lengths)
        rows = torch.cat([own[:1].expand(shared), own])
        return ids.masked_fill(rows & (ids >= self._model.encoder.vocabulary), CONCEALED)
