"""New tokens of a pretrained model: their rows alone are trained, kept bit for bit, and part of what is exported."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers

import recbench
from recbench.errors import UsageError
from recbench.interfaces import Names, Options
from recbench.language import load, tiny
from recbench.language.new_rows import Head, add_rows, trained_rows
from recbench.language.textmodel import TextModel
from recbench.prompts.encode import Encoder, name_trie
from recbench.prompts.names import shown_in_history, with_tokens
from recbench.prompts.templates import template
from recbench.search.item_scores import all_scores, item_scores
from recbench.spec.llm import PretrainedOptions
from recbench.testing import TitlesOnly, tiny_split
from recbench.training.answers import AnswerModel
from recbench.training.text import Examples, collate

SPLIT = tiny_split()
TEXTS = tuple(f"<a_{item % 5}><b_{item // 5}>" for item in range(len(SPLIT.catalog)))
NAMES = Names(TEXTS, tuple(f"<a_{n}>" for n in range(5)) + tuple(f"<b_{n}>" for n in range(5)))


def pretrained(folder: Path, tied: bool, spare: int = 0) -> Path:
    """A Llama of two layers, with ``spare`` rows that its tokenizer does not use."""
    tiny.train_tokenizer(SPLIT.catalog.titles, 300, folder)
    torch.manual_seed(5)
    size = len(load.load_tokenizer(str(folder))) + spare
    shape = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
    config = transformers.LlamaConfig(
        vocab_size=size, tie_word_embeddings=tied, eos_token_id=1, pad_token_id=0, **shape
    )
    transformers.LlamaForCausalLM(config).save_pretrained(folder)
    return folder


def adapted(folder: Path, seed: int = 1, **more: Any) -> TextModel:
    """The model with adapters and the rows of ``NAMES``."""
    options = PretrainedOptions(lora_rank=2, **more)
    torch.manual_seed(seed)
    lm = load.load_pretrained(str(folder), None, options, "cpu")
    tokenizer = with_tokens(load.load_tokenizer(str(folder)), NAMES.tokens)
    ids = tokenizer.convert_tokens_to_ids(list(NAMES.tokens))
    add_rows(lm, ids, seed)
    frame, size = template("titles", "items"), lm.get_input_embeddings().num_embeddings
    trie = name_trie(tokenizer, frame, SPLIT.catalog, NAMES)
    encoder = Encoder.create(tokenizer, frame, SPLIT.catalog, TitlesOnly(Options()), size, trie=trie)
    rows = [answer[:-1] for answer in encoder.answers]
    shown = shown_in_history(tokenizer, frame, NAMES, rows, SPLIT.catalog.titles, "identifiers")
    encoder = replace(encoder, shown=shown, new_tokens=tuple(ids))
    return TextModel(load.attach_lora(lm, options, [], ids), encoder, "cpu")


def train(model: TextModel, loss: str, steps: int = 3) -> None:
    from recbench import registry

    plugin = registry.get("loss", loss)
    made = AnswerModel(model, plugin.implementation(plugin.options()))
    examples = Examples(model, SPLIT.train)
    optimiser = torch.optim.AdamW([p for p in model.lm.parameters() if p.requires_grad], 1e-2)
    model.lm.train()
    for step in range(steps):
        optimiser.zero_grad()
        made(collate([examples[i] for i in range(step * 8, step * 8 + 8)]))["loss"].backward()
        optimiser.step()
    model.lm.eval()


@pytest.mark.parametrize("loss", ["lml", "msl"])
@pytest.mark.parametrize("tied", [True, False])
def test_the_new_rows_alone_are_trained(tmp_path: Path, tied: bool, loss: str) -> None:
    model = adapted(pretrained(tmp_path / "model", tied))
    own = min(model.encoder.new_tokens)
    before = {name: p.detach().clone() for name, p in model.lm.named_parameters()}
    head = model.head.weight.detach().clone()
    train(model, loss)
    names = {name for name, p in model.lm.named_parameters() if p.requires_grad}
    assert {name for name in names if "lora" not in name} == {
        name for name in before if "trainable_tokens_delta" in name
    }
    assert len([name for name in names if "trainable_tokens_delta" in name]) == 2 - tied
    for name, parameter in model.lm.named_parameters():
        assert torch.equal(parameter, before[name]) != (name in names), name
    assert torch.equal(model.head.weight[:own], head[:own])
    changed = (model.head.weight[own:] != head[own:]).any(dim=1)
    assert bool(changed[: len(NAMES.tokens)].all())


@pytest.mark.parametrize("tied", [True, False])
def test_restored_bit_for_bit(tmp_path: Path, tied: bool) -> None:
    folder = pretrained(tmp_path / "model", tied)
    model, again = adapted(folder), adapted(folder, seed=2)
    train(model, "lml")
    kept = {name: torch.from_numpy(p.float().numpy()) for name, p in model.trainable().items()}
    again.restore(kept)
    assert torch.equal(again.head.weight, model.head.weight)
    prompts = model.encoder.prompts(SPLIT.test.histories())
    with torch.inference_mode():
        ids = torch.tensor([prompts[0]])
        assert torch.equal(again.lm(ids).logits, model.lm(ids).logits)
    assert np.array_equal(all_scores(again, prompts[:4]), all_scores(model, prompts[:4]))


@pytest.mark.parametrize("tied", [True, False])
def test_what_decoders_read_is_what_the_whole_model_computes(tmp_path: Path, tied: bool) -> None:
    """Also after another step of training: nothing stale is read."""
    model = adapted(pretrained(tmp_path / "model", tied))
    prompts = model.encoder.prompts(SPLIT.test.histories())[:2]
    for _ in range(2):
        train(model, "msl", steps=1)
        scores = all_scores(model, prompts)
        np.testing.assert_allclose(
            item_scores(model, prompts, np.tile(np.arange(len(SPLIT.catalog)), (2, 1))), scores, atol=1e-5
        )
        for prompt, row in zip(prompts, scores, strict=True):
            for item in (0, 7, 23):
                assert row[item] == pytest.approx(brute_force(model, prompt, item), abs=1e-4)


def brute_force(model: TextModel, prompt: list[int], item: int) -> float:
    answers, answer = model.encoder.answers, model.encoder.answers[item]
    with torch.inference_mode():
        logits = model.causal(input_ids=torch.tensor([[*prompt, *answer]])).logits[0].double()
    total = 0.0
    for n, token in enumerate(answer):
        row = logits[len(prompt) + n - 1]
        valid = sorted({other[n] for other in answers if other[:n] == answer[:n]})
        total += float(row[token] - row[valid].logsumexp(0))
    return total


def test_small_steps_count_in_half_precision(tmp_path: Path) -> None:
    model = adapted(pretrained(tmp_path / "model", True), precision="bf16")
    (rows,) = (p for name, p in model.lm.named_parameters() if "trainable_tokens_delta" in name)
    assert model.head.weight.dtype == torch.bfloat16
    assert rows.dtype == torch.float32
    with torch.no_grad():
        rows.add_(1e-4)
    again = adapted(tmp_path / "model", precision="bf16")
    again.restore({name: torch.from_numpy(p.float().numpy()) for name, p in model.trainable().items()})
    (own,) = (p for name, p in again.lm.named_parameters() if "trainable_tokens_delta" in name)
    assert torch.equal(own, rows)


def test_rows_are_drawn_like_the_others_and_spare_ones_are_used(tmp_path: Path) -> None:
    folder = pretrained(tmp_path / "model", True, spare=12)
    lm = load.load_pretrained(str(folder), None, PretrainedOptions(), "cpu")
    size, before = len(lm.get_input_embeddings().weight), lm.get_input_embeddings().weight.detach().clone()
    ids = list(range(size - 12, size - 2))
    add_rows(lm, ids, seed=1)
    after = lm.get_input_embeddings().weight.detach()
    assert len(after) == size
    kept = [n for n in range(size) if n not in ids]
    assert torch.equal(after[kept], before[kept])
    assert not (after[ids] == before[ids]).any()
    assert 0.5 < float(after[ids].std() / before[: size - 12].std()) < 2
    assert trained_rows(lm, ids) == {"embed_tokens": ids}


def test_the_matrix_is_kept_while_nothing_changes(tmp_path: Path) -> None:
    model = adapted(pretrained(tmp_path / "model", True))
    assert isinstance(model.head, Head)
    with torch.inference_mode():
        first = model.head.weight
        assert model.head.weight is first
        with model.in_fp32():
            assert model.head.weight.dtype == torch.float32
    train(model, "lml", steps=1)
    with torch.inference_mode():
        assert not torch.equal(model.head.weight, first)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A run of semantic identifiers on a small pretrained model, with vectors of its own."""
    folder = tmp_path_factory.mktemp("run")
    place = pretrained(folder / "small", False)
    return recbench.run(
        "bigrec", loss="msl", identifier="semantic", llm=str(place), epochs=1, train_samples=64, batch_size=32,
        preset="cpu", runs=folder / "runs", progress=False,
        set={
            "evaluate": {"cases": 20, "validation_cases": 10}, "identifier": {"codes": 16, "levels": 2},
            "llm": {"lora_rank": 2}, "train": {"targets": "last"}, "machine": {"threads": 1},
        },
    )  # fmt: skip


