"""Questions about items: both kinds, with the valid tokens of their own trie, and learned when they are trained."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from recbench import registry
from recbench.interfaces import Fit, Names, SilentReporter, TrainOptions
from recbench.prompts.trie import Trie, side_by_side
from recbench.testing import tiny_split, tiny_text_model
from recbench.training.alignment import alignment
from recbench.training.answers import AnswerModel
from recbench.training.text import Examples, collate, tune

SPLIT = tiny_split()
ITEMS = len(SPLIT.catalog)
TEXTS = tuple(f"<a_{item % 5}><b_{item // 5}>" for item in range(ITEMS))
NAMES = Names(TEXTS, tuple(f"<{letter}_{n}>" for letter in "ab" for n in range(5)))


def test_two_tries_side_by_side() -> None:
    one, two = Trie.build([(1, 2), (1, 3), (4,)]), Trie.build([(5, 1, 1), (5, 2)])
    first, token = side_by_side([one, two])
    for offset, trie in ((0, one), (len(one), two)):
        for node in range(len(trie)):
            at = offset + node
            assert token[first[at] : first[at + 1]].tolist() == trie.children(node).tolist()
    assert len(first) == len(one) + len(two) + 1


def test_questions() -> None:
    model = tiny_text_model(SPLIT, names=NAMES)
    found, tokenizer = alignment(model, 2 * ITEMS + 3, seed=1), model.encoder.tokenizer
    assert len(found.prompts) == 2 * ITEMS + 3
    titles, pairs = list(SPLIT.catalog.titles), []
    for number, (prompt, answer) in enumerate(zip(found.prompts, found.answers, strict=True)):
        asked, said = (tokenizer.decode(ids).strip() for ids in (prompt, answer[:-1]))
        assert answer[-1] == tokenizer.eos_token_id
        if number % 2:
            name = asked.removeprefix("What is the title of ").removesuffix("?").replace(" ", "")
            pairs.append((TEXTS.index(name), titles.index(said)))
        else:
            title = asked.removeprefix("Which item is called ").removesuffix("?")
            pairs.append((titles.index(title), TEXTS.index(said.replace(" ", ""))))
    assert all(a == b for a, b in pairs)
    assert {a for a, _ in pairs} == set(range(ITEMS))
    assert alignment(model, 9, seed=1).prompts == found.prompts[:9]
    assert alignment(model, 9, seed=2).prompts != found.prompts[:9]
    assert not alignment(model, 0, seed=1).prompts


@pytest.mark.parametrize("choices", [False, True])
def test_valid_tokens_are_those_of_names_or_of_titles(choices: bool) -> None:
    model, windows = tiny_text_model(SPLIT, names=NAMES), SPLIT.train.take(np.arange(3))
    asked, plugin = alignment(model, 6, seed=1), registry.get("loss", "msl")
    module = AnswerModel(model, plugin.implementation(plugin.options()), [asked.titles])
    examples = Examples(model, windows, choices, aligned=asked)
    assert len(examples) == 9
    assert examples.lengths == [len(example.tokens) for example in examples]
    assert [example.number for example in examples] == list(range(9))
    titles = asked.titles.sequences()
    for number in range(9):
        batch = module.answers(**collate([examples[number]]))
        among = titles if number in (4, 6, 8) else model.encoder.answers
        assert batch.indptr is not None
        assert batch.allowed is not None
        labels = batch.labels.tolist()
        for n in range(len(labels)):
            valid = {row[n] for row in among if list(row[:n]) == labels[:n]}
            assert set(batch.allowed[batch.indptr[n] : batch.indptr[n + 1]].tolist()) == valid


@pytest.mark.parametrize("loss", ["lml", "msl"])
def test_they_are_learned(loss: str) -> None:
    model, plugin = tiny_text_model(SPLIT, names=NAMES, seed=3), registry.get("loss", loss)
    budget = TrainOptions(epochs=60, batch_size=16, learning_rate=1e-2)
    plan = Fit(budget, 1, "cpu", 1, None, SilentReporter())
    windows = SPLIT.train.take(np.arange(4))
    asked = alignment(model, 48, seed=1)

    def right() -> float:
        found = []
        for prompt, answer in zip(asked.prompts, asked.answers, strict=True):
            with torch.inference_mode():
                logits = model.causal(input_ids=torch.tensor([[*prompt, *answer]])).logits[0]
            valid = asked.titles if answer in asked.titles.sequences() else model.encoder.trie
            for n, node in enumerate(valid.path(answer)):
                options = torch.from_numpy(valid.children(node)).long()
                found.append(int(options[logits[len(prompt) + n - 1][options].argmax()]) == answer[n])
        return float(np.mean(found))

    before = right()
    tune(model, plugin.implementation(plugin.options()), windows, plan, model.encoder.backbone, "fp32", aligned=12.0)
    model.lm.eval()
    assert right() > before + 0.15
