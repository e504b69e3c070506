"""faiss against the matrix of all distances."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recbench.interfaces import SilentReporter
from recbench.search import nearest
from recbench.search.nearest import Nearest
from recbench.types import PAD


class Notes(SilentReporter):
    def __init__(self) -> None:
        self.said: list[str] = []

    def message(self, text: str) -> None:
        self.said.append(text)


@given(st.integers(1, 30), st.integers(1, 4), st.integers(1, 3), st.integers(0, 3), st.integers(0, 999))
@settings(max_examples=60)
def test_few_are_the_first_of_all(items: int, cases: int, kept: int, history: int, seed: int) -> None:
    draw = np.random.default_rng(seed)
    table = draw.normal(size=(items, 5)).astype(np.float32)
    queries = draw.normal(size=(cases * kept, 5)).astype(np.float32)
    forbidden = draw.integers(-1, items, (cases, history)).astype(np.int32) if history else None
    search = Nearest(table, SilentReporter(), many=0)
    assert search.index is not None
    found, scores = search.few(queries, kept, 7, forbidden)
    far = np.linalg.norm(table[None] - queries[:, None], axis=2).reshape(cases, kept, items).min(axis=1)
    assert np.allclose(search.all(queries, kept), far, atol=1e-4)
    for case in range(cases):
        left = [i for i in np.argsort(far[case]) if forbidden is None or i not in forbidden[case]][:7]
        assert found[case].tolist() == left + [PAD] * (7 - len(left))
        assert np.allclose(scores[case][: len(left)], -far[case][left], atol=1e-3)
        assert np.isneginf(scores[case][len(left) :]).all()


def test_without_faiss_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> Any:
        raise ImportError(name)

    monkeypatch.setattr(nearest, "import_module", missing)
    notes = Notes()
    assert Nearest(np.zeros((3, 2), np.float32), notes, many=2).index is None
    assert "recbench-toolkit[neighbours]" in notes.said[0]
    assert Nearest(np.zeros((3, 2), np.float32), SilentReporter()).index is None