def test_a_run_exports_what_plain_transformers_reads(run: Any, tmp_path: Path) -> None:
    assert "text" in {step.role for step in run.record.seeds[0].steps}
    assert run.record.seeds[0].watched["tokens_an_item"] == 3
    with pytest.raises(UsageError, match="--merged"):
        run.export(tmp_path / "adapters")
    trained = run.load()
    encoder, cases = trained.model.encoder, trained.split.test.histories()
    prompt = encoder.prompts(cases)[0]
    with torch.inference_mode():
        expected = trained.model.lm(torch.tensor([prompt])).logits
    folder = run.export(tmp_path / "whole", merged=True)
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    model = transformers.AutoModelForCausalLM.from_pretrained(folder).eval()
    with torch.inference_mode():
        torch.testing.assert_close(model(torch.tensor([prompt])).logits, expected, atol=1e-4, rtol=1e-4)
    lines = [json.loads(line) for line in (folder / "catalogue.jsonl").read_text().splitlines()]
    for line, answer in zip(lines, encoder.answers, strict=True):
        assert tokenizer(line["shown"], add_special_tokens=False)["input_ids"] == list(answer[:-1])
    recommend = {}
    exec((folder / "README.md").read_text().split("```python\n")[1].split("```")[0], recommend)
    history = [(trained.split.catalog.ids[i], "") for i in cases.history[0] if i >= 0]
    alone = [item for item, _ in recommend["recommend"](folder, history)]
    ours = [found.item for found in trained.recommend([[name for name, _ in history]])[0]]
    assert alone[:3] == ours[:3]
