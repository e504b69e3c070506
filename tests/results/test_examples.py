"""Example cases and the course of watched values: what a record keeps of them, and what it refuses."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from recbench.results import (
    Cases,
    Dataset,
    Examples,
    Labels,
    RunRecord,
    SeedResult,
    course,
    examples,
    from_json,
    read,
    spec_hash,
    to_json,
)
from recbench.results.examples import CASES, LONGEST, POINTS, chosen_cases
from recbench.types import PAD, Sequences

ITEMS = 40
BOARDS = Path(__file__).parents[2] / "leaderboards"


def made(n: int = 60, hits: float = 0.5) -> tuple[Sequences, list[SeedResult]]:
    rng = np.random.default_rng(5)
    history = rng.integers(ITEMS, size=(n, 10)).astype(np.int32)
    history[::3, :4] = PAD  # short histories are padded on the left
    target = (np.arange(n) % ITEMS).astype(np.int32)
    seeds = []
    for seed in (1, 2):
        top = (target[:, None] + 1 + np.argsort(rng.random((n, ITEMS - 1)), axis=1)[:, :10]) % ITEMS
        ranks = np.where(rng.random(n) < hits, rng.integers(1, 11, size=n), 0).astype(np.int32)
        rows = np.flatnonzero(ranks)
        top[rows, ranks[rows] - 1] = target[rows]
        seeds.append(SeedResult(seed=seed, ranks=ranks, top=top.astype(np.int32)))
    return Sequences(np.arange(n, dtype=np.int32), history, target, np.zeros(n, np.int64)), seeds


def record(shown: Examples | None, cases: Sequences, seeds: list[SeedResult]) -> RunRecord:
    spec: dict[str, Any] = {"dataset": {}, "recommender": {"backbone": {"name": "x"}}, "evaluate": {"depth": 10}}
    popularity = np.ones(ITEMS, np.int32)
    return RunRecord(
        run="x",
        spec=spec,
        spec_hash=spec_hash(spec),
        command="recbench run --model x",
        dataset=Dataset(name="d", label="d"),
        labels=Labels(method="x"),
        cases=Cases(
            digest="d" * 64,
            users=cases.users,
            cold=np.zeros(len(cases), np.int32),
            history_length=cases.history_length,
            popularity=popularity[cases.target],
            target=cases.target,
            item_popularity=popularity,
            last=cases.history[:, -1],
        ),
        seeds=tuple(seeds),
        examples=shown,
    )


def test_half_are_hits_from_best_to_worst_and_the_same_ones_every_time() -> None:
    cases, seeds = made()
    shown = examples(cases, [f"t{i}" for i in range(ITEMS)], seeds)
    ranks = [int(seeds[0].ranks[case]) for case in shown.cases]
    assert len(set(shown.cases)) == CASES
    assert ranks[:5] == sorted(ranks[:5])
    assert ranks[0] == min(r for r in seeds[0].ranks if r)
    assert ranks[4] == seeds[0].ranks.max()
    assert ranks[5:] == [0] * 5
    assert shown == examples(cases, [f"t{i}" for i in range(ITEMS)], seeds)
    for case, history in zip(shown.cases, shown.histories, strict=True):
        assert list(history) == [i for i in cases.history[case] if i != PAD]
        for seed in seeds:
            assert seed.top is not None
            assert {str(i) for i in (*seed.top[case], cases.target[case], *history)} <= shown.titles.keys()


@pytest.mark.parametrize(("hits", "n", "expected"), [(1.0, 60, 10), (0.0, 60, 10), (0.5, 4, 4), (0.02, 60, 10)])
def test_too_few_of_one_kind_are_made_up_by_the_other(hits: float, n: int, expected: int) -> None:
    _, seeds = made(n, hits)
    assert len(set(chosen_cases(seeds[0].ranks))) == expected


def test_a_record_with_examples_survives_the_disk() -> None:
    cases, seeds = made()
    one = record(examples(cases, ["x" * 1000 + "\u05d0<b>"] * ITEMS, seeds), cases, seeds)
    again = from_json(to_json(one), "one")
    assert again.examples == one.examples
    assert again.examples is not None
    assert {len(title) for title in again.examples.titles.values()} == {LONGEST}


def test_examples_that_are_not_the_records_are_refused() -> None:
    cases, seeds = made()
    good = examples(cases, [f"t{i}" for i in range(ITEMS)], seeds)
    case, history = good.cases[0], good.histories[0]
    fewer = {item: title for item, title in good.titles.items() if item != str(cases.target[case])}
    for changes, said in (
        ({"cases": (99, *good.cases[1:])}, "example case 99 is not among the 60 cases"),
        ({"histories": good.histories[1:]}, "10 example cases and 9 histories"),
        ({"histories": ((*history[:-1], history[-1] + 1), *good.histories[1:])}, "is not that of the case"),
        ({"histories": (history[1:], *good.histories[1:])}, "is not that of the case"),
        ({"titles": fewer}, f"no title for item {cases.target[case]}"),
    ):
        with pytest.raises(ValidationError, match=said):
            record(good.model_copy(update=changes), cases, seeds)


def test_records_of_before_are_still_read() -> None:
    old = read(next((BOARDS / "records").glob("*sasrec*.json")))
    assert old.examples is None
    assert all(seed.course == {} for seed in old.seeds)


def test_the_course_is_thinned_and_keeps_both_ends() -> None:
    lines = [{"step": i, "epoch": i / 9, "loss": 1.0, "learning_rate": 0.1, "tau": 1 + i / 3} for i in range(1, 1000)]
    lines.insert(500, {"step": 500, "epoch": 1.0, "validation": 0.1, "validation_error": 0.2})
    found = course([*lines, {"step": 1000, "tau": float("nan")}])
    assert list(found) == ["tau"]
    points = found["tau"]
    assert len(points) == POINTS
    assert points[0] == (1, 1.33333)
    assert points[-1] == (1000, None)
    steps = [step for step, _ in points]
    assert steps == sorted(set(steps))
