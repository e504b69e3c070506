"""Packed rows attend alike by recbench's grid on SDPA and by FlexAttention, and on either device."""

from __future__ import annotations

from types import ModuleType

import pytest
import torch

from recbench.testing import tiny_text_model


@pytest.mark.parametrize("shared", [0, 20])
@pytest.mark.parametrize("key_heads", [2, 4])
def test_flex_attention_is_ours(flexible: ModuleType, device: str, shared: int, key_heads: int) -> None:
    torch.manual_seed(1)
    lengths = torch.tensor([3, 40, 17, 1, 66], device=device)
    ids = torch.zeros(shared + int(lengths.sum()), dtype=torch.long, device=device)
    query = torch.randn(len(ids), 4, 16, device=device)
    key, value = torch.randn(2, len(ids), key_heads, 16, device=device)
    _, plan = tiny_text_model().hidden_states._plan(ids, lengths, shared, None)
    ours = plan.attend(0, query, key, value, 0.25, 0.0)
    row, position = flexible.rows_of(lengths, shared)
    theirs = flexible.flex(row, position, shared, compiled=device == "cuda")(query, key, value, 0.25)
    torch.testing.assert_close(theirs, ours, rtol=1e-3, atol=1e-3 if device == "cuda" else 1e-5)
    one = slice(shared, shared + 3)  # the first row by the definition
    keys, values = (x[: shared + 3].repeat_interleave(4 // key_heads, dim=1).transpose(0, 1) for x in (key, value))
    scores = query[one].transpose(0, 1) @ keys.transpose(1, 2) * 0.25
    hidden = torch.ones(3, shared + 3, dtype=torch.bool, device=device).triu(shared + 1)
    expected = scores.masked_fill(hidden, -torch.inf).softmax(-1) @ values
    torch.testing.assert_close(ours[one].transpose(0, 1), expected, rtol=1e-3, atol=1e-3)
