"""Finds out by trying what an architecture of transformers can do: rows read packed, and token trees."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from recbench.language import packed
from recbench.language.hidden_states import HiddenStates
from recbench.language.prefix_decoder import PrefixDecoder


def tried(causal: Any) -> HiddenStates:
    """A causal LM's hidden states, read packed if rows and trees then give what each path gives alone."""
    own = causal.config._attn_implementation
    states = HiddenStates(causal)
    if states.packs and not _agrees(states, causal, own):
        states.shortens = False
        states.packs = _agrees(states, causal, own)
    if not states.packs:
        causal.config._attn_implementation = own
    return states


def _agrees(states: HiddenStates, causal: Any, own: str) -> bool:
    """Whether two rows that share a beginning get the hidden states that they get alone: packed, as a tree, and padded.

    The difference must be small against what the beginning does to the last token.
    """
    decoder, device = states.decoder, next(causal.parameters()).device
    vocabulary = causal.get_input_embeddings().weight.shape[0]
    begin = [(7 * n + 3) % vocabulary for n in range(5)]
    rows = [[*begin, 11 % vocabulary, 5 % vocabulary], [*begin, 13 % vocabulary, 2 % vocabulary, 5 % vocabulary]]
    other = [(5 * n + 8) % vocabulary for n in range(7)] + [5 % vocabulary]
    modes = {module: module.training for module in decoder.modules()}
    decoder.eval()

    def alone(row: list[int]) -> Tensor:
        return decoder(input_ids=torch.tensor([row], device=device), use_cache=False).last_hidden_state[0, -1].float()

    try:
        with torch.no_grad():
            ids = torch.tensor([*begin, *rows[0][5:], *rows[1][5:]], device=device)
            found = [states.rows(ids, torch.tensor([2, 3], device=device), 5, torch.tensor([6, 9], device=device))]
            tree = PrefixDecoder(states)([row[:-1] for row in rows], 1)
            one, none = np.ones(2, np.int64), np.zeros((2, 0), bool)
            both = np.arange(2)
            found.append(tree.feed(both, one * rows[0][-1], 0 * one, none, 0 * one, both)[0])
            found.append(torch.stack([alone(row) for row in rows]))
            causal.config._attn_implementation = own
            expected = torch.stack([alone(row) for row in rows])
            effect = (expected[1] - alone(other)).norm()
        return all(bool((expected - states.float()).norm() < 0.1 * effect) for states in found)
    except Exception:  # whatever an architecture makes of arguments that it does not know: it does not pack
        return False
    finally:
        causal.config._attn_implementation = packed.NAME
        for module, mode in modes.items():
            module.training = mode
