"""Trie, prompts and searches on every built-in identifier, against brute force over the catalogue."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
import torch

from recbench import registry
from recbench.errors import RecbenchError
from recbench.interfaces import Fit, Names, Options, SilentReporter, TextBackbone, TrainOptions
from recbench.interfaces.identifiers import IdentifierOptions
from recbench.language.textmodel import TextModel
from recbench.prompts.names import check
from recbench.search.beam import BeamSearch
from recbench.search.best_first import BestFirst
from recbench.search.item_scores import all_scores, item_scores
from recbench.testing import tiny_split, tiny_text_model
from recbench.training.answers import AnswerModel
from recbench.training.text import Examples, collate
from recbench.types import PAD
from title_scores import brute_force

SPLIT = tiny_split()
CASES = SPLIT.test.histories()
OPTIONS = {"semantic": {"codes": 4, "levels": 2}, "collaborative": {"clusters": 3, "leaf": 3}}
BUILT_IN = ("title", "index", "collaborative", "semantic")


@cache
def names_of(name: str) -> Names:
    plugin = registry.get("identifier", name)
    made = plugin.implementation(plugin.options(**OPTIONS.get(name, {})))
    if isinstance(made.options, IdentifierOptions) and made.options.learns_from():
        budget = TrainOptions(epochs=1, batch_size=1, learning_rate=1)
        made.learn(SPLIT, {}, Fit(budget, 1, "cpu", 1, None, SilentReporter()))
    return made.names(SPLIT.catalog)


@cache
def model_of(name: str, shows: str = "identifiers", apart: bool = False) -> TextModel:
    model = tiny_text_model(SPLIT, names=names_of(name), shows=shows, apart=apart)
    with torch.no_grad():
        model.head.weight.mul_(8)  # logits with an opinion
    return model


@pytest.mark.parametrize("over_vocabulary", [False, True])
@pytest.mark.parametrize("name", BUILT_IN)
def test_every_search_against_brute_force(name: str, over_vocabulary: bool) -> None:
    model, items = model_of(name), len(SPLIT.catalog)
    prompts = model.encoder.prompts(CASES)[:3]
    expected = np.stack([brute_force(model, prompt, over_vocabulary) for prompt in prompts])
    np.testing.assert_allclose(all_scores(model, prompts, over_vocabulary), expected, atol=1e-4)
    asked = np.tile(np.arange(items), (len(prompts), 1))
    np.testing.assert_allclose(item_scores(model, prompts, asked, over_vocabulary), expected, atol=1e-4)
    best = [set(np.argsort(-row)[:5].tolist()) for row in expected]
    none = [set()] * len(prompts)
    for search in (BeamSearch(model, items, over_vocabulary, 0.0), BestFirst(model, 5, 64, over_vocabulary)):
        for found, right, row in zip(search(prompts, none), best, expected, strict=True):
            assert {item for _, item in found[:5]} == right
            np.testing.assert_allclose([score for score, _ in found[:5]], np.sort(row)[::-1][:5], atol=1e-4)


@pytest.mark.parametrize("name", BUILT_IN)
def test_trie_against_the_names(name: str) -> None:
    encoder, names = model_of(name).encoder, names_of(name)
    assert len(set(encoder.answers)) == len(SPLIT.catalog)
    for item, (text, answer) in enumerate(zip(names.texts, encoder.answers, strict=True)):
        assert encoder.tokenizer.decode(answer[:-1], skip_special_tokens=False).replace(" ", "") == text.replace(
            " ", ""
        )
        assert encoder.item_of(answer) == item
        for depth, node in enumerate(encoder.trie.path(answer)):
            following = {other[depth] for other in encoder.answers if other[:depth] == answer[:depth]}
            assert encoder.trie.children(node).tolist() == sorted(following)


@pytest.mark.parametrize("shows", ["identifiers", "both"])
@pytest.mark.parametrize("name", ["index", "semantic"])
def test_a_history_shows_what_is_written(name: str, shows: str) -> None:
    """The tokens of an answer stand in the history as they are, and what follows them tells the title."""
    encoder = model_of(name, shows).encoder
    quoted = [encoder.template.quote(title) for title in SPLIT.catalog.titles]
    for row, prompt in zip(CASES.history, encoder.read(CASES), strict=True):
        items = [int(i) for i in row if i != PAD]
        assert prompt.items == items
        for place, (item, start) in enumerate(zip(items, prompt.starts, strict=True)):
            own = encoder.answers[item][:-1]
            assert tuple(prompt.ids[start : start + len(own)]) == own
            end = prompt.starts[place + 1] if place + 1 < len(items) else len(prompt.ids)
            behind = encoder.tokenizer.decode(prompt.ids[start + len(own) : end])
            assert behind.strip() == (quoted[item] if shows == "both" else "")
    assert encoder.text(3) == names_of(name).texts[3] + (f" {quoted[3]}" if shows == "both" else "")


def test_a_history_of_titles_is_that_of_a_run_without_identifier() -> None:
    frame, titles = model_of("index", "titles").encoder, SPLIT.catalog.titles
    plain = tiny_text_model(SPLIT).encoder
    assert [frame.tokenizer.decode(ids) for ids in frame.prompts(CASES)] == [
        plain.tokenizer.decode(ids) for ids in plain.prompts(CASES)
    ]
    assert frame.text(2) == frame.template.quote(titles[2])


@pytest.mark.parametrize("loss", ["lml", "msl"])
@pytest.mark.parametrize("shows", ["identifiers", "both"])
def test_every_item_of_a_window_a_target(shows: str, loss: str) -> None:
    """One pass over a window gives the loss of separate prompts, each cut before its target."""
    model = model_of("semantic", shows, apart=True)
    made = registry.get("loss", loss)
    windows = SPLIT.train.take(np.arange(12))
    every = AnswerModel(model, made.implementation(made.options())).double().eval()
    examples = Examples(model, windows, choices=made.implementation.positions == "choices", every=True)
    total, count = every.loss(every.answers(**collate(list(examples))))
    parts, number = 0.0, 0.0
    frame = model.encoder.template
    for row, target in zip(windows.history.tolist(), windows.target.tolist(), strict=True):
        items = [i for i in row if i != PAD]
        for end in range(1, len(items) + 1):
            last = end == len(items)
            ids = [*model.encoder.tokenizer(frame.before)["input_ids"]]
            for place, item in enumerate(items[:end]):
                ids += model.encoder.tokenizer(frame.between)["input_ids"] if place else []
                ids += model.encoder.shown.tokens[item]
            ids += model.encoder.tokenizer(frame.after if last else frame.between)["input_ids"]
            answer = model.encoder.answers[target if last else items[end]]
            nodes = model.encoder.trie.path(answer)
            if made.implementation.positions == "choices":
                choices = np.flatnonzero(model.encoder.trie.fanout(nodes) > 1)
                nodes = nodes[: int(choices[-1]) + 1]
            from recbench.training.text import Example, Target

            example = Example([*ids, *answer[: len(nodes) - 1]], [Target(len(ids) - 1, answer, nodes)])
            value, n = every.loss(every.answers(**collate([example])))
            parts, number = parts + float(value.detach()), number + float(n)
    model.lm.float()
    assert float(count) == pytest.approx(number)
    assert float(total.detach()) == pytest.approx(parts, rel=1e-6)


def test_a_prompt_that_does_not_keep_titles_whole_is_refused() -> None:
    class Joined(TextBackbone[Options]):
        def prompt(self, titles, items, template):
            return [", ".join(titles)]

    model = tiny_text_model(SPLIT, Joined(Options()), names=names_of("index"))
    with pytest.raises(RecbenchError, match=r"Joined\.prompt must give every title as a separate piece"):
        model.encoder.prompts(CASES)


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (Names(("a", "b")), "names 2 items, and the catalogue has 3"),
        (Names(("a", "b", "a")), "items 0 and 2 the same name, 'a'"),
        (Names(("a", "", "b")), "item 1 an empty name"),
        (Names(("<x>", "<x>1", "b"), ("<x>", "<x>1")), "'<x>' and '<x>1', one of which is a prefix of the other"),
        (Names(("<x>", "y", "b"), ("<x>", "")), "one of which is a prefix of the other"),
    ],
)
def test_names_that_cannot_be(names: Names, said: str) -> None:
    with pytest.raises(RecbenchError, match=said.replace("(", r"\(")):
        check(names, 3, "it")


def test_text_does_not_become_a_token() -> None:
    """A title that spells a new token is a text like any other."""
    from dataclasses import replace

    titles = ("<item_3> in person", *SPLIT.catalog.titles[1:])
    split = replace(SPLIT, catalog=replace(SPLIT.catalog, titles=titles))
    encoder = tiny_text_model(split, names=names_of("index"), shows="titles").encoder
    new = set(encoder.tokenizer.convert_tokens_to_ids(list(names_of("index").tokens)))
    assert not new & {token for ids in encoder.prompts(CASES) for token in ids}
