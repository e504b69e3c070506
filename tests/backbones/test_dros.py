"""DROS: the robust term against numbers computed by hand, and SASRec where it is switched off."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from recbench.testing import tiny_split
from recbench.training.scores import ScoreBatch
from recbench_plugins.backbones.dros import propensity, robust

SCORES = torch.tensor([[2.0, -1.0, 0.5]], dtype=torch.float64)
SIZES = {"layers": 1, "heads": 1, "hidden": 16, "inner": 16, "dropout": 0.2, "attention_dropout": 0.1}


@pytest.mark.parametrize(("beta", "expected"), [(1.0, 1.865173), (2.0, 1.469174)])
def test_robust_term(beta: float, expected: float) -> None:
    weight = torch.from_numpy(propensity(np.array([3, 1, 0])))
    assert float(robust(SCORES, torch.tensor([[0]]), weight, beta)) == pytest.approx(expected, abs=1e-6)


def test_robust_term_by_brute_force_for_several_targets() -> None:
    random = torch.Generator().manual_seed(5)
    scores = torch.randn(4, 6, generator=random, dtype=torch.float64)
    targets = torch.tensor([[0, 5], [3, 3], [1, 2], [4, 0]])
    weight = torch.from_numpy(propensity(np.array([3, 1, 0, 9, 2, 2])))
    found = robust(scores, targets, weight, 0.7)
    for row in range(4):
        for column, target in enumerate(targets[row].tolist()):
            errors = [float(s) - (i == target) for i, s in enumerate(scores[row])]
            expected = math.log(sum(math.exp(float(w) * e * e / 0.7) for w, e in zip(weight, errors, strict=True)))
            assert float(found[row, column]) == pytest.approx(expected, rel=1e-12)


def test_robust_term_does_not_overflow() -> None:
    found = robust(torch.tensor([[200.0, 0.0]], requires_grad=True), torch.tensor([[1]]), torch.ones(2), 1.0)
    assert torch.isfinite(found).all()


def test_total_of_the_worked_example(trained, monkeypatch) -> None:
    model = trained("dros", alpha=0.5, beta=1.0, **SIZES)
    model.weight = torch.from_numpy(propensity(np.array([3, 1, 0])))
    scored = ScoreBatch(torch.eye(3, dtype=torch.float64)[:1], SCORES.T.expand(3, 3), torch.tensor([0]))
    monkeypatch.setattr(ScoreBatch, "negatives", lambda self, n: torch.tensor([[1]]))
    total, count = model.loss(scored)
    assert float(total) / count == pytest.approx(0.220095, abs=1e-6)
    [(extra, rows)] = model.terms(scored, {})
    assert float(total) / count + float(extra) / rows == pytest.approx(1.152682, abs=1e-6)


@pytest.mark.parametrize("output", ["tied", "separate"])
def test_without_the_term_it_is_sasrec(trained, output: str) -> None:
    cases = tiny_split().test.histories()
    plain = trained("sasrec", output=output, **SIZES).scores(cases)
    assert np.array_equal(trained("dros", alpha=0.0, output=output, **SIZES).scores(cases), plain)
    assert not np.array_equal(trained("dros", alpha=0.5, output=output, **SIZES).scores(cases), plain)


def test_propensity_counts_training_targets(trained) -> None:
    split = tiny_split()
    counts = np.bincount(split.train.target, minlength=len(split.catalog))
    weight = trained("dros", **SIZES).weight.numpy()
    assert weight == pytest.approx(((counts + 1) / (counts.sum() + len(counts))) ** 0.05, rel=1e-6)
