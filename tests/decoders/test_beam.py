"""Constrained beam search against brute force over the catalogue, and against transformers.generate."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from transformers import GenerationConfig

from recbench.errors import UsageError
from recbench.interfaces import SilentReporter
from recbench.search.beams import rank
from recbench.testing import tiny_split, tiny_text_model
from recbench.types import PAD
from recbench_plugins.decoders.constrained_beam import BeamOptions, ConstrainedBeam
from title_scores import brute_force, steps


@pytest.fixture(scope="module")
def setup():
    """A small data set and a random model whose logits are spread enough to have an opinion."""
    split = tiny_split()
    model = tiny_text_model(split)
    with torch.no_grad():
        model.head.weight.mul_(8.0)
    return split, model


@pytest.mark.parametrize("scores", ["renormalised", "hf"])
def test_as_many_beams_as_items_rank_the_whole_catalogue(setup, scores: str) -> None:
    split, model = setup
    n = len(split.catalog)
    cases = split.test.histories().take(np.arange(6))
    decoder = ConstrainedBeam(BeamOptions(beams=n, scores=scores, batch_size=4))
    found = decoder.rank(model, cases, n, False, SilentReporter())
    for row, prompt in enumerate(model.encoder.prompts(cases)):
        expected = brute_force(model, prompt, scores == "hf")
        assert sorted(found.items[row].tolist()) == list(range(n))
        assert found.scores[row] == pytest.approx(expected[found.items[row]], abs=1e-5)
        assert (np.diff(expected[found.items[row]]) <= 1e-5).all()
    if scores == "renormalised":  # the valid probabilities of all titles sum to one
        assert np.exp(found.scores.astype(float)).sum(axis=1) == pytest.approx(np.ones(len(cases)), abs=1e-4)


def test_scores_of_a_narrow_beam_are_right_and_batches_do_not_matter(setup) -> None:
    split, model = setup
    one = ConstrainedBeam(BeamOptions(beams=3, batch_size=1)).rank(
        model, split.test.histories(), 3, False, SilentReporter()
    )
    many = ConstrainedBeam(BeamOptions(beams=3, batch_size=16)).rank(
        model, split.test.histories(), 3, False, SilentReporter()
    )
    assert np.array_equal(one.items, many.items)
    assert one.scores == pytest.approx(many.scores, abs=1e-5)
    for row, prompt in list(enumerate(model.encoder.prompts(split.test.histories())))[:4]:
        assert one.scores[row] == pytest.approx(brute_force(model, prompt, False)[one.items[row]], abs=1e-5)


@pytest.mark.parametrize(("beams", "penalty"), [(4, 0.0), (4, 1.0), (10, 1.0)])
def test_equals_transformers_generate(setup, beams: int, penalty: float) -> None:
    """``scores=hf`` is what the paper's code computes: generate() with a prefix function."""
    split, model = setup
    encoder = model.encoder
    cases = split.test.histories().take(np.arange(5))
    prompts = encoder.prompts(cases)
    mine = ConstrainedBeam(BeamOptions(beams=beams, scores="hf", length_penalty=penalty)).rank(
        model, cases, beams, False, SilentReporter()
    )
    end = encoder.tokenizer.eos_token_id
    for row, prompt in enumerate(prompts):

        def allowed(_, ids, prompt=prompt):
            node = 0
            for token in ids[len(prompt) :].tolist():
                node = encoder.trie.step(node, token)
            return encoder.trie.children(node).tolist() or [end]

        config = GenerationConfig(
            num_beams=beams, num_return_sequences=beams, do_sample=False, max_new_tokens=40, length_penalty=penalty,
            eos_token_id=end, pad_token_id=encoder.tokenizer.pad_token_id, return_dict_in_generate=True,
            output_scores=True,
        )  # fmt: skip
        with torch.inference_mode():
            out = model.causal.generate(
                input_ids=torch.tensor([prompt]), generation_config=config, prefix_allowed_tokens_fn=allowed
            )
        titles = [s[len(prompt) :].tolist() for s in out.sequences]
        finished = [t for t in titles if end in t]
        theirs = [encoder.item_of(t[: t.index(end)]) for t in finished]
        assert mine.items[row].tolist()[: len(theirs)] == theirs
        assert mine.scores[row][: len(theirs)] == pytest.approx(out.sequences_scores[: len(theirs)].numpy(), abs=1e-4)


def test_history_is_left_out_on_request(setup) -> None:
    split, model = setup
    decoder = ConstrainedBeam(BeamOptions(beams=len(split.catalog)))
    found = decoder.rank(model, split.test.histories(), len(split.catalog), True, SilentReporter())
    for history, items in zip(split.test.history, found.items, strict=True):
        seen = set(history[history != PAD].tolist())
        assert not seen & set(items.tolist())
        assert (items != PAD).sum() == len(split.catalog) - len(seen)


def test_leaving_history_out_still_fills_the_list(setup) -> None:
    split, model = setup
    found = ConstrainedBeam(BeamOptions()).rank(model, split.test.histories(), 10, True, SilentReporter())
    assert (found.items != PAD).all()


def test_fewer_beams_than_places_are_refused(setup) -> None:
    split, model = setup
    with pytest.raises(UsageError, match="beams=3 cannot fill a list of 10"):
        ConstrainedBeam(BeamOptions(beams=3)).rank(model, split.test.histories(), 10, False, SilentReporter())


def test_a_decoder_adjusts_the_scores_of_each_step(setup) -> None:
    """Against every title by itself: a title's score is its log-probability and what its nodes cost this user."""
    split, model = setup
    trie, cases, n = model.encoder.trie, split.test.histories().take(np.arange(5)), len(split.catalog)
    cost = np.random.default_rng(2).uniform(0, 9, size=(len(cases), len(trie)))

    def adjust(part):
        own = cost[[int(np.flatnonzero((cases.users == user) & (cases.time == time))[0]) for user, time in zip(
            part.users, part.time, strict=True)]]  # fmt: skip
        return lambda user, node, before, after: before + 0.5 * (after - before) - own[user, node]

    found = rank(model, cases, n, False, SilentReporter(), BeamOptions(beams=n, batch_size=2), 0.0, adjust)
    for row, prompt in enumerate(model.encoder.prompts(cases)):
        own = 0.5 * np.array([sum(each) for each in steps(model, prompt, False)])
        paid = [sum(cost[row, [*trie.path(answer)[1:], trie_end(trie, answer)]]) for answer in model.encoder.answers]
        expected = own - paid
        assert found.items[row].tolist() == np.argsort(-expected, kind="stable").tolist()
        assert found.scores[row] == pytest.approx(np.sort(expected)[::-1], abs=1e-4)


def trie_end(trie, answer) -> int:
    """The node of a whole answer."""
    return trie.step(trie.path(answer)[-1], answer[-1])


def test_adjusting_nothing_changes_no_bit(setup) -> None:
    split, model = setup
    asked = (model, split.test.histories(), 10, True, SilentReporter(), BeamOptions(scores="hf"), 1.0)
    plain, same = rank(*asked), rank(*asked, lambda part: lambda user, node, before, after: after)
    assert np.array_equal(plain.items, same.items)
    assert np.array_equal(plain.scores, same.scores)
