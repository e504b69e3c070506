"""LLM-CF's in-context transformer: it selects explained windows for a case and encodes them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from recbench.sequential import left_aligned
from recbench.types import Sequences

MEMORY = ("users", "items", "lengths", "times", "targets", "cots", "titles")
CHUNK = 1024  # cases that are compared with all explained windows at a time
WINDOWS = 2  # looked up for a case, each a positive and a negative example


def memory(train: Sequences, lessons: Mapping[str, Any]) -> dict[str, Tensor]:
    """The explained windows as tensors; items count from 1.

    Returns:
        M windows: ``users``, ``lengths``, ``times`` [M], ``items`` [M, H] left-aligned, ``targets`` [M, 2] and ``cots``
        [M, 2, width] of the declined and the taken item; and ``titles`` [items + 1, width], zeros first.
    """
    windows = train.take(lessons["rows"])
    items, lengths = left_aligned(windows.histories())
    pair = np.stack([lessons["declined"], windows.target], axis=1)
    return {
        "users": torch.from_numpy(windows.users).long(),
        "items": items,
        "lengths": lengths,
        "times": torch.from_numpy(windows.time),
        "targets": torch.from_numpy(pair).long() + 1,
        "cots": torch.from_numpy(np.asarray(lessons["cots"], np.float16)),
        "titles": functional.pad(torch.from_numpy(np.asarray(lessons["titles"], np.float16)), (0, 0, 1, 0)),
    }


class Context(nn.Module):
    """A causal transformer over four examples of three tokens (features, explanation, outcome) and a case's features.

    Args:
        kept: :func:`memory`.
        users: [users] which of them are in the training windows. The others' embeddings are zeros, and stay so: nothing
            trains them, and random ones would be noise in the features of most later cases.
        width: of SASRec.
        reconstructs: whether explanations are reconstructed from the state before them.
    """

    users: Tensor
    items: Tensor
    lengths: Tensor
    times: Tensor
    targets: Tensor
    cots: Tensor
    titles: Tensor

    def __init__(self, kept: Mapping[str, Tensor], users: Tensor, width: int, reconstructs: bool) -> None:
        from transformers import LlamaConfig, LlamaModel

        super().__init__()
        for name in MEMORY:
            self.register_buffer(name, kept[name])
        text = self.titles.shape[1]
        self.user = nn.Embedding(len(users), width)
        nn.init.xavier_normal_(self.user.weight)
        with torch.no_grad():
            self.user.weight[~users] = 0.0
        self.text = nn.Linear(text, width)
        self.feature = nn.Linear(5 * width, width)
        self.outcome = nn.Embedding(2, width)
        self.rebuild = nn.Linear(width, text) if reconstructs else None
        self.transformer = LlamaModel(
            LlamaConfig(
                vocab_size=1,  # no token is ever looked up
                bos_token_id=None,
                eos_token_id=None,
                hidden_size=width,
                intermediate_size=width * 3 // 2,
                num_hidden_layers=2,
                num_attention_heads=2,
                num_key_value_heads=2,
                max_position_embeddings=16,
                rms_norm_eps=1e-5,
                use_cache=False,
            )
        )
        self.transformer.set_input_embeddings(nn.Identity())  # it reads vectors: a table would get no gradient

    def _known(self, users: Tensor) -> Tensor:
        """[B, width] of each user; zeros for -1, a user who is not in the data."""
        return self.user(users.clamp_min(0)) * (users >= 0)[:, None]

    def examples(self, users: Tensor, items: Tensor, times: Tensor, official: bool) -> Tensor:
        """[N, 4] the examples of each case: 2 m for the declined and 2 m + 1 for the taken item of window m.

        Those of the windows whose histories' mean title embeddings have the largest products with the case's; 2 M where
        there are too few. Their order is shuffled by a rule of the case and the examples, so that it is the same in
        every batch.

        Args:
            users, times: [N] of the cases.
            items: [N, H] left-aligned histories, from 1.
            official: leave out only strictly later windows of the user's, not those of the same time.
        """
        device, number = self.users.device, len(self.users)
        table = self.titles.double()  # ties stay ties, whatever the shape of a product
        known = _mean(table, self.items)
        found = []
        for start in range(0, len(users), CHUNK):
            rows = slice(start, start + CHUNK)
            user, time = users[rows, None].to(device), times[rows, None].to(device)
            likeness = (_mean(table, items[rows].to(device)) @ known.T).float()
            late = self.times > time if official else self.times >= time
            likeness[(self.users == user) & late] = -torch.inf
            chosen = []
            for _ in range(WINDOWS):
                best = likeness.max(dim=1)
                chosen.append(torch.where(best.values.isneginf(), number, best.indices))
                likeness.scatter_(1, best.indices[:, None], -torch.inf)
            found.append(torch.stack(chosen, dim=1))
        windows = torch.cat(found).cpu()
        slots = torch.cat([2 * windows, 2 * windows + 1], dim=1).clamp_max(2 * number)
        # a multiplicative hash (Knuth's constant) in place of a draw
        mixed = (slots + 31 * users[:, None] + items.sum(dim=1, keepdim=True)) * 2654435761 % 2**32
        return slots.gather(1, (mixed ^ (mixed >> 15)).argsort(dim=1, stable=True))

    def forward(
        self,
        states: Tensor,
        batch: Mapping[str, Tensor],
        vectors: Tensor,
        history: Callable[[Tensor, Tensor], Tensor],
    ) -> tuple[Tensor, tuple[Tensor, Tensor] | None]:
        """What the transformer makes of a batch of cases.

        Args:
            states: [B, d] SASRec's of the cases' histories.
            batch: their ``users`` [B], ``items`` [B, H] and ``examples`` [B, 4].
            vectors: [items + 1, d] item embeddings.
            history: items [U, H] and lengths [U] to SASRec's states [U, d].

        Returns:
            [B, d] the last state; and in training, where asked for, the sum of 1 - cos over all examples' explanations
            and reconstructions, and their number.
        """
        slots = batch["examples"]
        known = slots < 2 * len(self.users)
        window, outcome = (slots // 2).clamp_max(len(self.users) - 1), slots % 2
        titles = self.text(self.titles.float())
        # a window may serve several cases of the batch: its history is encoded once
        once, place = window.unique(return_inverse=True)
        past = history(self.items[once], self.lengths[once])[place]
        target, cots = self.targets[window, outcome], self.cots[window, outcome].float()
        parts = [self.user(self.users[window]), past, _mean(titles, self.items[once])[place]]
        features = self.feature(torch.cat([*parts, vectors[target], titles[target]], dim=-1))
        tokens = torch.stack([features, self.text(cots), self.outcome(outcome)], dim=2)
        tokens = (tokens * known[..., None, None]).flatten(1, 2)
        # the case's own target is what is asked for: nothing stands in its place
        parts = [self._known(batch["users"]), states, _mean(titles, batch["items"]), torch.zeros_like(states)]
        query = self.feature(torch.cat([*parts, titles[:1].expand_as(states)], dim=-1))
        sequence = torch.cat([tokens, query[:, None]], dim=1)
        hidden = self.transformer(inputs_embeds=sequence).last_hidden_state
        rebuilt = None
        if self.rebuild is not None and self.training:
            rebuilt = reconstruction(self.rebuild(hidden[:, :-1:3]), cots, known)
        return hidden[:, -1], rebuilt


def reconstruction(decoded: Tensor, cots: Tensor, known: Tensor) -> tuple[Tensor, Tensor]:
    """The sum of 1 - cos over explanations, and their number.

    Args:
        decoded, cots: [B, n, width] reconstructed and true embeddings.
        known: [B, n] whether there is one.
    """
    distance = 1 - functional.cosine_similarity(decoded, cots, dim=-1)
    return (distance * known).sum(), known.sum()


def _mean(table: Tensor, items: Tensor) -> Tensor:
    """[N, d] means of the rows of ``table`` for items [N, H], padding left out."""
    return functional.embedding_bag(items, table, mode="mean", padding_idx=0)
