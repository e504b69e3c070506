"""Collaborative tokens are tokens: with the right vectors they cannot be told from text."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from peft import LoraConfig, get_peft_model
from torch import nn

from recbench.errors import UsageError
from recbench.language.collaborative import find, install
from recbench.language.load import attach_lora
from recbench.spec.llm import PretrainedOptions
from recbench.testing import RandomScores, tiny_split, tiny_text_model
from recbench_plugins.backbones.llara import LLaRA, LLaRAOptions


def test_a_projector_that_returns_text_embeddings_gives_the_text_prompts_logits() -> None:
    """Item i's vector is the embedding of its title's first token: logits equal those of the prompt in plain text."""
    split = tiny_split()
    model = tiny_text_model(split)
    table = model.causal.get_input_embeddings().weight.detach().clone()
    firsts = [answer[0] for answer in model.encoder.answers]
    install(model.causal, table[firsts].numpy(), nn.Linear(table.shape[1], table.shape[1], bias=False))
    with torch.no_grad():
        find(model.lm).projector.weight.copy_(torch.eye(table.shape[1]))
    vocabulary = len(table)
    special = torch.tensor([[5, vocabulary + 3, 7, vocabulary, 9]])
    plain = torch.tensor([[5, firsts[3], 7, firsts[0], 9]])
    with torch.inference_mode():
        assert torch.allclose(model.causal(special).logits, model.causal(plain).logits, atol=1e-6)


def test_llara_prompts_hold_one_token_for_each_title() -> None:
    split = tiny_split()
    backbone = LLaRA(LLaRAOptions(), RandomScores(len(split.catalog)))
    model = tiny_text_model(split, backbone)
    vocabulary = model.encoder.vocabulary
    for row, ids in zip(split.test.history, model.encoder.prompts(split.test.histories()), strict=True):
        assert [i - vocabulary for i in ids if i >= vocabulary] == [i for i in row.tolist() if i >= 0]


def test_placeholder_hides_the_item_and_still_reaches_every_parameter() -> None:
    split = tiny_split()
    model = tiny_text_model(split, LLaRA(LLaRAOptions(), RandomScores(len(split.catalog))))
    embedding = find(model.lm)
    vocabulary = model.encoder.vocabulary
    embedding.hybrid = False
    one, other = (model.causal(torch.tensor([[5, vocabulary + i, 7]])).logits for i in (1, 2))
    assert torch.equal(one, other)
    one.sum().backward()
    assert all(p.grad is not None for p in embedding.projector.parameters())
    embedding.hybrid = True
    shown = [model.causal(torch.tensor([[5, vocabulary + i, 7]])).logits for i in (1, 2)]
    assert not torch.equal(*shown)


def test_the_projector_is_trained_and_saved_beside_lora() -> None:
    model = tiny_text_model(tiny_split())
    width = model.causal.get_input_embeddings().embedding_dim
    install(model.causal, np.ones((4, 3), np.float32), nn.Linear(3, width))
    peft = get_peft_model(model.causal, LoraConfig(target_modules=["q_proj"], modules_to_save=["projector"]))
    trained = {n for n, p in peft.named_parameters() if p.requires_grad}
    assert any("projector" in name for name in trained)
    assert all("lora" in name or "projector" in name for name in trained)


def test_curriculum_shares() -> None:
    """methods.md: mean hybrid share .501 corrected; official is a sawtooth with mean 1 / (2 epochs)."""
    draws = np.random.default_rng(0).random(1000)
    corrected = LLaRA(LLaRAOptions())
    official = LLaRA(LLaRAOptions(curriculum="official"))
    always = LLaRA(LLaRAOptions(curriculum="none"))
    share = np.mean([corrected.hybrid(s, 1000, 5, d) for s, d in enumerate(draws)])
    sawtooth = np.mean([[official.hybrid(s, 1000, 5, d) for s in range(1000)] for d in draws[:200]])
    assert abs(share - 0.5) < 0.03
    assert abs(sawtooth - 0.1) < 0.02
    assert all(always.hybrid(0, 1000, 5, d) for d in draws)


def test_a_restored_model_has_its_dropout_off() -> None:
    """PEFT's layers start in training mode: a model taken from the store would rank with noise."""
    split = tiny_split()
    one = tiny_text_model(split)
    one.lm = attach_lora(one.lm, PretrainedOptions(lora_dropout=0.5), [])
    for name, parameter in one.lm.named_parameters():
        if "lora_B" in name:
            nn.init.normal_(parameter)
    one.restore({n: p.clone() for n, p in one.trainable().items()})
    ids = torch.tensor([[5, 6, 7]])
    with torch.no_grad():
        assert torch.equal(one.causal(ids).logits, one.causal(ids).logits)


def test_lora_on_the_output_matrix_is_refused() -> None:
    with pytest.raises(UsageError, match="lm_head"):
        attach_lora(tiny_text_model(tiny_split()).lm, PretrainedOptions(lora_targets=("lm_head",)), [])
