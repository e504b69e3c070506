"""What a loss sees: the answer positions of a batch of titles, and what is valid there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn

from recbench.language.textmodel import TextModel


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
            the loss does not need them.
        training: whether running estimates (MSL's temperature) may be updated.
        dropped: positions that are not here, since they come after their title's last choice (``needs`` of a loss).
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
            ``(values, position, positive)``: [edges] logits, [edges] the position of each, and [N] the index into
            ``values`` of each position's label.
        """
        assert self.allowed is not None
        position = torch.arange(len(self), device=self.labels.device).repeat_interleave(self.fanout)
        union, column = union_of(self.allowed, self.head.weight.shape[0])
        weight = self.head.weight.index_select(0, union)
        dense = at_least_fp32(self.hidden.to(weight.dtype) @ weight.T)
        if self.head.bias is not None:
            dense = dense + self.head.bias[union]
        is_label = self.allowed == self.labels[position]
        positive = is_label.nonzero().squeeze(1)
        return dense[position, column], position, positive


def union_of(tokens: Tensor, vocabulary: int) -> tuple[Tensor, Tensor]:
    """The distinct tokens, ascending, and the index of each of ``tokens`` among them; without sorting."""
    there = torch.zeros(vocabulary, dtype=torch.bool, device=tokens.device)
    there[tokens] = True
    return there.nonzero().squeeze(1), (there.cumsum(0) - 1)[tokens]


def at_least_fp32(values: Tensor) -> Tensor:
    """Half precision is raised to fp32 for the softmax; anything finer stays."""
    return values.float() if values.dtype.itemsize < 4 else values


def segment_logsumexp(values: Tensor, segment: Tensor, count: int) -> Tensor:
    """[count] log of the sum of exp over each segment, with its maximum subtracted."""
    top = values.new_full((count,), -torch.inf).scatter_reduce(0, segment, values.detach(), "amax")
    total = values.new_zeros(count).index_add(0, segment, (values - top[segment]).exp())
    return total.log() + top


class AnswerModel(nn.Module):
    """What the trainer trains: language model and loss in one forward, so that DDP sees every parameter's gradient.

    ``forward`` returns the loss of the *global* batch: sums and counts are added over processes and the result is
    scaled by their number, which DDP's averaging of gradients undoes.
    """

    first: Tensor
    token: Tensor

    def __init__(self, model: TextModel, loss: Any) -> None:
        super().__init__()
        self.lm, self.loss = model.lm, loss
        self._model = model  # no module: its parameters are registered through ``lm``
        trie = model.encoder.trie
        self.register_buffer("first", torch.from_numpy(trie.first).long(), persistent=False)
        self.register_buffer("token", torch.from_numpy(trie.token).long(), persistent=False)

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
    ) -> AnswerBatch:
        """The batch of answer positions that the loss sees.

        Args:
            ids, lengths, shared: packed rows, see :meth:`recbench.language.reader.Reader.rows`.
            asks: [N] the tokens whose hidden states predict.
            labels, nodes, depth: [N] what they predict, the trie node before it and its place in the title.
            titles: [B] positions of each title.
            dropped: see :class:`AnswerBatch`.
        """
        hidden = self._model.reader.rows(ids, lengths, shared, asks)
        indptr = allowed = None
        if self.loss.needs & {"allowed_tokens", "choices"}:
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


def sum_over_devices(value: Tensor) -> Tensor:
    """The sum of ``value`` over all processes (no gradient); itself when there is one."""
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        value = value.detach().clone()
        torch.distributed.all_reduce(value)
    return value


def global_mean(total: Tensor, count: Tensor | float) -> Tensor:
    """``total / count`` over all processes, scaled so that averaging gradients over processes gives its gradient."""
    everywhere = torch.as_tensor(count, dtype=torch.float64, device=total.device)
    share = total.new_tensor(1.0)
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        everywhere = sum_over_devices(everywhere)
        share = share * torch.distributed.get_world_size()
    return total * share / everywhere.clamp_min(1.0).to(total.dtype)
