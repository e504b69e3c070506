"""What a loss sees: the answer positions of a batch of titles, and what is valid there."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn

from recbench.prompts.trie import Trie


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
    """

    labels: Tensor
    hidden: Tensor
    head: nn.Linear
    row: Tensor
    depth: Tensor
    indptr: Tensor | None = None
    allowed: Tensor | None = None
    training: bool = True

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
        union, column = self.allowed.unique(return_inverse=True)
        weight = self.head.weight[union]
        dense = at_least_fp32(self.hidden.to(weight.dtype) @ weight.T)
        if self.head.bias is not None:
            dense = dense + self.head.bias[union]
        is_label = self.allowed == self.labels[position]
        positive = is_label.nonzero().squeeze(1)
        return dense[position, column], position, positive


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

    def __init__(self, lm: Any, decoder: Any, head: nn.Linear, loss: Any, trie: Trie) -> None:
        super().__init__()
        self.lm, self.loss = lm, loss
        # plain attributes, not submodules: the parameters are already registered through ``lm``
        object.__setattr__(self, "_decoder", decoder)
        object.__setattr__(self, "_head", head)
        self.register_buffer("first", torch.from_numpy(trie.first).long(), persistent=False)
        self.register_buffer("token", torch.from_numpy(trie.token).long(), persistent=False)

    def forward(self, input_ids: Tensor, attention_mask: Tensor, labels: Tensor, nodes: Tensor) -> dict[str, Tensor]:
        """Loss of right-padded rows; ``labels`` and ``nodes`` are -100 and -1 outside the answers ([B, T] each)."""
        batch = self.answers(input_ids, attention_mask, labels, nodes)
        total, count = self.loss(batch)
        return {"loss": global_mean(total, count)}

    def answers(self, input_ids: Tensor, attention_mask: Tensor, labels: Tensor, nodes: Tensor) -> AnswerBatch:
        """The batch of answer positions that the loss sees."""
        decoder: Any = self.__dict__["_decoder"]
        hidden = decoder(input_ids=input_ids, attention_mask=attention_mask, use_cache=False).last_hidden_state
        row, column = (labels[:, 1:] != -100).nonzero(as_tuple=True)
        starts = (labels != -100).int().argmax(dim=1)
        indptr = allowed = None
        if "allowed_tokens" in self.loss.needs:
            node = nodes[row, column + 1]
            fanout = self.first[node + 1] - self.first[node]
            indptr = torch.cat([fanout.new_zeros(1), fanout.cumsum(0)])
            offset = (self.first[node] - indptr[:-1]).repeat_interleave(fanout)
            allowed = self.token[torch.arange(len(offset), device=offset.device) + offset]
        return AnswerBatch(
            labels=labels[row, column + 1],
            hidden=hidden[row, column],
            head=self.__dict__["_head"],
            row=row,
            depth=column + 1 - starts[row],
            indptr=indptr,
            allowed=allowed,
            training=self.training,
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
