"""A seed's language model leaves memory before the next seed's is loaded: with a large one, two would not fit."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import recbench
from recbench.language import load


@pytest.fixture
def patient() -> Iterator[None]:
    """Python frees objects that refer to each other only when it is asked to."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("patient")
def test_the_model_of_a_seed_is_gone_before_the_next_is_loaded(
    tmp_path: Path, tools: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    random = np.random.default_rng(0)
    rows = [f"{u},i{i},{9 * s + u},Film {i}" for u in range(20) for s, i in enumerate(random.integers(12, size=9))]
    (tmp_path / "own.csv").write_text("\n".join(["user,item,timestamp,title", *rows]) + "\n")
    seen: list[weakref.ref[Any]] = []
    alive: list[int] = []
    keep = load.keep_first

    def first(config: Any, options: Any) -> Any:  # what loading does before any weight is read
        alive.append(sum(model() is not None for model in seen))
        return keep(config, options)

    own = load.load_pretrained

    def watched(*arguments: Any) -> Any:
        model = own(*arguments)
        seen.append(weakref.ref(model))
        return model

    monkeypatch.setattr(load, "keep_first", first)
    monkeypatch.setattr(load, "load_pretrained", watched)
    recbench.run(
        "bigrec", loss="msl", llm=tools.save_model(tmp_path / "lm"), dataset="csv", data_dir=tmp_path / "own.csv",
        seeds=3, device="cpu", epochs=1, train_samples=16, batch_size=8, runs=tmp_path / "runs", progress=False,
        set={"machine": {"threads": 1}, "evaluate": {"validation_cases": 4, "cases": 6}},
    )  # fmt: skip
    assert len(seen) == 3
    assert alive == [0, 0, 0]
