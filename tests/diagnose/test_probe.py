"""The probe against float64 brute force, and a probed training against one that nobody watched."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from recbench.diagnose.probe import Recorder, measure, norm, positions
from recbench.interfaces import Fit, Loss, Options, SilentReporter, TrainOptions
from recbench.prompts.trie import Trie
from recbench.testing import RandomScores, tiny_answers, tiny_split, tiny_text_model
from recbench.training.answers import AnswerModel
from recbench.training.loop import fit
from recbench.training.text import Examples, collate
from recbench_plugins.backbones.llara import LLaRA, LLaRAOptions

VOCABULARY, END = 9, 8
catalogues = st.lists(st.lists(st.integers(0, 6), min_size=1, max_size=4), min_size=1, max_size=10, unique_by=tuple)


class Likelihood(Loss[Options]):
    """LML by torch's own cross-entropy, summed over a title and averaged over titles (Eq. 1)."""

    def __call__(self, batch: Any) -> Any:
        losses = torch.nn.functional.cross_entropy(batch.logits, batch.labels, reduction="sum")
        return losses, batch.row.unique().numel()


@given(catalogues, st.integers(0, 99))
@settings(max_examples=50)
def test_parts_weights_and_logits(rows: list[list[int]], seed: int) -> None:
    """Eq. (1) to (4) and (7), position by position with plain exponentials."""
    random = np.random.default_rng(seed)
    answers = [[*row, END] for row in rows]
    trie = Trie.build(answers)
    chosen = [answers[i] for i in random.integers(len(answers), size=3)]
    indptr, tokens = trie.allowed(np.concatenate([trie.path(row) for row in chosen]))
    allowed = [tokens[a:b].tolist() for a, b in pairwise(indptr)]
    labels = [token for row in chosen for token in row]
    logits = torch.tensor(random.normal(0, 3, (len(labels), VOCABULARY)))
    found = positions(tiny_answers(logits, allowed, labels, [n for n, row in enumerate(chosen) for _ in row]))
    pooled, centred = [], []
    for i, (label, valid) in enumerate(zip(labels, allowed, strict=True)):
        mass = {z: float(logits[i, z].exp()) for z in range(VOCABULARY)}
        inside = sum(mass[z] for z in valid)
        assert float(found.validity[i]) == pytest.approx(-np.log(inside / sum(mass.values())), abs=1e-9)
        assert float(found.ranking[i]) == pytest.approx(-np.log(mass[label] / inside), abs=1e-9)
        assert float(found.weight_over_valid[i]) == pytest.approx(1 - mass[label] / inside, abs=1e-9)
        over_vocabulary = 1 - mass[label] / sum(mass.values())
        assert float(found.weight_over_vocabulary[i]) == pytest.approx(over_vocabulary, abs=1e-9)
        assert bool(found.branching[i]) == (len(valid) > 1)
        if len(valid) > 1:
            pooled += [float(logits[i, z]) for z in valid]
            centred += [float(logits[i, z] - logits[i, valid].mean()) for z in valid]
    assert found.logits.tolist() == pytest.approx(pooled)
    assert found.centred.tolist() == pytest.approx(centred)
    lml = torch.nn.functional.cross_entropy(logits, torch.tensor(labels), reduction="none")
    assert torch.allclose(found.validity + found.ranking, lml, atol=1e-9)


def probed(batch: int = 5) -> tuple[Any, Recorder, list[dict[str, torch.Tensor]]]:
    """A tiny model, a recorder on 16 of its training windows, and those windows in one batch."""
    split = tiny_split()
    model = tiny_text_model(split)
    recorder = Recorder(model, split.train, titles=16, batch=batch)
    rows = np.linspace(0, len(split.train) - 1, 16).round().astype(int)
    examples = Examples(model, split.train.take(rows))
    return model, recorder, [collate(list(examples))]


def test_gradients_of_the_parts_add_up_to_the_gradient_of_lml() -> None:
    model, recorder, whole = probed()
    plain = AnswerModel(model, Likelihood(Options()))
    loss = plain(whole[0])["loss"]
    expected = torch.autograd.grad(loss, [p for p in plain.parameters() if p.requires_grad])
    for batches in (whole, recorder._batches):
        found = measure(recorder._module, batches)
        assert found.validity + found.ranking == pytest.approx(float(loss.detach()), rel=1e-5)
        for one, two, both in zip(found.validity_gradient, found.ranking_gradient, expected, strict=True):
            assert torch.allclose(one + two, both, atol=1e-5 * norm(expected))
    assert found.row()["ranking_gradient"] == pytest.approx(
        float(torch.cat([g.flatten() for g in found.ranking_gradient]).norm()), rel=1e-5
    )
    assert found.row()["validity_gradient"] > 0
    assert all(p.grad is None for p in plain.parameters())


