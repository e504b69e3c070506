"""DLLM2Rec: weights and losses against numbers computed by hand, and SASRec where everything is switched off."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from recbench import registry
from recbench.data.split import known_windows, training_sample, untaught_rows
from recbench.interfaces import SilentReporter
from recbench.planning import plan
from recbench.spec.request import Request
from recbench.steps.graph import graph
from recbench.steps.lessons import LessonsTaken
from recbench.testing import TinyTeacher, tiny_split
from recbench.types import PAD, Ranking
from recbench_plugins.backbones.dllm2rec import DLLM2Rec, DLLM2RecOptions, distilled, normalised, weights

SIZES = {"layers": 1, "heads": 1, "hidden": 16, "inner": 16, "dropout": 0.2, "attention_dropout": 0.1}
DISTANCES = torch.tensor([[0.0, math.log(2), math.log(4)]], dtype=torch.float64)
KNOWN = torch.ones(1, 3, dtype=torch.bool)


@pytest.fixture(scope="module")
def lessons():
    model = DLLM2Rec(DLLM2RecOptions(windows=30, items=4))
    return model.lessons(tiny_split(), TinyTeacher(tiny_split()), 3, SilentReporter()).arrays


def test_weights_of_the_worked_example() -> None:
    shared = torch.tensor([[True, False, True]])
    alone = [weights(DISTANCES, KNOWN, shared, mixture)[0].tolist() for mixture in ((1, 0, 0), (0, 1, 0))]
    assert alone[0] == pytest.approx([0.665241, 0.244728, 0.090031], abs=1e-6)
    assert alone[1] == pytest.approx([4 / 7, 2 / 7, 1 / 7], abs=1e-6)
    found = weights(DISTANCES, KNOWN, shared, (0.3, 0.5, 0.1))[0].tolist()
    assert found == pytest.approx([0.585287, 0.216276, 0.198438], abs=1e-6)


def test_weights_skip_places_without_an_item() -> None:
    distances = torch.tensor([[0.0, 1.0, torch.inf]])
    found = weights(distances, torch.tensor([[True, True, False]]), torch.zeros(1, 3, dtype=torch.bool), (0.3, 0.5, 1))
    assert found[0, 2] == 0
    assert found.sum() == pytest.approx(1.0)


@pytest.mark.parametrize(("negative", "expected"), [("official", 1.067936), ("corrected", 1.567936)])
def test_distillation_of_the_worked_example(negative: str, expected: float) -> None:
    model = DLLM2Rec(DLLM2RecOptions(negative=negative, alpha=0.0))
    weight = weights(DISTANCES, KNOWN, torch.tensor([[True, False, True]]), (0.3, 0.5, 0.1))
    right = torch.tensor([[1.0, 0.0, -1.0]], dtype=torch.float64)
    wrong = torch.tensor([[0.5]], dtype=torch.float64)
    assert float(distilled(right, wrong, weight, negative == "official")) == pytest.approx(expected, abs=1e-6)
    # and through the method: the teacher ranks 7, 5, 9, of which 7 alone is among the student's first three (1, 7, 3)
    logits = torch.full((1, 10), -9.0, dtype=torch.float64)
    logits[0, [7, 5, 9, 1, 3]] = torch.tensor([1.0, 0.0, 0.4, 2.0, 0.5], dtype=torch.float64)
    found = model.distillation(logits, torch.tensor([[7, 5, 9]]), DISTANCES, torch.tensor([[3]]))
    weight = weights(DISTANCES, KNOWN, torch.tensor([[True, False, False]]), (0.3, 0.5, 0.1))
    right = torch.tensor([[1.0, 0.0, 0.4]], dtype=torch.float64)
    assert float(found) == pytest.approx(float(distilled(right, wrong, weight, negative == "official")), abs=1e-12)


@pytest.mark.parametrize("pairing", ["corrected", "official"])
def test_weighted_robust_term_by_brute_force(pairing: str) -> None:
    random = torch.Generator().manual_seed(1)
    logits = torch.randn(3, 6, generator=random, dtype=torch.float64)
    items, negative = torch.tensor([[0, 1], [5, 3], [2, 4]]), torch.tensor([[4], [0], [1]])
    distances = torch.tensor([[0.0, 1.0], [0.0, 3.0], [0.0, 0.2]], dtype=torch.float64)
    propensity = torch.tensor([0.9, 0.8, 0.7, 0.9, 0.6, 0.8], dtype=torch.float64)
    totals = []
    for alpha in (0.0, 2.0):
        model = DLLM2Rec(DLLM2RecOptions(alpha=alpha, beta=0.5, weighted_dro=pairing))
        model.weight = propensity
        totals.append(float(model.distillation(logits, items, distances, negative)))
    top = logits.topk(2, dim=1).indices
    shared = torch.tensor([[int(i) in row.tolist() for i in own] for own, row in zip(items, top, strict=True)])
    weight = weights(distances, items >= 0, shared, (0.3, 0.5, 0.1))
    term = torch.zeros(3, 2, dtype=torch.float64)
    for row in range(3):
        for column in range(2):
            target = int(items[row, column])
            term[row, column] = math.log(
                sum(math.exp(float(p) * (float(s) - (i == target)) ** 2 / 0.5)
                    for i, (p, s) in enumerate(zip(propensity, logits[row], strict=True)))
            )  # fmt: skip
    if pairing == "official":  # the mean over a [3, 3] product, each column of the lists apart
        expected = 3 * sum(float((weight[:, i : i + 1] * term[:, i]).mean()) for i in range(2))
    else:
        expected = float((weight * term).sum())
    assert totals[1] - totals[0] == pytest.approx(2.0 * expected, rel=1e-9)


def test_distances_are_normalised_row_by_row() -> None:
    found = normalised(np.array([[7.0, 9.0, 11.0], [-3.0, -1.0, np.inf], [2.0, 2.0, 2.0]]))
    assert found.tolist() == [[0.0, 2 / 3, 4 / 3], [0.0, 1.0, np.inf], [0.0, 0.0, 0.0]]


def test_lessons(lessons) -> None:
    split = tiny_split()
    assert lessons["rows"].shape == (30,)
    assert (np.diff(lessons["rows"]) > 0).all()
    assert lessons["items"].shape == lessons["distances"].shape == (30, 4)
    assert (np.diff(lessons["distances"], axis=1) >= 0).all(), "the best item is the nearest"
    assert lessons["titles"].shape == (len(split.catalog), 32)


def test_all_windows_are_ranked_when_asked() -> None:
    split = tiny_split()
    model = DLLM2Rec(DLLM2RecOptions(windows=0, items=100))
    arrays = model.lessons(split, TinyTeacher(split), 3, SilentReporter()).arrays
    assert arrays["rows"].tolist() == list(range(len(split.train)))
    assert arrays["items"].shape[1] == len(split.catalog)


class Told(SilentReporter):
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.messages = []

    def message(self, text):
        self.messages.append(text)


def keys(windows):
    """A window as plain numbers."""
    columns = (windows.users, windows.target, windows.time, windows.history)
    return {tuple(np.concatenate([np.atleast_1d(part[row]) for part in columns])) for row in range(len(windows))}


@pytest.mark.parametrize(("name", "options"), [("dllm2rec", {"windows": 20}), ("llmcf", {"share": 0.1, "tokens": 2})])
@pytest.mark.parametrize("left", [100, 3])
def test_the_teacher_is_asked_about_windows_that_it_was_not_trained_on(name, options, left) -> None:
    """The overlap is 0 while there are enough other windows; what is filled up is counted in a message."""
    split, told = tiny_split(), Told()
    taught = split.train.take(np.arange(len(split.train) - left)[::-1])  # in another order
    model = registry.get("backbone", name).implementation(registry.get("backbone", name).options(**options))
    rows = model.lessons(split, TinyTeacher(split, taught), 3, told).arrays["rows"]
    number = 20 if name == "dllm2rec" else round(0.1 * len(split.train))
    assert len(set(rows.tolist())) == len(rows) == number
    overlap = len(keys(split.train.take(rows)) & keys(taught))
    assert overlap == max(0, number - left)
    said = [text for text in told.messages if text.startswith("the teacher was trained on the targets of")]
    assert told.messages == said
    assert [text.split()[8] for text in said] == ([] if overlap == 0 else [str(overlap)])
    again = model.lessons(split, TinyTeacher(split, taught), 4, Told()).arrays["rows"]
    assert np.array_equal(again, rows), "another seed asks about the same windows"


@pytest.mark.parametrize(
    ("teacher", "known"),
    [({"model": "bigrec"}, 16), ({"model": "llara"}, 30), ({"decoder.fusion": "collaborative"}, 30)],
)
def test_a_teacher_knows_what_its_collaborative_model_was_trained_on(teacher: dict[str, str], known: int) -> None:
    """SASRec behind a teacher's prompts or lists learns from every training window."""
    said: dict[str, Any] = {"decoder": "grounding", **teacher, "train.samples": 16, "train.targets": "last"}
    request = Request.model_validate({"model": "dllm2rec", "set": {"teacher": said}})
    step = next(step for step in graph(plan(request).spec, 1).model.closure() if isinstance(step, LessonsTaken))
    split, told = tiny_split(), Told()
    some = replace(split, train=split.train.take(np.arange(30)))
    assert len(untaught_rows(some.train, step._taught(some), 0, told)) == 30
    assert told.messages[0].split()[8] == str(known)
    rows = untaught_rows(some.train, step._taught(some), 10, told)
    assert not known_windows(some.train.take(rows), training_sample(some, 16)).any(), "the language model knows none"


