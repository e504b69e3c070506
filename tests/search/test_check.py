"""What decoders return is not believed: every fault is named with the plugin and the case."""

from dataclasses import replace

import numpy as np
import pytest

from recbench.errors import RecbenchError
from recbench.search import checked, top
from recbench.types import PAD, Histories, Ranking

WHO = "decoder 'mine' of my-dist 0.1"
CASES = Histories(
    np.arange(4, dtype=np.int32), np.array([[PAD, 7], [1, 2], [3, 9], [5, 5]], np.int32), np.arange(4, dtype=np.int64)
)
INF = np.inf
GOOD = Ranking(
    np.array([[0, 1, 2], [3, 4, PAD], [5, 6, 0], [1, 0, 2]], np.int32),
    np.array([[3, 2, 2], [1, 0, -INF], [0, -1, -INF], [9, 8, 7]], np.float32),
    0.25,
)


def check(ranking: object, exclude: bool = True) -> Ranking:
    return checked(ranking, CASES, 3, 10, exclude, WHO)  # type: ignore[arg-type]


def test_what_is_right_passes_unchanged() -> None:
    found = check(GOOD)
    assert np.array_equal(found.items, GOOD.items)
    assert np.array_equal(found.scores, GOOD.scores)
    assert found.invalid_share == 0.25
    wide = check(Ranking(GOOD.items.astype(np.int64), GOOD.scores.astype(np.float64)))
    assert (wide.items.dtype, wide.scores.dtype, wide.invalid_share) == (np.int32, np.float32, None)


def put(array: str, row: int, values: list[float]) -> Ranking:
    """GOOD with one row changed."""
    changed = getattr(GOOD, array).copy()
    changed[row] = values
    return replace(GOOD, **{array: changed})


@pytest.mark.parametrize(
    ("ranking", "said"),
    [
        (put("items", 2, [5, 10, 0]), "an item outside the catalogue of 10 items, case 2"),
        (put("items", 2, [5, -2, 0]), "an item outside the catalogue of 10 items, case 2"),
        (put("items", 3, [1, 0, 1]), "an item twice, case 3"),
        (put("items", 1, [PAD, 4, 3]), "an empty place before an item, case 1"),
        (put("items", 0, [0, 1, PAD]), "a score other than -inf for an empty place, case 0"),
        (put("scores", 2, [np.nan, -1, -2]), "a score that is NaN, case 2"),
        (put("scores", 2, [INF, -1, -2]), "an infinite score, case 2"),
        (put("scores", 3, [9, 8, 8.5]), "scores that do not descend, case 3"),
        (put("items", 0, [0, 7, 2]), "an item of the history, which was to be left out, case 0"),
        (replace(GOOD, items=GOOD.items.astype(float)), "items of type float64, where whole numbers are needed"),
        (replace(GOOD, items=GOOD.items > 0), "items of type bool"),
        (replace(GOOD, scores=GOOD.scores.astype(complex)), "scores of type complex128"),
        (replace(GOOD, items=GOOD.items[:, :2]), r"items of shape \(4, 2\), where 4 cases and 3 places make \(4, 3\)"),
        (replace(GOOD, items=GOOD.items[:1]), r"items of shape \(1, 3\)"),
        (replace(GOOD, scores=GOOD.scores[:1]), r"scores of shape \(1, 3\)"),
        (replace(GOOD, items=GOOD.items.tolist()), "list as items"),
        (replace(GOOD, invalid_share=1.5), "1.5 as invalid_share"),
        (replace(GOOD, invalid_share=float("nan")), "nan as invalid_share"),
        ((GOOD.items, GOOD.scores), "tuple, where a Ranking is needed"),
    ],
)
def test_each_fault_is_named(ranking: object, said: str) -> None:
    with pytest.raises(RecbenchError, match=rf"^Decoder 'mine' of my-dist 0.1 returned {said}"):
        check(ranking)


def test_the_history_may_be_recommended_where_it_is_allowed() -> None:
    check(put("items", 0, [0, 7, 2]), exclude=False)


def test_top_sorts_and_leaves_out() -> None:
    scores = np.array([[1, 3, 3, 0, -INF, 2]] * 2, np.float32)
    cases = Histories(np.arange(2, dtype=np.int32), np.array([[PAD, 1], [2, 5]], np.int32), np.arange(2))
    found = checked(top(scores, cases, 8, True), cases, 8, 6, True, WHO)
    assert found.items.tolist() == [[2, 5, 0, 3, PAD, PAD, PAD, PAD], [1, 0, 3, PAD, PAD, PAD, PAD, PAD]]
    assert top(scores, cases, 2, False).items.tolist() == [[1, 2]] * 2
    assert scores[0, 1] == 3, "the caller's scores are left alone"


def test_top_refuses_what_cannot_be_sorted() -> None:
    """One NaN is not the best item, but what a training that diverged leaves behind."""
    scores = np.zeros((4, 6), np.float32)
    scores[2, 3] = np.nan
    with pytest.raises(RecbenchError, match=r"1 of 24 scores are not numbers"):
        top(scores, CASES, 3, False)
