"""Grounding against plain forward passes and distances, and BIGRec's fusion against its oracle."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from peft import LoraConfig, get_peft_model
from transformers import GenerationConfig

from recbench.errors import UsageError
from recbench.interfaces import SilentReporter
from recbench.language.textmodel import TextModel
from recbench.testing import RandomScores, tiny_split, tiny_text_model
from recbench.types import PAD, Ranking
from recbench_plugins.decoders.grounding import Grounding, GroundingOptions, fused

CASES = tiny_split().test.histories().take(np.arange(5))


def random_model() -> TextModel:
    split = tiny_split()
    model = tiny_text_model(split)
    with torch.no_grad():
        model.head.weight.mul_(8.0)
    return replace(model, counts=split.train_counts(), recommender=RandomScores(len(split.catalog)))


def rank(model: TextModel, depth: int = 24, exclude: bool = False, **options: Any) -> Ranking:
    decoder = Grounding(GroundingOptions(batch_size=3, **options))
    return decoder.rank(model, CASES, depth, exclude, SilentReporter())


def generated(model: TextModel, beams: int) -> list[list[str]]:
    """The beams of each case, by transformers alone and one case at a time."""
    tokenizer = model.encoder.tokenizer
    config = GenerationConfig(
        num_beams=beams, num_return_sequences=beams, do_sample=False, eos_token_id=tokenizer.eos_token_id,
        max_new_tokens=max(map(len, model.encoder.answers)), pad_token_id=tokenizer.pad_token_id,
    )  # fmt: skip
    texts = []
    for prompt in model.encoder.prompts(CASES):
        out = model.causal.generate(input_ids=torch.tensor([prompt]), generation_config=config)
        texts.append([t.strip() for t in tokenizer.batch_decode(out[:, len(prompt) :], skip_special_tokens=True)])
    return texts


def states(model: TextModel, texts: list[str]) -> np.ndarray:
    """[texts, width] last hidden states of the last tokens, one text at a time."""
    rows = []
    for text in texts:
        ids = model.encoder.tokenizer(text)["input_ids"] or [model.encoder.tokenizer.eos_token_id]
        with torch.no_grad():
            out = model.causal(input_ids=torch.tensor([ids]), output_hidden_states=True)
        rows.append(out.hidden_states[-1][0, -1].double().numpy())
    return np.stack(rows)


def distances(model: TextModel, texts: list[str]) -> np.ndarray:
    """[texts, items]."""
    a, b = states(model, texts), states(model, list(model.encoder.catalog.titles))
    return np.sqrt(((a[:, None] - b[None]) ** 2).sum(-1))


def agrees(found: Ranking, expected: np.ndarray) -> None:
    """Every item, nearest first, with its distance."""
    order = np.argsort(expected, axis=1, kind="stable")
    assert found.scores == pytest.approx(-np.take_along_axis(expected, order, 1), abs=1e-4)
    assert np.take_along_axis(expected, found.items.astype(int), 1) == pytest.approx(-found.scores, abs=1e-4)


@pytest.mark.parametrize("ground", ["best", "all"])
def test_nearest_titles(ground: str) -> None:
    model = random_model()
    texts = generated(model, 4)
    kept = 4 if ground == "all" else 1
    expected = np.stack([distances(model, beams[:kept]).min(axis=0) for beams in texts])
    found = rank(model, ground=ground)
    agrees(found, expected)
    titles = set(model.encoder.catalog.titles)
    assert found.invalid_share == pytest.approx(np.mean([beams[0] not in titles for beams in texts]))


def test_history_is_left_out() -> None:
    found, everything = rank(random_model(), exclude=True), rank(random_model())
    for history, items, before in zip(CASES.history, found.items, everything.items, strict=True):
        expected = [i for i in before.tolist() if i not in history[history != PAD]]
        assert items.tolist() == expected + [PAD] * (24 - len(expected))


def test_the_base_model_embeds_without_adapters() -> None:
    """Generation by the tuned model, distances by the untuned one: computed before the adapters are there."""
    model = random_model()
    titles = list(model.encoder.catalog.titles)
    before = states(model, titles)
    torch.manual_seed(0)
    lm = get_peft_model(model.lm, LoraConfig(r=4, target_modules=["q_proj", "v_proj"], init_lora_weights=False))
    model = replace(model, lm=lm.eval())
    assert not np.allclose(states(model, titles), before, atol=1e-3)
    texts = [beams[0] for beams in generated(model, 4)]
    agrees(rank(model, embedding="tuned"), distances(model, texts))
    found = rank(model, embedding="base")
    with lm.disable_adapter():
        assert np.allclose(states(model, titles), before)
        expected = distances(model, texts)
    agrees(found, expected)
    assert not np.allclose(states(model, titles), before, atol=1e-3), "the adapters stayed off"


def test_a_model_without_adapters_has_no_base() -> None:
    with pytest.raises(UsageError, match="embedding=base needs adapters"):
        rank(random_model(), embedding="base")


@pytest.mark.parametrize(("gamma", "order"), [(2.0, [0, 3, 2, 1]), (3.0, [0, 2, 3, 1])])
def test_oracle_of_the_fusion(gamma: float, order: list[int]) -> None:
    """methods.md, from counts and from their share."""
    distance, counts = np.array([[3, 5, 7, 4]]), np.array([0, 10, 40, 2])
    assert np.argsort(fused(distance, counts, gamma)).tolist() == [order]
    assert np.argsort(fused(distance, counts / counts.sum(), gamma)).tolist() == [order]
    by_hand = [0.0, 0.5 * 1.25**-gamma, 2.0**-gamma, 0.25 * 1.05**-gamma]
    assert fused(distance, counts, gamma)[0] == pytest.approx(by_hand)


@given(arrays(np.float64, (3, 6), elements=st.floats(0, 100)), arrays(np.float64, (3, 6), elements=st.floats(-9, 9)))
def test_fusion_of_anything(distance: np.ndarray, evidence: np.ndarray) -> None:
    """Finite, 0 for the nearest item whatever it is mixed with, and the scaled distances where nothing is."""
    for gamma in (0.0, 1.0, 50.0):
        values = fused(distance, evidence, gamma)
        assert np.isfinite(values).all()
        assert (values[np.arange(3), distance.argmin(axis=1)] == 0).all()
        assert ((values >= 0) & (values <= 1)).all()
    assert np.array_equal(fused(distance, evidence, 0.0), fused(distance, np.zeros(6), 7.0))


@pytest.mark.parametrize("fusion", ["popularity", "collaborative"])
def test_fusion_in_a_ranking(fusion: str) -> None:
    model = random_model()
    near = distances(model, [beams[0] for beams in generated(model, 4)])
    evidence = np.tile(model.counts, (5, 1)) if fusion == "popularity" else model.recommender.scores(CASES)
    expected = []
    for d, p in zip(near, evidence, strict=True):
        p = (p - p.min()) / (p.max() - p.min())
        expected.append((d - d.min()) / (d.max() - d.min()) / (1 + p) ** 2.5)
    agrees(rank(model, fusion=fusion, gamma=2.5), np.stack(expected))
    same_order = rank(model, fusion=fusion, gamma=0.0)
    assert np.array_equal(same_order.items, rank(model).items)


def test_only_collaborative_fusion_asks_for_a_recommender() -> None:
    assert GroundingOptions().requires() == {}
    assert GroundingOptions(fusion="popularity").requires() == {}
    assert GroundingOptions(fusion="collaborative", collaborative="bert4rec").requires() == {
        "collaborative": "bert4rec"
    }