def test_snapshot_is_of_all_positions() -> None:
    _, recorder, whole = probed()
    answers = recorder._module.answers(**whole[0])
    found = positions(answers)
    columns = recorder.snapshot()
    for name, values in [
        ("over_vocabulary", found.weight_over_vocabulary),
        ("over_valid", found.weight_over_valid),
        ("depth", answers.depth),
        ("logits", found.logits),
        ("centred", found.centred),
    ]:
        assert sorted(columns[name]) == pytest.approx(sorted(values.tolist()), abs=1e-5)
    assert sum(columns["branching"]) == int((answers.fanout > 1).sum())


def test_collaborative_tokens_are_shown_as_at_inference() -> None:
    """Whatever the curriculum shows at the moment; and the curriculum finds its choice again."""
    split = tiny_split()
    model = tiny_text_model(split, LLaRA(LLaRAOptions(), RandomScores(len(split.catalog))))
    assert model.collaborative is not None
    recorder = Recorder(model, split.train, titles=16)
    found = {}
    for hybrid in (True, False):
        model.collaborative.hybrid = hybrid
        recorder(0, 1)
        assert model.collaborative.hybrid is hybrid
        found[hybrid] = recorder.rows[-1]
    assert found[True] == found[False]
    (inputs,) = recorder._batches
    assert measure(recorder._module, [inputs]).ranking != found[True]["ranking"]  # the placeholder gives other numbers


@pytest.mark.parametrize(("steps", "points"), [(7, 40), (40, 40), (1000, 40), (999, 10)])
def test_recorded_steps_are_evenly_spaced(steps: int, points: int, monkeypatch: pytest.MonkeyPatch) -> None:
    _, recorder, _ = probed()
    recorder.points = points
    monkeypatch.setattr("recbench.diagnose.probe.measure", lambda *_: Still())
    for step in range(steps + 1):
        recorder(step, steps)
    found = recorder.columns()["step"]
    assert len(found) == min(steps, points) + 1
    assert (found[0], found[-1]) == (0, steps)
    assert max(np.diff(found)) - min(np.diff(found)) <= 1


class Still:
    def row(self) -> dict[str, float]:
        return {}


def trained(watch: bool) -> tuple[dict[str, torch.Tensor], list[bool], Recorder, Any]:
    """Parameters after a training with dropout, which draws from the global generator at each step."""
    split = tiny_split()
    model = tiny_text_model(split)
    for layer in model.causal.model.layers:
        layer.self_attn.attention_dropout = 0.3
    loss = Likelihood(Options())
    module = AnswerModel(model, loss)
    recorder = Recorder(model, split.train, points=5, titles=16)
    modes: list[bool] = []

    def before(step: int, steps: int) -> None:
        if watch:
            module.train()  # as the trainer does before every step
            model.causal.lm_head.eval()  # a part that was put into evaluation mode on purpose stays there
            state = torch.random.get_rng_state()
            recorder(step, steps, module)
            assert torch.equal(torch.random.get_rng_state(), state)
            assert all(p.grad is None or not p.grad.any() for p in module.parameters())
            modes.extend([module.training, model.causal.model.training, not model.causal.lm_head.training])

    options = TrainOptions(epochs=2, batch_size=16, learning_rate=1e-2)
    plan = Fit(options, 0, "cpu", 1, lambda: 0.0, SilentReporter())
    fit(
        module,
        Examples(model, split.train),
        lambda rows: {"batch": collate(rows)},
        plan,
        purpose="language model",
        on_step=before,
    )
    return model.trainable(), modes, recorder, model


def test_a_watched_training_equals_an_unwatched_one_bit_for_bit() -> None:
    plain, _, _, _ = trained(watch=False)
    watched, modes, recorder, model = trained(watch=True)
    assert plain.keys() == watched.keys()
    assert all(torch.equal(plain[name], watched[name]) for name in plain)
    assert modes
    assert all(modes)
    columns = recorder.columns()
    assert columns["step"] == [0, 2, 3, 4, 5]
    assert columns["ranking"][-1] < columns["ranking"][0]
    before = len(recorder.rows)
    recorder(6, 6)
    assert len(recorder.rows) == before + 1
    assert not model.lm.training
