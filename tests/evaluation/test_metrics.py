"""Metrics against brute force and against ranx; third-party ones by their entry point alone."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import replace
from importlib.metadata import EntryPoint
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recbench import registry
from recbench.errors import RecbenchError, UsageError
from recbench.evaluation import available, evaluate, metric, metrics, ndcg, seed_means, slices
from recbench.interfaces import CatalogueMetric, ListMetric, MetricPlugin, Options, RankMetric, SlicePlugin, Slicer
from recbench.types import CaseResults

RANKED = ("NDCG@10", "NDCG@5", "HR@10", "HR@5", "MRR@10", "Recall@20", "MAP@10")
LISTED = ("coverage@10", "Gini@10", "popularity@10", "novelty@10")


def of_ranks(ranks: Any, depth: int = 30) -> CaseResults:
    ranks = np.atleast_2d(np.asarray(ranks, np.int32))
    n = ranks.shape[1]
    zeros = np.zeros(n, np.int32)
    return CaseResults(zeros, ranks, zeros.astype(bool), zeros, zeros, tuple(range(len(ranks))), depth)


def brute(name: str, rank: int) -> float:
    kind, depth = name.split("@")
    if not 1 <= rank <= int(depth):
        return 0.0
    return {"NDCG": 1 / math.log2(rank + 1), "HR": 1.0, "Recall": 1.0, "MRR": 1 / rank, "MAP": 1 / rank}[kind]


@settings(max_examples=40)
@given(st.lists(st.integers(0, 30), min_size=1, max_size=40))
def test_every_rank_metric_follows_its_definition(ranks: list[int]) -> None:
    results = of_ranks(ranks)
    means = evaluate(results)
    for name in (*RANKED, "NDCG@7", "HR@1", "MAP@30"):
        expected = [brute(name, rank) for rank in ranks]
        np.testing.assert_allclose(metric(name).values(results)[0], expected, rtol=1e-15)
        if name in RANKED:
            np.testing.assert_allclose(means[name], np.mean(expected))


def test_rank_metrics_agree_with_ranx(monkeypatch: pytest.MonkeyPatch) -> None:
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
    assert (ranks > 20).any()
    assert (ranks == 0).any()
    theirs = {"NDCG": "ndcg", "HR": "hit_rate", "MRR": "mrr", "Recall": "recall", "MAP": "map"}
    for name in RANKED:
        kind, k = name.split("@")
        ranx.evaluate(qrels, run, f"{theirs[kind]}@{k}", save_results_in_run=True)
        per_case = run.scores[f"{theirs[kind]}@{k}"]
        values = metric(name).values(of_ranks(ranks))[0]
        np.testing.assert_allclose(values, [per_case[f"q{i}"] for i in range(n)], atol=1e-12)


def test_with_one_relevant_item_map_is_mrr_and_recall_is_hit_rate() -> None:
    results = of_ranks(np.arange(31))
    np.testing.assert_array_equal(metric("MAP@10").values(results), metric("MRR@10").values(results))
    np.testing.assert_array_equal(metric("Recall@20").values(results), metric("HR@20").values(results))


def with_lists(seed: int, n: int = 12, items: int = 20, seeds: int = 2) -> CaseResults:
    rng = np.random.default_rng(seed)
    top = np.argsort(rng.random((seeds, n, items)), axis=2)[:, :, :10].astype(np.int32)
    top[:, 0, 4:] = -1  # a short list
    top[:, 1] = -1  # and an empty one
    column = np.zeros(n, np.int32)
    popularity = rng.integers(0, 9, size=items).astype(np.int32)
    ranks = np.zeros((seeds, n), np.int32)
    return CaseResults(
        np.arange(n, dtype=np.int32), ranks, column.astype(bool), column, column, (1, 2), 10, top, popularity
    )


@settings(max_examples=25)
@given(st.integers(0, 2**32 - 1))
def test_list_metrics_follow_their_definitions(seed: int) -> None:
    results = with_lists(seed)
    counts = results.item_popularity
    total, n = int(counts.sum()) + len(counts), len(counts)
    for name, depth in (*((name, 10) for name in LISTED), ("coverage@3", 3), ("Gini@3", 3), ("popularity@3", 3)):
        for s in range(2):
            lists = [[int(i) for i in row[:depth] if i >= 0] for row in results.top[s]]
            shown = Counter(i for row in lists for i in row)
            c = sorted(shown.get(i, 0) for i in range(n))
            # Gini as half the mean absolute difference over the mean: another formula than the plugin's
            gini = sum(abs(x - y) for x in c for y in c) / (2 * n * sum(c))
            popularity = [sum(int(counts[i]) for i in row) / len(row) if row else 0.0 for row in lists]
            novelty = [
                sum(-math.log2((int(counts[i]) + 1) / total) for i in row) / len(row) if row else 0.0 for row in lists
            ]
            expected = {"coverage": len(shown) / n, "Gini": gini, "popularity": popularity, "novelty": novelty}
            family = name.partition("@")[0]
            found = metric(name)
            assert found.by_seed(results)[s] == pytest.approx(np.mean(expected[family]))
            if found.by_case:
                np.testing.assert_allclose(found.values(results)[s], expected[family])


def test_gini_of_equal_and_of_one_list_for_everybody() -> None:
    results = with_lists(0, n=2)
    halves = np.array([[np.arange(10), np.arange(10, 20)]] * 2, np.int32)
    same = np.array([[np.arange(10), np.arange(10)]] * 2, np.int32)
    for top, gini, coverage in ((halves, 0.0, 1.0), (same, 0.5, 0.5)):
        changed = results.__class__(**{**results.__dict__, "top": top})
        assert metric("Gini@10").by_seed(changed) == pytest.approx([gini, gini])
        assert metric("coverage@10").by_seed(changed) == pytest.approx([coverage, coverage])


def test_what_is_available_depends_on_depth_and_lists() -> None:
    shallow, deep, listed = of_ranks([1, 2], depth=10), of_ranks([1, 2], depth=20), with_lists(0)
    assert [m.name for m in available(shallow)] == [name for name in RANKED if name != "Recall@20"]
    assert [m.name for m in available(deep)] == list(RANKED)
    assert [m.name for m in available(listed)] == [name for name in (*RANKED, *LISTED) if name != "Recall@20"]
    assert [m.name for m in metrics()] == [*RANKED, *LISTED]
    with pytest.raises(UsageError, match=r"NDCG@11 needs lists of 11 items and these have 10 \(evaluate.depth\)"):
        metric("NDCG@11").values(shallow)
    with pytest.raises(UsageError, match="novelty@10 needs the top lists, which a record of an older recbench"):
        metric("novelty@10").values(shallow)
    with pytest.raises(UsageError, match="coverage@10 is one number for a whole run"):
        metric("coverage@10").values(listed)


@pytest.mark.parametrize(
    "name", ["NDGC@10", "NDCG", "NDCG@", "NDCG@ten", "NDCG@-1", "", "@10", "NDCG@1²", "NDCG@9999999"]
)
def test_unknown_metrics(name: str) -> None:
    with pytest.raises(UsageError, match="There is no metric"):
        metric(name)


def results() -> CaseResults:
    return CaseResults(
        users=np.array([0, 0, 0, 1], np.int32),
        ranks=np.array([[1, 0, 0, 1], [1, 2, 0, 0]], np.int32),
        cold=np.array([False, False, True, False]),
        history_length=np.array([4, 9, 10, 10], np.int32),
        popularity=np.array([8, 3, 0, 9], np.int32),
        seeds=(1, 2),
        item_popularity=np.array([8, 3, 0, 9, 1, 1, 2, 1, 1, 1], np.int32),
    )


def test_by_case_and_by_user_differ() -> None:
    values = evaluate(results(), by_user=True)
    assert values["HR@10"] == pytest.approx(4 / 8)
    assert values["HR@10 by user"] == pytest.approx((1.5 / 3 + 0.5) / 2)
    np.testing.assert_allclose(seed_means(results())["HR@10"], [0.5, 0.5])
    assert float(ndcg(np.array([1, 3])).sum()) == 1.5


def test_slices_partition_the_cases() -> None:
    parts = slices(results())
    sizes = {name: part.n_cases for name, part in parts.items()}
    assert sizes == {
        "all": 4, "cold": 1, "warm": 3, "head": 2, "torso": 1, "tail": 1, "history 0-4": 1,
        "history 5-9": 1, "history 10+": 2
    }  # fmt: skip
    assert parts["head"].metrics["HR@10"] == pytest.approx(3 / 4)
    assert "head" not in slices(of_ranks([1]))
    assert math.isnan(slices(of_ranks([1]))["cold"].metrics["NDCG@10"])


@settings(max_examples=50)
@given(st.lists(st.integers(0, 9), min_size=1, max_size=30))
def test_head_holds_a_fifth_of_the_items_and_ties(counts: list[int]) -> None:
    from recbench_plugins.slices.head import threshold

    least = threshold(np.array(counts), 0.2)
    head = sum(count >= least for count in counts)
    strictly = sum(count > least for count in counts)
    size = max(1, round(0.2 * len(counts)))
    assert strictly < size
    assert head >= min(size, sum(count > 0 for count in counts))
    assert least >= 1


@settings(max_examples=50)
@given(st.lists(st.integers(0, 9), min_size=1, max_size=30), st.data())
def test_head_torso_and_tail_divide_the_cases_by_place_of_target(counts: list[int], data: st.DataObject) -> None:
    from recbench_plugins.slices.head import Head, HeadOptions

    n = len(counts)
    share, torso = data.draw(st.sampled_from([0.1, 0.2, 0.5])), data.draw(st.sampled_from([0.0, 0.3, 0.9]))
    every = replace(
        results(),
        users=np.arange(n),
        ranks=np.zeros((2, n), np.int32),
        cold=np.array(counts) == 0,
        history_length=np.ones(n, np.int32),
        popularity=np.array(counts, np.int32),
        item_popularity=np.array(counts, np.int32),
    )
    found = Head(HeadOptions(share=share, torso=torso)).masks(every)
    assert list(found) == ["head", "torso", "tail"]
    assert (np.sum(list(found.values()), axis=0) == 1).all()
    for item, count in enumerate(counts):
        # the best place that an item can have among those that occur as often
        place = sum(other > count for other in counts)
        expected = (
            "tail"
            if count == 0
            else "head"
            if place < max(1, round(share * n))
            else "torso"
            if place < max(1, round(min(share + torso, 1.0) * n))
            else "tail"
        )
        assert found[expected][item]


# ---- a third party's


class First(RankMetric[Options]):
    """Whether the target is the first item."""

    def values(self, ranks: Any, depth: int) -> Any:
        return (ranks == 1).astype(float)


class Wrong(ListMetric[Options]):
    def values(self, lists: Any) -> Any:
        return np.zeros(1)


class Raising(CatalogueMetric[Options]):
    def value(self, lists: Any) -> float:
        raise ValueError("no idea")


class Users(Slicer[Options]):
    def masks(self, results: CaseResults) -> Any:
        return {"first user": results.users == 0}


class NoMask(Slicer[Options]):
    def masks(self, results: CaseResults) -> Any:
        return {"cold": results.users}


first = MetricPlugin(summary="share of cases hit at once", implementation=First, depths=())
wrong = MetricPlugin(summary="wrong", implementation=Wrong)
raising = MetricPlugin(summary="raises", implementation=Raising)
strange = SlicePlugin(summary="strange", implementation=Users)
users = SlicePlugin(summary="the first user's cases", implementation=Users)
no_mask = SlicePlugin(summary="wrong", implementation=NoMask)


@pytest.fixture
def install(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Adds a fake distribution's entry point to what is installed."""
    real = registry._entries

    def add(kind: str, name: str, plugin: str) -> None:
        entry = EntryPoint(name, f"third_party:{plugin}", registry.GROUPS[kind])
        vars(entry).update(dist=SimpleNamespace(name="third-party", version="1.0"))
        there = registry._entries
        monkeypatch.setattr(registry, "_entries", lambda k: {**there(k), **({name: [entry]} if k == kind else {})})

    import sys

    monkeypatch.setitem(sys.modules, "third_party", sys.modules[__name__])
    assert real("metric")
    return add


