"""Best-first search against brute force over the catalogue: one plain forward pass a title, in float64."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from recbench.interfaces import SilentReporter
from recbench.language.textmodel import TextModel
from recbench.prompts.trie import Trie
from recbench.search.batches import bytes_per_token
from recbench.search.beam import BeamSearch
from recbench.search.best_first import BestFirst
from recbench.search.item_scores import all_scores, item_scores
from recbench.testing import tiny_split, tiny_text_model
from recbench.types import PAD, Catalog, Histories
from recbench_plugins.decoders.constrained_beam import BeamOptions, ConstrainedBeam
from recbench_plugins.decoders.exact import Exact, ExactOptions
from title_scores import brute_force

titles = st.lists(st.lists(st.integers(2, 6), min_size=1, max_size=5), min_size=1, max_size=14, unique_by=tuple)
texts = st.lists(st.lists(st.integers(2, 60), min_size=1, max_size=7), min_size=1, max_size=5)
# behind nothing, or behind a beginning that is long enough to be read once for all
prompts = st.builds(lambda first, rest: [[*first, *r] for r in rest], st.sampled_from([[], list(range(30, 55))]), texts)


@cache
def random_model(seed: int, spread: float = 8.0) -> TextModel:
    """A random model whose logits are spread enough to have an opinion."""
    model = tiny_text_model(tiny_split(), seed=seed)
    with torch.no_grad():
        model.head.weight.mul_(spread)
    return model


def with_titles(model: TextModel, rows: list[list[int]]) -> TextModel:
    """The same language model over another catalogue, given as token ids."""
    from dataclasses import replace

    answers = tuple((*row, model.encoder.tokenizer.eos_token_id) for row in rows)
    names = tuple(str(i) for i in range(len(rows)))
    encoder = replace(model.encoder, catalog=Catalog(names, names), answers=answers, trie=Trie.build(answers))
    return TextModel(model.lm, encoder, "cpu")


def agrees(found: list[tuple[float, int]], expected: np.ndarray, depth: int, forbidden: set[int]) -> None:
    """``found`` is the top of ``expected`` without ``forbidden``, up to scores as near as rounding."""
    allowed = np.array([i not in forbidden for i in range(len(expected))])
    best = np.sort(expected[allowed])[::-1][:depth]
    items = [item for _, item in found]
    assert len(items) == len(set(items)) == len(best)
    assert allowed[items].all()
    assert [score for score, _ in found] == pytest.approx(best, abs=2e-5)
    assert expected[items] == pytest.approx(best, abs=4e-5)


@given(titles, prompts, st.integers(0, 2), st.booleans(), st.data())
@settings(max_examples=40)
def test_the_top_of_the_catalogue(rows: Any, texts: Any, seed: int, over_vocabulary: bool, data: Any) -> None:
    """Any catalogue, ragged prompts, any depth and forbidden items, any number of expansions, any memory."""
    model = with_titles(random_model(seed), rows)
    depth, expand, kept = data.draw(st.integers(1, 16)), data.draw(st.integers(1, 6)), data.draw(st.integers(0, 12))
    items = st.sets(st.integers(0, len(rows) - 1), max_size=5)
    forbidden = [data.draw(items) for _ in texts]
    some = [data.draw(st.lists(st.integers(0, len(rows) - 1), min_size=3, max_size=3)) for _ in texts]
    temperature = data.draw(st.sampled_from([1.0, 0.5, 3.0]))
    beams = len(rows) + 2  # as wide as the catalogue, so that nothing is pruned; the root may be narrower
    with model.at(temperature):
        found = BestFirst(model, depth, expand, over_vocabulary, kept)(texts, forbidden)
        scores = all_scores(model, texts, over_vocabulary, expand)
        given_items = item_scores(model, texts, some, over_vocabulary)
        wide = BeamSearch(model, beams, over_vocabulary, 0.0)(texts, forbidden)
    for n, text in enumerate(texts):
        expected = brute_force(model, text, over_vocabulary, temperature)
        agrees(found[n], expected, depth, forbidden[n])
        assert scores[n] == pytest.approx(expected, abs=2e-5)
        assert given_items[n] == pytest.approx(expected[some[n]], abs=2e-5)
        agrees(wide[n], expected, beams, forbidden[n])


@pytest.mark.parametrize("scores", ["renormalised", "hf"])
@pytest.mark.parametrize("exclude", [False, True])
def test_ranking_of_a_data_set(scores: str, exclude: bool) -> None:
    """Through the decoder, item by item; no two titles of this catalogue come as near as rounding."""
    split, model = tiny_split(), random_model(0)
    decoder = Exact(ExactOptions(scores=scores, expand=3, batch_size=5))
    found = decoder.rank(model, split.test.histories(), 10, exclude, SilentReporter())
    for row, prompt in enumerate(model.encoder.prompts(split.test.histories())):
        expected = brute_force(model, prompt, scores == "hf")
        if exclude:
            history = split.test.history[row]
            expected[history[history != PAD]] = -np.inf
        order = np.argsort(-expected, kind="stable")[:10]
        assert found.items[row].tolist() == order.tolist()
        assert found.scores[row] == pytest.approx(expected[order], abs=2e-5)


def test_the_result_does_not_depend_on_how_it_is_computed() -> None:
    split, model = tiny_split(), random_model(1)
    expected = Exact(ExactOptions()).rank(model, split.test.histories(), 7, True, SilentReporter())
    for expand, size in [(1, 1), (2, 7), (50, 100)]:
        found = Exact(ExactOptions(expand=expand, batch_size=size)).rank(
            model, split.test.histories(), 7, True, SilentReporter()
        )
        assert np.array_equal(found.items, expected.items)
        assert found.scores == pytest.approx(expected.scores, abs=2e-5)


def test_finds_what_a_narrow_beam_loses() -> None:
    """A greedy first choice hides the best title: the beam of one misses it, exact search does not."""
    # the best first token leads to many titles that share its probability
    rows = [[2, a, b] for a in (3, 4, 5, 6) for b in (3, 4, 5, 6)] + [[7, 3]]
    model = with_titles(tiny_text_model(tiny_split()), rows)
    with torch.no_grad():
        model.head.weight.zero_()  # all choices are equally likely: 1/2 for the last title, 1/32 for the others
    cases = Histories(np.zeros(1, np.int32), np.zeros((1, 1), np.int32), np.zeros(1, np.int64))
    beam = ConstrainedBeam(BeamOptions(beams=1)).rank(model, cases, 1, False, SilentReporter())
    exact = Exact(ExactOptions()).rank(model, cases, 1, False, SilentReporter())
    assert exact.items[0, 0] == 16
    assert exact.scores[0, 0] == pytest.approx(np.log(1 / 2))
    assert beam.items[0, 0] != 16


def test_equal_scores_stand_in_the_order_of_the_trie() -> None:
    rows = [[5, 2], [3], [4], [5, 3], [2]]
    model = with_titles(tiny_text_model(tiny_split()), rows)
    with torch.no_grad():
        model.head.weight.zero_()
    for depth in (1, 2, 3, 4, 5):
        for expand in (1, 8):
            (found,) = BestFirst(model, depth, expand, False)([[9]], [set()])
            assert [item for _, item in found] == [4, 1, 2, 0, 3][:depth]


def test_a_catalogue_of_one_item() -> None:
    """Nothing to choose: probability 1, for both users; and nothing at all once it is forbidden."""
    model = with_titles(random_model(0), [[3, 4, 5]])
    assert BestFirst(model, 10, 16, False)([[9], [9, 8]], [set(), {0}]) == [[(0.0, 0)], []]
    (found,) = BestFirst(model, 10, 16, True)([[9, 8, 7]], [set()])
    agrees(found, brute_force(model, [9, 8, 7], True), 10, set())


def test_architectures_that_do_not_pack_find_the_same() -> None:
    """Every prefix is read anew then; the result is the same."""
    split, model = tiny_split(), random_model(2)
    expected = Exact(ExactOptions()).rank(model, split.test.histories(), 7, True, SilentReporter())
    beams = ConstrainedBeam(BeamOptions()).rank(model, split.test.histories(), 7, True, SilentReporter())
    other = TextModel(model.lm, model.encoder, "cpu")
    other.hidden_states.packs = False
    found = Exact(ExactOptions(expand=3)).rank(other, split.test.histories(), 7, True, SilentReporter())
    assert np.array_equal(found.items, expected.items)
    assert found.scores == pytest.approx(expected.scores, abs=2e-5)
    again = ConstrainedBeam(BeamOptions()).rank(other, split.test.histories(), 7, True, SilentReporter())
    assert np.array_equal(again.items, beams.items)


def test_a_model_in_bf16_ranks_as_in_fp32_where_asked() -> None:
    """And its weights come back as they were."""
    split, model = tiny_split(), tiny_text_model(tiny_split(), seed=3)
    model.lm.to(torch.bfloat16)
    before = {n: p.clone() for n, p in model.lm.named_parameters()}
    found = Exact(ExactOptions(precision="fp32")).rank(model, split.test.histories(), 5, False, SilentReporter())
    half = Exact(ExactOptions()).rank(model, split.test.histories(), 5, False, SilentReporter())
    assert all(p.dtype == torch.bfloat16 and torch.equal(p, before[n]) for n, p in model.lm.named_parameters())
    model.lm.float()  # bf16 weights, exactly
    expected = Exact(ExactOptions()).rank(model, split.test.histories(), 5, False, SilentReporter())
    assert np.array_equal(found.scores, expected.scores)
    assert np.array_equal(found.items, expected.items)
    assert not np.array_equal(half.scores, expected.scores)


def test_memory_of_a_token() -> None:
    model = random_model(0)
    assert bytes_per_token(model) == 2 * 2 * model.causal.config.hidden_size * 4  # two layers, fp32


def test_items_that_are_not_there_have_no_score() -> None:
    model = random_model(0)
    for item in (-1, len(model.encoder.catalog)):
        with pytest.raises(IndexError, match="numbered from 0"):
            item_scores(model, [[5, 6]], [[item]])
