"""Metrics against brute force and against ranx."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recbench.evaluation import METRICS, evaluate, head_threshold, seed_means, slices
from recbench.types import CaseResults


def brute(name: str, rank: int) -> float:
    kind, depth = name.split("@")
    if not 1 <= rank <= int(depth):
        return 0.0
    return {"NDCG": 1 / math.log2(rank + 1), "HR": 1.0, "MRR": 1 / rank}[kind]


@given(st.lists(st.integers(0, 30), min_size=1, max_size=40))
def test_every_metric_follows_its_definition(ranks: list[int]) -> None:
    for name, metric in METRICS.items():
        expected = [brute(name, rank) for rank in ranks]
        np.testing.assert_allclose(metric(np.array(ranks, np.int32)), expected, rtol=1e-15)
        np.testing.assert_allclose(evaluate(np.array(ranks, np.int32))[name], np.mean(expected))


def test_metrics_agree_with_ranx(monkeypatch: pytest.MonkeyPatch) -> None:
    # compiling ranx takes 40 s, interpreting it on a small example one: numba reads this when it is first imported
    monkeypatch.setenv("NUMBA_DISABLE_JIT", "1")
    ranx = pytest.importorskip("ranx", reason="ranx, the second library, is not installed", exc_type=ImportError)
    rng = np.random.default_rng(3)
    n, items, depth = 200, 60, 25
    rankings = [rng.permutation(items)[:depth] for _ in range(n)]
    targets = rng.integers(items, size=n)
    qrels = ranx.Qrels({f"q{i}": {str(t): 1} for i, t in enumerate(targets)})
    run = ranx.Run({f"q{i}": {str(x): float(depth - k) for k, x in enumerate(row)} for i, row in enumerate(rankings)})
    ours = np.array([[*row, target].index(target) for row, target in zip(rankings, targets, strict=True)])
    ranks = np.where(ours < depth, ours + 1, 0).astype(np.int32)
    assert (ranks > 10).any()
    assert (ranks == 0).any()
    theirs = {"NDCG": "ndcg", "HR": "hit_rate", "MRR": "mrr"}
    for name, metric in METRICS.items():
        kind, k = name.split("@")
        ranx.evaluate(qrels, run, f"{theirs[kind]}@{k}", save_results_in_run=True)
        per_case = run.scores[f"{theirs[kind]}@{k}"]
        np.testing.assert_allclose(metric(ranks), [per_case[f"q{i}"] for i in range(n)], atol=1e-12)


def results() -> CaseResults:
    return CaseResults(
        users=np.array([0, 0, 0, 1], np.int32),
        ranks=np.array([[1, 0, 0, 1], [1, 2, 0, 0]], np.int32),
        cold=np.array([False, False, True, False]),
        history_length=np.array([4, 9, 10, 10], np.int32),
        popularity=np.array([8, 3, 0, 9], np.int32),
        seeds=(1, 2),
    )


def test_by_case_and_by_user_differ() -> None:
    r = results()
    values = evaluate(r.ranks, r.users)
    assert values["HR@10"] == pytest.approx(4 / 8)
    assert values["HR@10 by user"] == pytest.approx((1.5 / 3 + 0.5) / 2)
    np.testing.assert_allclose(seed_means(r)["HR@10"], [0.5, 0.5])


def test_slices_partition_the_cases() -> None:
    parts = slices(results(), head=8)
    sizes = {name: part.n_cases for name, part in parts.items()}
    assert sizes == {
        "all": 4, "cold": 1, "warm": 3, "head": 2, "tail": 2, "history 0-4": 1, "history 5-9": 1, "history 10+": 2
    }  # fmt: skip
    assert parts["head"].metrics["HR@10"] == pytest.approx(3 / 4)
    assert "head" not in slices(results())
    no_cases = CaseResults(
        *(np.zeros(0, np.int32), np.zeros((1, 0), np.int32), *[np.zeros(0, np.int32)] * 3), seeds=(1,)
    )
    assert math.isnan(slices(no_cases)["cold"].metrics["NDCG@10"])


@settings(max_examples=50)
@given(st.lists(st.integers(0, 9), min_size=1, max_size=30))
def test_head_holds_a_fifth_of_the_items_and_ties(counts: list[int]) -> None:
    threshold = head_threshold(np.array(counts))
    head = sum(count >= threshold for count in counts)
    strictly = sum(count > threshold for count in counts)
    size = max(1, round(0.2 * len(counts)))
    assert strictly < size
    assert head >= min(size, sum(count > 0 for count in counts))
    assert threshold >= 1
