"""Packed reading against transformers' own forward pass of each row alone, for many architectures."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from hypothesis import given, settings
from hypothesis import strategies as st

from recbench.language.hidden_states import SHORTEST, HiddenStates, pack
from recbench.language.prefix_decoder import Paths, PrefixDecoder, Tree
from recbench.language.trial import tried

SMALL: dict[str, Any] = {"vocab_size": 300, "hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}
LLAMA: dict[str, Any] = SMALL | {"intermediate_size": 96, "num_key_value_heads": 2, "pad_token_id": 0}
PACKING = {
    "Llama": LLAMA,
    "Qwen3": LLAMA | {"head_dim": 16},
    "Gemma": LLAMA | {"head_dim": 16},
    "Olmo2": LLAMA,
    "GPTNeoX": SMALL | {"intermediate_size": 96},
    "OPT": SMALL | {"ffn_dim": 96, "word_embed_proj_dim": 64},
    "GPT2": {"vocab_size": 300, "n_embd": 64, "n_layer": 2, "n_head": 4},  # its last layer computes all tokens
}
# capped attention logits, a bias by distance, a state instead of attention
OTHERS = {
    "Gemma2": LLAMA | {"head_dim": 16},
    "Bloom": {"vocab_size": 300, "hidden_size": 64, "n_layer": 2, "n_head": 4},
    "Mamba": {"vocab_size": 300, "hidden_size": 64, "num_hidden_layers": 2},
}


@cache
def causal(name: str, **more: Any) -> Any:
    config = getattr(transformers, f"{name}Config")(**{**(PACKING | OTHERS | {"Mistral": LLAMA})[name], **more})
    torch.manual_seed(0)
    kind = {"GPT2": "GPT2LMHeadModel"}.get(name, f"{name}ForCausalLM")
    model = getattr(transformers, kind)(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() > 1:
                parameter.mul_(3.0)  # opinions: attention that is nearly uniform hides a wrong mask
    return model


@cache
def reader(name: str) -> HiddenStates:
    return tried(causal(name))


def alone(model: Any, row: list[int]) -> torch.Tensor:
    """[tokens, width] hidden states of one row by transformers."""
    own, model.config._attn_implementation = model.config._attn_implementation, "eager"
    try:
        with torch.no_grad():
            return model.get_decoder()(input_ids=torch.tensor([row]), use_cache=False).last_hidden_state[0]
    finally:
        model.config._attn_implementation = own


def near(found: torch.Tensor, expected: torch.Tensor) -> None:
    assert found.shape == expected.shape
    assert torch.allclose(found, expected, atol=2e-4 * float(expected.abs().max()))


@pytest.mark.parametrize("name", [*PACKING, *OTHERS])
def test_what_packs(name: str) -> None:
    assert reader(name).packs is (name in PACKING)
    assert reader(name).shortens is (name in PACKING and name != "GPT2")


tokens = st.integers(1, 299)
beginnings = st.one_of(st.just([]), st.lists(tokens, min_size=SHORTEST, max_size=SHORTEST + 4))
endings = st.lists(st.lists(tokens, min_size=2, max_size=9), min_size=1, max_size=5)


@pytest.mark.parametrize("name", [*PACKING, *OTHERS])
@given(beginnings, endings, st.data())
@settings(max_examples=12)
def test_rows_equal_each_row_alone(name: str, beginning: list[int], ends: list[list[int]], data: Any) -> None:
    """Ragged rows, with and without a beginning that all share, any wanted tokens."""
    rows = [[*beginning, *end] for end in ends]
    ids, lengths, shared = pack(rows)
    assert (shared > 0) == (len(rows) > 1 and len(beginning) >= SHORTEST)
    wanted = sorted(data.draw(st.sets(st.integers(0, len(ids) - 1), min_size=1, max_size=8)))
    with torch.no_grad():
        found = reader(name).rows(torch.tensor(ids), torch.tensor(lengths), shared, torch.tensor(wanted))
    states = [alone(causal(name), row) for row in rows]
    every = torch.cat([states[0][:shared], *(state[shared:] for state in states)])
    near(found, every[wanted])


def test_gradients_equal_those_of_padded_rows() -> None:
    model, rows = causal("Llama"), [[*range(3, 23), 7, 8], [*range(3, 23), 9], [*range(3, 23), 1, 2, 3, 4]]
    ids, lengths, shared = pack(rows)
    wanted = torch.tensor(lengths).cumsum(0) + shared - 1
    found = []
    for way in (reader("Llama").rows, reader("Llama")._padded):
        model.zero_grad()
        hidden = way(torch.tensor(ids), torch.tensor(lengths), shared, wanted)
        (hidden * torch.linspace(-1, 2, hidden.numel()).view_as(hidden).sin()).sum().backward()
        found.append({n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None})
    model.zero_grad()
    assert found[0].keys() == found[1].keys()
    for name, gradient in found[1].items():
        assert torch.allclose(found[0][name], gradient, atol=1e-4 * float(gradient.abs().max()) + 1e-7), name


def test_checkpointed_layers_see_the_same_layout() -> None:
    """Gradient checkpointing runs every layer again in the backward pass, the shortened last one too."""
    model = causal("Llama", attention_dropout=0.0, max_position_embeddings=256)
    read = tried(model)
    ids, lengths, shared = pack([[*range(3, 23), 7, 8], [*range(3, 23), 9]])
    gradients = []
    for checkpointed in (False, True):
        if checkpointed:
            model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
            model.train()
        model.zero_grad()
        read.rows(torch.tensor(ids), torch.tensor(lengths), shared, torch.tensor([21, 22])).cumsum(1).sum().backward()
        gradients.append([p.grad.clone() for p in model.parameters() if p.grad is not None])
    assert all(torch.allclose(a, b, atol=1e-6) for a, b in zip(*gradients, strict=True))
    assert any(g.abs().max() > 1e-2 for g in gradients[0])


def test_beyond_a_sliding_window_rows_are_padded() -> None:
    model = causal("Mistral", sliding_window=8)
    read = tried(model)
    assert read.packs_up_to(8)
    assert not read.packs_up_to(9)
    assert isinstance(PrefixDecoder(read)([[1, 2, 3]], 5), Tree)
    assert isinstance(PrefixDecoder(read)([[1, 2, 3]], 6), Paths)
    row = list(range(1, 21))
    found = read.rows(torch.tensor(row), torch.tensor([20]), 0, torch.tensor([19]))
    near(found, alone(model, row)[-1:])
    short = model.get_decoder()(input_ids=torch.tensor([row[-8:]])).last_hidden_state[0, -1:]
    assert not torch.allclose(found, short, atol=1e-3)  # more than the window matters: through the layer below


@pytest.mark.parametrize("name", ["Llama", "GPT2", "Bloom"])
@given(beginnings, endings, st.data())
@settings(max_examples=15)
def test_a_tree_gives_what_its_paths_give(name: str, beginning: list[int], ends: list[list[int]], data: Any) -> None:
    """Runs of tokens behind any known path, in several passes, with forgetting and leaving rows between them."""
    prompts = [[*beginning, *end] for end in ends]
    start = PrefixDecoder(reader(name))
    for _ in range(2):  # the second time the beginning is remembered
        with torch.no_grad():
            tree = start(prompts, 40)
        near(tree.first, torch.stack([alone(causal(name), p)[-1] for p in prompts]))
    paths: list[list[tuple[list[int], list[int]]]] = [[([], [])] for _ in prompts]  # tokens and columns, by row
    for _ in range(data.draw(st.integers(1, 3))):
        if data.draw(st.booleans()):
            tree.forget()
            paths = [[([], [])] for _ in prompts]
        if len(prompts) > 1 and data.draw(st.booleans()):
            keep = sorted(data.draw(st.sets(st.integers(0, len(prompts) - 1), min_size=1)))
            tree.keep(np.array(keep))
            prompts, paths = [prompts[r] for r in keep], [paths[r] for r in keep]
        some = st.lists(tokens, min_size=1, max_size=3)
        runs = [  # row, path behind which it stands, its tokens
            (row, data.draw(st.sampled_from(known)), data.draw(some))
            for row, known in enumerate(paths)
            for _ in range(data.draw(st.integers(0, 2)))
        ]
        if not runs:
            continue
        most = int(tree.fed.max())
        seen = np.zeros((sum(len(run) for *_, run in runs), most), bool)
        flat = [(r, path, run, place) for r, path, run in runs for place in range(len(run))]
        for n, (_, path, _, _) in enumerate(flat):
            seen[n, path[1]] = True
        arrays = [[r for r, *_ in flat], [run[p] for *_, run, p in flat], [len(path[0]) + p for _, path, _, p in flat]]
        row_, token, offset = (np.array(values) for values in arrays)
        wanted = np.array(sorted(data.draw(st.sets(st.integers(0, len(flat) - 1), min_size=1))))
        with torch.no_grad():
            hidden, column = tree.feed(row_, token, offset, seen, np.array([p for *_, p in flat]), wanted)
        rows = [[*prompts[r], *path[0], *run[: place + 1]] for r, path, run, place in (flat[w] for w in wanted)]
        near(hidden, torch.stack([alone(causal(name), row)[-1] for row in rows]))
        for n, (r, path, run, place) in enumerate(flat):
            columns = column[n - place : n + 1].tolist()
            paths[r].append(([*path[0], *run[: place + 1]], [*path[1], *columns]))
