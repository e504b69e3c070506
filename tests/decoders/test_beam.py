"""Constrained beam search against brute force over the catalogue, and against transformers.generate."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from transformers import GenerationConfig

from recbench.errors import UsageError
from recbench.interfaces import SilentReporter
from recbench.testing import tiny_split, tiny_text_model
from recbench.types import PAD
from recbench_plugins.decoders.constrained_beam import BeamOptions, ConstrainedBeam


@pytest.fixture(scope="module")
def setup():
    """A small data set and a random model whose logits are spread enough to have an opinion."""
    split = tiny_split()
    model = tiny_text_model(split)
    with torch.no_grad():
        model.head.weight.mul_(8.0)
    return split, model


def brute_force(model, prompt: list[int], over_vocabulary: bool) -> np.ndarray:
    """[items] log-probability of each title after the prompt, one plain forward pass a title."""
    scores = []
    for answer in model.encoder.answers:
        ids = torch.tensor([[*prompt, *answer]])
        with torch.inference_mode():
            logits = model.causal(input_ids=ids).logits[0].double()
        total = 0.0
        for i, token in enumerate(answer):
            row = logits[len(prompt) + i - 1]
            prefix = answer[:i]
            valid = sorted({a[i] for a in model.encoder.answers if a[:i] == prefix})
            norm = row.logsumexp(0) if over_vocabulary else row[valid].logsumexp(0)
            total += float(row[token] - norm)
        scores.append(total)
    return np.array(scores)


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