def test_switched_off_it_is_sasrec(trained, lessons) -> None:
    cases = tiny_split().test.histories()
    plain = trained("sasrec", output="separate", **SIZES).scores(cases)
    off = {"alpha": 0.0, "ed_weight": 0.0, "lam": 0.0}
    assert np.array_equal(trained("dllm2rec", lessons=lessons, **SIZES, **off).scores(cases), plain)
    for name, value in (("ed_weight", 0.3), ("lam", 0.7)):
        other = trained("dllm2rec", lessons=lessons, **SIZES, **{**off, name: value}).scores(cases)
        assert not np.array_equal(other, plain), f"{name} changes nothing"


def test_without_distillation_it_is_dros(trained, lessons) -> None:
    cases = tiny_split().test.histories()
    found = trained("dllm2rec", lessons=lessons, **SIZES, alpha=0.5, ed_weight=0.0, lam=0.0)
    assert np.array_equal(found.scores(cases), trained("dros", **SIZES, alpha=0.5).scores(cases))


def test_lists_without_an_item_teach_nothing(trained, lessons) -> None:
    empty = {**lessons, "items": np.full_like(lessons["items"], PAD)}
    empty["distances"] = np.full_like(lessons["distances"], np.inf)
    options = {**SIZES, "alpha": 0.0, "ed_weight": 0.0, "lam": 0.7}
    model = trained("dllm2rec", lessons=empty, **options)
    assert int((model.taught["lesson"] >= 0).sum()) == 0
    assert np.isfinite(model.scores(tiny_split().test.histories())).all()


def test_the_state_holds_no_projection(trained, lessons) -> None:
    model = trained("dllm2rec", lessons=lessons, **SIZES)
    state = model.state()
    assert state["shift"].shape == (len(tiny_split().catalog), 16)
    assert not [name for name in state if name.startswith("titles")]


def test_unknown_places_of_a_ranking_are_told_apart() -> None:
    class Short(TinyTeacher):
        def rank(self, cases, depth, reporter):
            found = super().rank(cases, depth, reporter)
            items, scores = found.items.copy(), found.scores.copy()
            items[:, -1], scores[:, -1] = PAD, -np.inf
            return Ranking(items, scores)

    model = DLLM2Rec(DLLM2RecOptions(windows=5, items=3))
    arrays = model.lessons(tiny_split(), Short(tiny_split()), 1, SilentReporter()).arrays
    assert np.isposinf(arrays["distances"][:, -1]).all()
    assert np.isfinite(normalised(arrays["distances"])[:, :-1]).all()


def test_weights_of_nothing_are_refused() -> None:
    options = registry.get("backbone", "dllm2rec").options
    with pytest.raises(ValueError, match="all 0"):
        options(position=0, confidence=0, consistency=0)
