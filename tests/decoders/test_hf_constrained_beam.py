"""The paper's own decoding against constrained_beam, and its trie against brute force."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from recbench.errors import UsageError
from recbench.interfaces import SilentReporter
from recbench.language.textmodel import TextModel
from recbench.prompts.trie import Trie
from recbench.search import generate
from recbench.testing import tiny_split, tiny_text_model
from recbench.types import PAD, Catalog, Ranking
from recbench_plugins.decoders.constrained_beam import BeamOptions, ConstrainedBeam
from recbench_plugins.decoders.hf_constrained_beam import HFBeamOptions, HFConstrainedBeam, TokenTrie

ids = st.sampled_from([0, 1, 255, 256, 2**16 - 1, 2**16, 0xD800, 0xDFFF, 128_001, 199_999])  # bytes and surrogates


def random_model(seed: int) -> TextModel:
    model = tiny_text_model(tiny_split(), seed=seed)
    with torch.no_grad():
        model.head.weight.mul_(8.0)
    return model


def rank(model: TextModel, depth: int, exclude: bool = False, **options: Any) -> Ranking:
    return HFConstrainedBeam(HFBeamOptions(**options)).rank(
        model, tiny_split().test.histories(), depth, exclude, SilentReporter()
    )


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize(("beams", "penalty"), [(10, 1.0), (4, 0.0)])
def test_equals_constrained_beam(seed: int, beams: int, penalty: float) -> None:
    """Two implementations of one search: the same items rank for rank."""
    model = random_model(seed)
    theirs = rank(model, beams, beams=beams, length_penalty=penalty)
    mine = ConstrainedBeam(BeamOptions(beams=beams, scores="hf", length_penalty=penalty)).rank(
        model, tiny_split().test, beams, False, SilentReporter()
    )
    found = theirs.items != PAD  # generate() may stop before all its beams are titles
    assert found[:, :2].all()
    assert np.array_equal(theirs.items[found], mine.items[found])
    assert theirs.scores[found] == pytest.approx(mine.scores[found], abs=1e-4)


def test_batches_do_not_matter() -> None:
    model = random_model(0)
    one, many = rank(model, 5, beams=5, batch_size=1), rank(model, 5, beams=5, batch_size=16)
    assert np.array_equal(one.items, many.items)
    assert one.scores == pytest.approx(many.scores, abs=1e-5)


def test_history_is_left_out_of_a_wider_search() -> None:
    """As many more beams as a history has places: what remains is the unrestricted list without the history."""
    model, history = random_model(0), tiny_split().test.history
    plain = rank(model, 10, beams=10 + history.shape[1])
    without = rank(model, 10, exclude=True, beams=10)
    wide = rank(model, 15, beams=15)
    assert np.array_equal(wide.items[:, :10], plain.items)
    for shown, items, everything in zip(history, without.items, wide.items, strict=True):
        expected = [i for i in everything.tolist() if i != PAD and i not in shown[shown != PAD]][:10]
        assert items[items != PAD].tolist() == expected


def test_a_catalogue_narrower_than_the_beam() -> None:
    """Beams that find nothing are not items: places stay empty and nothing counts as invalid."""
    model = random_model(0)
    answers = tuple((*row, model.encoder.tokenizer.eos_token_id) for row in ((3, 4), (3, 5), (9,)))
    names = ("a", "b", "c")
    encoder = replace(model.encoder, catalog=Catalog(names, names), answers=answers, trie=Trie.build(answers))
    cases = replace(tiny_split().test.histories(), history=np.zeros((16, 1), np.int32))
    found = HFConstrainedBeam(HFBeamOptions()).rank(
        TextModel(model.lm, encoder, "cpu"), cases, 10, False, SilentReporter()
    )
    assert (np.sort(found.items[:, :3]) == [0, 1, 2]).all()
    assert (found.items[:, 3:] == PAD).all()
    assert np.isneginf(found.scores[:, 3:]).all()
    assert found.invalid_share is None


def test_answers_that_are_no_item_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Were transformers to write something else than a title, the report would say so."""
    model = random_model(0)
    title = list(model.encoder.answers[7][:-1])
    answers = [(title, -1.0), ([2, 2, 2], -2.0), (title, -3.0), (title[:1], -4.0)]
    monkeypatch.setattr(generate, "generate", lambda model, prompts, *_, **__: [answers for _ in prompts])
    found = rank(model, 2, beams=4)
    assert found.invalid_share == 0.5
    assert found.items.tolist() == [[7, PAD]] * len(found.items)


def test_fewer_beams_than_places_are_refused() -> None:
    with pytest.raises(UsageError, match="beams=3 cannot fill a list of 10"):
        rank(random_model(0), 10, beams=3)


@given(st.lists(st.lists(ids, min_size=1, max_size=4), min_size=1, max_size=8))
def test_trie_of_any_token_ids(rows: list[list[int]]) -> None:
    """Every beginning's continuations, by brute force over the titles; ids beyond 16 bits and between bytes."""
    end = 150_000
    titles = [[*row, end] for row in rows]
    trie = TokenTrie(titles)
    for row in titles:
        for n in range(len(row)):
            expected = sorted({t[n] for t in titles if t[:n] == row[:n] and len(t) > n})
            assert trie.following(row[:n]) == expected
        assert trie.following(row) == [end]
    assert trie.following([7, 7]) == [end]
