"""LLaRA's curriculum against the shares of methods.md, and its vectors."""

from __future__ import annotations

import numpy as np
import pytest

from recbench.testing import RandomScores
from recbench_plugins.backbones.llara import LLaRA, LLaRAOptions

STEPS, DRAWS = 600, (np.arange(400) + 0.5) / 400  # evenly spaced draws: shares without noise


def shares(curriculum: str, epochs: int) -> np.ndarray:
    """[steps] share of draws that show collaborative tokens."""
    backbone = LLaRA(LLaRAOptions(curriculum=curriculum))
    return np.array([np.mean([backbone.hybrid(s, STEPS, epochs, d) for d in DRAWS]) for s in range(STEPS)])


@pytest.mark.parametrize("epochs", [1, 3, 5])
def test_the_corrected_curriculum_rises_to_one(epochs: int) -> None:
    """methods.md: mean .501 over the whole training, whatever the number of epochs."""
    found = shares("corrected", epochs)
    assert found.mean() == pytest.approx(0.501, abs=0.002)
    assert found == pytest.approx(np.arange(STEPS) / STEPS, abs=0.002)


@pytest.mark.parametrize("epochs", [2, 3, 5])
def test_the_official_curriculum_is_a_sawtooth(epochs: int) -> None:
    """methods.md: each epoch starts at 0 again and ends at 1 / E; mean 1 / (2E)."""
    found = shares("official", epochs)
    assert found.mean() == pytest.approx(1 / (2 * epochs), abs=0.002)
    assert found.max() == pytest.approx(1 / epochs, abs=0.005)
    assert (found[:: STEPS // epochs] == 0).all()


def test_without_a_curriculum_the_tokens_are_always_shown() -> None:
    assert (shares("none", 3) == 1).all()


def test_vectors_are_standardised_unless_raw() -> None:
    recommender = RandomScores(30)
    recommender.vectors = recommender.vectors * 0.02 + 0.3
    raw = LLaRA(LLaRAOptions(vectors="raw"), recommender).item_vectors()
    assert np.array_equal(raw, recommender.vectors)
    vectors = LLaRA(LLaRAOptions(), recommender).item_vectors()
    assert vectors.mean(axis=0) == pytest.approx(np.zeros(8), abs=1e-5)
    assert vectors.std(axis=0) == pytest.approx(np.ones(8), abs=1e-4)
    for column, original in zip(vectors.T, raw.T, strict=True):  # nothing but moved and stretched
        assert np.corrcoef(column, original)[0, 1] == pytest.approx(1)
