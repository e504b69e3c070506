"""Clusters of co-occurrence against communities that were put there, and graphs that nothing connects."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_array
from sklearn.cluster import SpectralClustering

from recbench.types import PAD, Sequences
from recbench_plugins.identifiers import collaborative
from recbench_plugins.identifiers.collaborative import divided, together


def test_counts_against_a_loop() -> None:
    random = np.random.default_rng(0)
    history = random.integers(PAD, 6, size=(40, 3)).astype(np.int32)
    target = random.integers(0, 6, size=40).astype(np.int32)
    windows = Sequences(np.zeros(40, np.int32), history, target, np.arange(40))
    expected = np.zeros((6, 6))
    for row, last in zip(history.tolist(), target.tolist(), strict=True):
        for item in row:
            if item not in (PAD, last):
                expected[last, item] += 1
                expected[item, last] += 1
    assert np.array_equal(together(windows, 6).toarray(), expected)


@pytest.mark.parametrize("factorised", [10_000, 0])
def test_communities_are_found(monkeypatch: pytest.MonkeyPatch, factorised: int) -> None:
    """By ARPACK, and by what takes its place in a large catalogue."""
    monkeypatch.setattr(collaborative, "FACTORISED", factorised)
    random, size = np.random.default_rng(1), 40
    label = np.repeat(np.arange(4), size)
    shuffled = random.permutation(label)
    weight = np.where(shuffled[:, None] == shuffled[None], 20.0, 0.2) * random.random((len(label), len(label)))
    weight = np.triu(weight, 1)
    parts = divided(csr_array(weight + weight.T), np.arange(len(label)), 4, seed=1)
    found = {frozenset(part.tolist()) for part in parts}
    assert found == {frozenset(np.flatnonzero(shuffled == n).tolist()) for n in range(4)}


def test_eigenvectors_that_are_not_exact_are_no_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    """SciPy's sentence is spread over lines."""

    def fit_predict(self: SpectralClustering, graph: object) -> np.ndarray:
        warnings.warn(
            "Exited at iteration 3 with accuracies \n[0.1 0.2]\nnot reaching the requested tolerance", stacklevel=2
        )
        return np.arange(6) % 2

    monkeypatch.setattr(SpectralClustering, "fit_predict", fit_predict)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        parts = collaborative.spectral(csr_array(np.ones((6, 6))), 2, seed=1)
    assert [part.tolist() for part in parts] == [[0, 2, 4], [1, 3, 5]]


@pytest.mark.parametrize(("groups", "clusters"), [(20, 20), (20, 5), (7, 6)])
def test_small_connected_parts_stay_whole(groups: int, clusters: int) -> None:
    """Items that always occur together: three to a group, far apart in the catalogue."""
    label = np.tile(np.arange(groups), 3)
    weight = (label[:, None] == label[None]).astype(float) - np.eye(len(label))
    parts = divided(csr_array(weight), np.arange(len(label)), clusters, seed=1)
    assert len(parts) == min(groups, clusters)
    where = {item: number for number, part in enumerate(parts) for item in part.tolist()}
    assert all(len({where[item] for item in np.flatnonzero(label == group)}) == 1 for group in range(groups))
    sizes = [len(part) for part in parts]
    assert max(sizes) - min(sizes) <= 3
    assert [int(part[0]) for part in parts] == sorted(int(part.min()) for part in parts)


@settings(max_examples=60)
@given(st.integers(2, 25), st.integers(2, 6), st.lists(st.tuples(st.integers(0, 24), st.integers(0, 24)), max_size=60))
def test_every_division_divides(items: int, clusters: int, edges: list[tuple[int, int]]) -> None:
    """Whatever the graph: every item is in one part, and there are at least two, so that the recursion ends."""
    weight = np.zeros((items, items))
    for a, b in edges:
        if a != b and max(a, b) < items:
            weight[a, b] = weight[b, a] = weight[a, b] + 1
    rows = np.arange(items)[::2]
    if len(rows) > 1:
        parts = divided(csr_array(weight), rows, clusters, seed=1)
        assert 2 <= len(parts) <= clusters
        assert sorted(np.concatenate(parts).tolist()) == rows.tolist()
        assert min(map(len, parts)) > 0
