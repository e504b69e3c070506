from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from recbench import registry
from recbench.interfaces import SilentReporter
from recbench.prompts.trie import Trie
from recbench.testing import RandomScores, TextDecoderTests, tiny_split, tiny_text_model

d3 = pytest.importorskip("recbench_d3", reason="pip install ./plugins/recbench-d3")
CASES = tiny_split().test.histories().take(np.arange(5))


class TestD3(TextDecoderTests):
    name = "d3"


class TestD3AsTheCode(TextDecoderTests):
    name = "d3"
    options = {"aggregate": "max", "scores": "hf", "alpha": 0.5, "batch_size": 5}


class TestD3Alone(TextDecoderTests):
    name = "d3"
    options = {"alpha": 0}


@pytest.fixture(scope="module")
def model():
    """A random model that is sure of some tokens, and a recommender that disagrees."""
    import torch

    split = tiny_split()
    made = tiny_text_model(split)
    with torch.no_grad():
        made.head.weight.mul_(8.0)
    return replace(made, recommender=RandomScores(len(split.catalog), seed=3))


def rank(model, name="d3", depth=24, exclude=False, **options):
    plugin = registry.get("decoder", name)
    decoder = plugin.implementation(plugin.options(**options))
    return decoder.rank(model, CASES, depth, exclude, SilentReporter())


class Plain:
    """Log-probability of a token behind a prompt and a prefix, by transformers alone and one sequence at a time."""

    def __init__(self, model, prompt, renormalised):
        self.model, self.prompt, self.renormalised, self.known = model, list(prompt), renormalised, {}
        self.titles = model.encoder.answers

    def __call__(self, prefix, token):
        import torch

        if prefix not in self.known:
            with torch.no_grad():
                logits = self.model.causal(input_ids=torch.tensor([[*self.prompt, *prefix]])).logits[0, -1].double()
            if self.renormalised:
                valid = sorted({t[len(prefix)] for t in self.titles if t[: len(prefix)] == prefix})
                masked = torch.full_like(logits, -torch.inf)
                masked[valid] = logits[valid]
                logits = masked
            self.known[prefix] = logits.log_softmax(0)
        return float(self.known[prefix][token])


def assistant(titles, masses, prefix, token, aggregate):
    """Log share of the items behind a token among those behind its prefix, by looking at every title."""
    behind = {}
    for title, mass in zip(titles, masses, strict=True):
        if title[: len(prefix)] == prefix:
            behind.setdefault(title[len(prefix)], []).append(mass)
    join = (lambda values: sum(values)) if aggregate == "sum" else (lambda values: max(values) + 1e-10)
    joined = {t: join(values) for t, values in behind.items()}
    return math.log(joined[token] / sum(joined.values()))


def expected(model, alpha, aggregate, scores):
    """[cases, items] score of every title, token by token."""
    titles = model.encoder.answers
    grid = model.recommender.scores(CASES).astype(float)
    masses = np.exp(grid) / np.exp(grid).sum(axis=1, keepdims=True)
    found = np.zeros((len(CASES), len(titles)))
    for row, prompt in enumerate(model.encoder.prompts(CASES)):
        plain = Plain(model, prompt, scores == "renormalised")
        for item, title in enumerate(titles):
            for n, token in enumerate(title):
                own = plain(title[:n], token)
                other = assistant(titles, masses[row], title[:n], token, aggregate)
                found[row, item] += (1 - alpha) * own + alpha * other
    return found, masses


@pytest.mark.parametrize(
    ("alpha", "aggregate", "scores"), [(0.3, "sum", "renormalised"), (0.6, "max", "hf"), (0.0, "sum", "hf")]
)
def test_every_title_by_hand(model, alpha, aggregate, scores):
    """A beam as wide as the catalogue loses nothing: the ranking is that of all titles, computed one by one."""
    found = rank(model, alpha=alpha, aggregate=aggregate, scores=scores, beams=24)
    grid, masses = expected(model, alpha, aggregate, scores)
    order = np.argsort(-grid, axis=1, kind="stable")
    np.testing.assert_allclose(found.scores, np.take_along_axis(grid, order, axis=1), atol=1e-4)
    assert np.array_equal(found.items, order)
    if aggregate == "sum" and alpha:  # the assistant's terms of a whole title multiply to its item's mass
        alone, _ = expected(model, 0.0, aggregate, scores)
        np.testing.assert_allclose(grid, (1 - alpha) * alone + alpha * np.log(masses), atol=1e-9)