def test_a_third_partys_metric_and_slice_appear_by_their_entry_points(install: Any) -> None:
    install("metric", "first", "first")
    install("slice", "users", "users")
    assert metric("first").values(results()).tolist() == [[1, 0, 0, 1], [1, 0, 0, 0]]
    assert evaluate(results())["first"] == pytest.approx(3 / 8)
    part = slices(results())["first user"]
    assert (part.n_cases, part.metrics["first"]) == (3, pytest.approx(1 / 3))
    with pytest.raises(UsageError, match="no metric 'first@10'"):
        metric("first@10")


@pytest.mark.parametrize(
    ("plugin", "message"),
    [
        ("wrong", r"metric 'wrong' of third-party 1.0 returned values of shape \(1,\) where \(12,\) is expected"),
        ("raising", "metric 'raising' of third-party 1.0 failed with ValueError: no idea"),
        ("strange", "Metric 'strange' of third-party 1.0: .* must name a MetricPlugin"),
    ],
)
def test_a_third_partys_mistake_is_named(install: Any, plugin: str, message: str) -> None:
    install("metric", plugin, plugin)
    with pytest.raises(RecbenchError, match=message):
        evaluate(with_lists(0))


def test_a_third_partys_slice_of_no_masks_is_named(install: Any) -> None:
    install("slice", "no_mask", "no_mask")
    with pytest.raises(RecbenchError, match=r"slice 'no_mask' of third-party 1\.0 must return boolean masks"):
        slices(results())
