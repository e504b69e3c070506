"""Comparisons within the parts of a slice, against the cases picked by hand."""

from __future__ import annotations

import numpy as np
import pytest
from statsmodels.stats.multitest import multipletests

from recbench import registry
from recbench.errors import UsageError
from recbench.evaluation import metric, parts_of, slice_names
from recbench.pages.blocks import Bullets
from recbench.pages.dataset import page_content
from recbench.pages.parts import by_part, part_rows
from recbench.pages.rows import sections
from recbench.results import Cases, Dataset, Labels, RunRecord, SeedResult, spec_hash
from recbench.stats import compare

ITEMS, N, USERS = 30, 240, 24


def make(method: str, head: float, tail: float, seeds: int = 2, **cases) -> RunRecord:
    """A run that finds head and tail targets as often as said; histories of 3, 6 and 12 items."""
    rng = np.random.default_rng(sum(map(ord, method)))
    target = np.arange(N) * 7 % ITEMS
    popularity = np.arange(ITEMS)
    results = []
    for seed in range(seeds):
        chance = np.where(popularity[target] >= 24, head, tail)
        ranks = np.where(rng.random(N) < chance, rng.integers(1, 11, size=N), 0)
        top = (target[:, None] + 1 + np.argsort(rng.random((N, ITEMS - 1)), axis=1)[:, :10]) % ITEMS
        rows = np.flatnonzero(ranks)
        top[rows, ranks[rows] - 1] = target[rows]
        results.append(SeedResult(seed=seed, ranks=ranks, top=top))
    spec = {
        "dataset": {"name": "d", "options": {}},
        "recommender": {"backbone": {"name": method, "options": {}}},
        "evaluate": {"depth": 10},
    }
    columns = {
        "users": np.arange(N) % USERS,
        "cold": (target == 0).astype(int),
        "history_length": np.array([3, 6, 12])[np.arange(N) % 3],
        "popularity": popularity[target],
        "target": target,
        "sharing": np.array([1, 4, 12])[target % 3],
        "item_popularity": popularity,
        "last": np.where(np.arange(N) == 0, 0, (target + 1) % ITEMS),  # one cold target behind a cold item
    }
    return RunRecord(
        run=f"d-{method}",
        spec=spec,
        spec_hash=spec_hash(spec),
        command="recbench run",
        dataset=Dataset(name="d", label="D"),
        labels=Labels(method=method),
        cases=Cases(digest="0" * 16, **{**columns, **cases}),
        seeds=tuple(results),
    )


A, B, C = make("a", 0.8, 0.2), make("b", 0.3, 0.2), make("c", 0.3, 0.7, seeds=3)


@pytest.mark.parametrize("name", ["head", "history", "cold", "cold_last"])
def test_each_part_is_a_comparison_of_its_cases_and_holm_runs_over_all(name: str) -> None:
    found = by_part([(A, B), (A, C)], name, "HR@10")
    masks = parts_of(name, A.case_results())
    assert [part.part for part in found] == list(masks)
    tests = []
    for part in found:
        mask = masks[part.part]
        users = A.cases.users[mask]
        assert (part.n_cases, part.n_users) == (mask.sum(), len(set(users.tolist())))
        assert len(part.tests) == (2 if part.n_users > 1 else 0)
        for test, other in zip(part.tests, (B, C), strict=False):
            alone = compare(
                A.case_results().take(mask), other.case_results().take(mask), metric("HR@10").values, "HR@10"
            )
            hits = [float((r.case_results().ranks[:, mask] > 0).mean()) for r in (A, other)]
            assert test.comparison.difference == pytest.approx(hits[0] - hits[1])
            assert test.comparison.interval_two_level == alone.interval_two_level
            assert test.comparison.p == pytest.approx(alone.p, abs=0.02)  # a family of pairs draws more patterns
            tests.append(test)
    expected = multipletests([test.comparison.p_claim for test in tests], method="holm")[1]
    assert [test.p_holm for test in tests] == pytest.approx(expected)


def test_a_difference_is_shown_only_where_it_is() -> None:
    pair = make("a", 0.8, 0.2, seeds=6), make("b", 0.3, 0.2, seeds=6)
    parts = by_part([pair], "head")
    found = {part.part: part.tests[0] for part in parts}
    assert found["head"].differs
    assert not found["tail"].differs
    header, *rows = part_rows(parts, 0, "B")
    assert len(header) == len(rows[0])
    assert [row[-1] for row in rows] == ["yes", "not shown", "not shown"]


def test_a_part_of_one_user_has_no_test_and_the_rest_no_larger_family() -> None:
    length = np.where(np.arange(N) % USERS == 5, 3, 6)
    a, b = make("a", 0.8, 0.2, history_length=length), make("b", 0.3, 0.2, history_length=length)
    one, several, none = by_part([(a, b)], "history")
    assert (one.n_users, one.tests, none.n_cases, none.tests) == (1, (), 0, ())
    assert several.tests[0].p_holm == several.tests[0].comparison.p_claim
    assert part_rows([one, several, none], 0, "B")[1][-1] == "no test"


def test_what_cannot_be_divided_is_refused() -> None:
    with pytest.raises(UsageError, match="There is no slice 'haed'; did you mean 'head'"):
        by_part([(A, B)], "haed")
    without = make("b", 0.3, 0.2, last=np.zeros(0, np.int32))
    with pytest.raises(UsageError, match="d-b: its record does not hold what the slice cold_last needs"):
        by_part([(A, without)], "cold_last")
    other = make("b", 0.3, 0.2, last=np.zeros(N, np.int32))
    with pytest.raises(UsageError, match="The slice cold_last divides the cases of d-a and d-b differently"):
        by_part([(A, other)], "cold_last")


def test_a_page_has_every_part_of_every_slice_and_says_what_they_are() -> None:
    (section,) = sections([A, B, C])
    expected = {part for name in slice_names() for part in parts_of(name, A.case_results())}
    assert set(section.parts) == expected
    (said,) = (b for b in page_content([A, B, C]) if isinstance(b, Bullets) and b.items[0].startswith("cold: "))
    assert said.items == tuple(f"{name}: {registry.get('slice', name).summary}" for name in slice_names())