def test_the_mixture_decides_which_prefixes_are_kept(model):
    """A beam of one, as a list of prefixes in plain Python."""
    alpha, beams, titles = 0.5, 1, model.encoder.answers
    _, masses = expected(model, alpha, "sum", "renormalised")
    found = rank(model, depth=beams, alpha=alpha, beams=beams)
    for row, prompt in enumerate(model.encoder.prompts(CASES)):
        plain = Plain(model, prompt, True)
        live, finished = [((), 0.0)], []
        while live:
            longer = []
            for prefix, score in live:
                for token in {t[len(prefix)] for t in titles if t[: len(prefix)] == prefix}:
                    other = assistant(titles, masses[row], prefix, token, "sum")
                    step = (1 - alpha) * plain(prefix, token) + alpha * other
                    longer.append(((*prefix, token), score + step))
            longer.sort(key=lambda one: -one[1])
            finished += [one for one in longer[:beams] if one[0] in titles]
            finished = sorted(finished, key=lambda one: -one[1])[:beams]
            live = [one for one in longer if one[0] not in titles][:beams]
            if len(finished) == beams and live and live[0][1] <= finished[-1][1]:
                break
        assert found.items[row].tolist() == [titles.index(title) for title, _ in finished]
    alone = rank(model, depth=beams, alpha=0, beams=beams)
    assert (found.items != alone.items).any(), "the assistant changed no choice: the test shows nothing"


def test_the_oracle_of_three_items():
    """ax, ay, bz; the language model thinks a .5, b .3, x .6, y .1, z .9; the assistant .1, .6, .3."""
    trie = Trie.build([(1, 3), (1, 4), (2, 5)])
    shares = d3.log_shares(trie, np.array([[0.1, 0.6, 0.3]]), "sum")[0]
    path = {"ax": (1, 3), "ay": (1, 4), "bz": (2, 5)}
    own = {"ax": math.log(0.5 * 0.6), "ay": math.log(0.5 * 0.1), "bz": math.log(0.3 * 0.9)}
    other = {}
    for name, tokens in path.items():
        first = trie.step(0, tokens[0])
        other[name] = shares[first] + shares[trie.step(first, tokens[1])]
    mixed = {name: 0.7 * own[name] + 0.3 * other[name] for name in path}
    assert mixed == pytest.approx({"ax": -1.533556, "ay": -2.250260, "bz": -1.277725}, abs=1e-6)
    most = d3.log_shares(trie, np.array([[0.1, 0.6, 0.3]]), "max")[0]
    assert most[trie.step(0, 1)] == pytest.approx(math.log(0.6 / 0.9))
    assert most[trie.step(trie.step(0, 2), 5)] == pytest.approx(0)


def test_without_an_assistant_it_is_the_constrained_beam(model):
    bare = replace(model, recommender=None)
    for scores in ("renormalised", "hf"):
        own = rank(bare, alpha=0, scores=scores, beams=4, depth=4, exclude=True)
        theirs = rank(bare, "constrained_beam", scores=scores, beams=4, depth=4, exclude=True, batch_size=64)
        assert np.array_equal(own.items, theirs.items)
        assert np.array_equal(own.scores, theirs.scores)


def test_an_assistant_is_asked_for_where_it_has_a_weight():
    options = registry.get("decoder", "d3").options
    assert options().requires() == {"collaborative": "sasrec"}
    assert options(alpha=0.1, collaborative="dros").requires() == {"collaborative": "dros"}
    assert options(alpha=0).requires() == {}


def test_what_the_assistant_thinks_impossible_stays_finite(model):
    class Certain(RandomScores):
        def scores(self, cases):
            return np.where(np.arange(24) == 3, 1e6, -1e6).astype(np.float32) * np.ones((len(cases), 1), np.float32)

    found = rank(replace(model, recommender=Certain(24)), alpha=0.5, beams=24)
    assert np.isfinite(found.scores).all()
    assert (found.items[:, 0] == 3).all()
