"""Residual quantisation against brute force, and names that stay unique whatever collides."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recbench.prompts.names import check
from recbench.types import Catalog
from recbench_plugins.identifiers.semantic import (
    Semantic,
    SemanticOptions,
    report,
    residual_kmeans,
    standardised,
    told_apart,
    word_vectors,
)


def best_two_clusters(points: np.ndarray) -> tuple[frozenset[frozenset[int]], np.ndarray]:
    """The division into two with the least squared error, found by trying all; and each point's centre."""
    best = (np.inf, frozenset(), points)
    for flags in itertools.product([0, 1], repeat=len(points) - 1):
        label = np.array([0, *flags])
        if label.any():
            centre = np.stack([points[label == k].mean(axis=0) for k in (0, 1)])[label]
            error = float(((points - centre) ** 2).sum())
            if error < best[0]:
                parts = frozenset(frozenset(np.flatnonzero(label == k).tolist()) for k in (0, 1))
                best = (error, parts, centre)
    return best[1], best[2]


def test_codes_are_those_of_a_brute_force_residual_kmeans() -> None:
    # three independent coin tosses of different size: each level has one best division, far from any other
    signs = np.array(list(itertools.product([-1, 1], repeat=3)), float)
    points = (signs * [16, 4, 1]).astype(np.float32) + np.random.default_rng(0).normal(0, 0.01, (8, 3)).astype(
        np.float32
    )
    codes, left = residual_kmeans(points, 3, 2, seed=1)
    rest = points.astype(np.float64)
    for column in codes.T:
        parts, centre = best_two_clusters(rest)
        assert frozenset(frozenset(np.flatnonzero(column == k).tolist()) for k in (0, 1)) == parts
        rest = rest - centre
    np.testing.assert_allclose(left, rest, atol=1e-5)
    assert len(np.unique(codes, axis=0)) == 8


def test_every_level_is_a_fixed_point_of_kmeans() -> None:
    """Each code is the nearest of its level to what was left, and its centre the mean of what it stands for."""
    points = np.random.default_rng(3).normal(size=(60, 5)).astype(np.float32)
    codes, left = residual_kmeans(points, 2, 6, seed=4)
    rest = points.astype(np.float64)
    for column in codes.T:
        centres = np.stack([rest[column == code].mean(axis=0) for code in range(6)])
        distance = ((rest[:, None] - centres[None]) ** 2).sum(axis=2)
        assert np.array_equal(distance.argmin(axis=1), column)
        rest = rest - centres[column]
    np.testing.assert_allclose(left, rest, atol=1e-5)


@settings(max_examples=60)
@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 1)), min_size=1, max_size=30))
def test_names_are_unique_under_collisions(rows: list[tuple[int, int]]) -> None:
    codes = np.array(rows, np.int32)
    whole = told_apart(codes)
    assert np.array_equal(whole[:, :2], codes)
    assert len({tuple(row) for row in whole.tolist()}) == len(rows)
    if whole.shape[1] == 3:
        for row in set(rows):
            own = whole[[n for n, other in enumerate(rows) if other == row], 2]
            assert own.tolist() == list(range(len(own)))
    else:
        assert len(set(rows)) == len(rows)
    made = Semantic(SemanticOptions())
    made.restore({"codes": whole})
    names = made.names(Catalog(tuple(map(str, range(len(rows)))), tuple(map(str, range(len(rows))))))
    check(names, len(rows), "semantic")
    assert names.texts[0] == "".join(f"<{'abc'[n]}_{code}>" for n, code in enumerate(whole[0]))


def test_report() -> None:
    codes = np.array([[0, 1], [0, 1], [2, 0], [2, 1]], np.int32)
    vectors = np.array([[2.0, 0], [0, 2], [0, 0], [0, 0]], np.float32)
    said = report(codes, vectors, vectors / 2, 4)
    assert said["codes_used_1"] == 0.5
    assert said["codes_used_2"] == 0.5
    assert said["colliding_items"] == 0.5
    assert said["most_alike"] == 2
    assert said["error_left"] == pytest.approx(0.25)


def test_vectors_of_both_kinds_have_equal_weight() -> None:
    random = np.random.default_rng(0)
    for scale in (1e-3, 1.0, 50.0):
        table = standardised((scale * random.normal(3, 1, (40, 7))).astype(np.float32))
        np.testing.assert_allclose(table.mean(axis=0), 0, atol=1e-6)
        assert float((table**2).sum(axis=1).mean()) == pytest.approx(1, rel=1e-4)
    assert not standardised(np.ones((3, 2), np.float32)).any()


def test_words_of_titles() -> None:
    table = word_vectors(["Star Wars", "Star Trek", "Amelie", "Wars Star"])
    near = table @ table.T
    assert near[0, 3] == pytest.approx(1, abs=1e-5)
    assert near[0, 1] > near[0, 2] + 0.1
    assert np.array_equal(table, word_vectors(["Star Wars", "Star Trek", "Amelie", "Wars Star"]))
    assert np.isfinite(word_vectors(["!", "?"])).all()


def test_rqvae_against_a_loop_and_its_training() -> None:
    """Codes, loss and gradients by hand; a training explains most of what three groups of vectors differ in."""
    import torch

    from recbench.interfaces import Fit, SilentReporter, TrainOptions
    from recbench_plugins.identifiers.semantic.rqvae import RQVAE, trained_codes

    torch.manual_seed(0)
    model, vectors = RQVAE(6, 2, 3), torch.randn(5, 6)
    with torch.no_grad():
        model.books.normal_()
    latent = model.encoder(vectors)
    codes, _, taken = model.quantised(latent)
    expected = torch.zeros(())
    for row, found, parts in zip(latent.detach(), codes, taken, strict=True):
        rest = row
        for level in range(2):
            distance = [float(((rest - code) ** 2).sum().detach()) for code in model.books[level]]
            assert int(found[level]) == int(np.argmin(distance))
            code = model.books[level, found[level]]
            assert torch.equal(parts[level], code)
            expected = expected + 1.5 * ((rest - code) ** 2).sum() / 5  # both ways: 1 and the commitment of 0.5
            rest = rest - code
    expected = expected + ((model.decoder(taken.sum(1)) - vectors) ** 2).sum(1).mean()
    loss = model.loss(vectors, 0.5)
    torch.testing.assert_close(loss, expected)
    loss.backward()
    assert all(p.grad is not None and bool(p.grad.any()) for p in model.encoder.parameters())

    random = np.random.default_rng(0)
    group = np.repeat(np.arange(3), 20)
    table = (np.eye(3, 8)[group] + random.normal(0, 0.02, (60, 8))).astype(np.float32)
    plan = Fit(TrainOptions(epochs=1, batch_size=1, learning_rate=1), 1, "cpu", 1, None, SilentReporter())
    found, left = trained_codes(standardised(table), 2, 3, 150, 0.25, plan)
    assert len({(g, c) for g, c in zip(group.tolist(), found[:, 0].tolist(), strict=True)}) == 3
    assert float((left**2).sum() / (standardised(table) ** 2).sum()) < 0.1
    again, _ = trained_codes(standardised(table), 2, 3, 150, 0.25, plan)
    assert np.array_equal(again, found)
