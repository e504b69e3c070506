"""Trained models of the scoring kind, to compare with each other."""

from __future__ import annotations

import numpy as np
import pytest

from recbench import registry
from recbench.interfaces import Fit, SilentReporter, TrainOptions
from recbench.testing import tiny_split

BUDGET = TrainOptions(epochs=2, batch_size=16, learning_rate=1e-2, schedule="constant", gradient_clip=0.0)


@pytest.fixture
def trained():
    """``trained(name, loss, lessons, **options)``: the backbone, trained on the tiny split with seed 3."""
    pytest.importorskip("recbole", reason="RecBole is not installed")

    def train(name, loss="bce", lessons=None, split=None, **options):
        split = split or tiny_split()
        model = registry.get("backbone", name).implementation(registry.get("backbone", name).options(**options))
        criterion = registry.get("loss", loss).implementation(registry.get("loss", loss).options())

        def validate() -> float:
            right = model.scores(split.valid.histories())[np.arange(len(split.valid)), split.valid.target]
            return float(right.mean())

        model.fit(split, Fit(BUDGET, 3, "cpu", 1, validate, SilentReporter(), criterion, lessons or {}))
        return model

    return train
