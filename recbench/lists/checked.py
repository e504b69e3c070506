"""The rows of a file as one list for each seed and case; errors name the line."""

from __future__ import annotations

import difflib
from typing import Final

import numpy as np
import numpy.typing as npt

from recbench.errors import DataError, short
from recbench.lists.read import Rows
from recbench.results import KEPT
from recbench.types import Floats, Ints, Longs, Sequences, Split

SUGGEST: Final = 2000
"""Among how many ids of the catalogue a mistyped one is looked for."""
HINT: Final = "recbench data cases writes them"


def lists_of(rows: Rows, split: Split, cases: Sequences, excluded: bool) -> dict[int, Ints]:
    """Seed -> [N, K] item indices, best first; a file without a column ``seed`` is seed 0.

    Args:
        rows: what was read.
        split: the data set.
        cases: [N] what was to be ranked.
        excluded: whether items of the history are refused.

    Raises:
        DataError: an unknown case or item, an item or a rank twice, a score that is not finite, a list that is missing,
            too short or of another length than the others; names file and line.
    """
    case, item = _cases(rows, split, cases), _items(rows, split)
    numbers, place = np.unique(_seeds(rows), return_inverse=True)
    lists = place * len(cases) + case
    if (row := _repeated(lists, item)) is not None:
        raise DataError(f"{rows.where(row)}: case {case[row]} lists item {split.catalog.ids[item[row]]} twice.")
    if excluded and (hit := (cases.history[case] == item[:, None]).any(axis=1)).any():
        row = int(hit.argmax())
        raise DataError(
            f"{rows.where(row)}: item {split.catalog.ids[item[row]]} is in the history of case {case[row]}, but "
            "evaluate.history=excluded does not allow that."
        )
    order = _order(rows, lists, case)
    _complete(rows, lists, numbers, cases, split)
    found = item[np.lexsort((order, lists))].reshape(len(numbers), len(cases), -1).astype(np.int32)
    return {int(number): grid for number, grid in zip(numbers, found, strict=True)}


def _cases(rows: Rows, split: Split, cases: Sequences) -> Longs:
    """[rows] the number of each row's case."""
    users = rows.columns.get("user")
    if "case" not in rows.columns:
        return _by_user(rows, split, cases)
    found = rows.whole_numbers("case")
    if (outside := (found < 0) | (found >= len(cases))).any():
        row, all_of_them = int(outside.argmax()), f"whose cases are 0 to {len(cases) - 1}"
        raise DataError(f"{rows.where(row)}: case {found[row]} is not in the test set, {all_of_them}; {HINT}.")
    for row, (number, user) in enumerate(zip(found, users or (), strict=False)):
        if (right := split.users[cases.users[number]]) != user:
            raise DataError(
                f"{rows.where(row)}: case {number} is of user {right}, not of {short(user)}; {HINT} as this data set "
                "and protocol have them."
            )
    return found


def _by_user(rows: Rows, split: Split, cases: Sequences) -> Longs:
    """[rows] the one case of each row's user."""
    counts = np.bincount(cases.users, minlength=len(split.users))
    place = {split.users[user]: number for number, user in enumerate(cases.users.tolist())}
    for row, user in enumerate(rows.columns["user"]):
        if user not in place:
            raise DataError(f"{rows.where(row)}: user {short(user)} has no test case; {HINT}.")
        if (n := counts[cases.users[place[user]]]) > 1:
            raise DataError(
                f"{rows.where(row)}: user {short(user)} has {n} test cases, so a column 'case' must say which; {HINT}."
            )
    return np.array([place[user] for user in rows.columns["user"]], dtype=np.int64)


def _items(rows: Rows, split: Split) -> Longs:
    """[rows] each row's item."""
    column = "item" if "item" in rows.columns else "title"
    names = split.catalog.ids if column == "item" else split.catalog.titles
    known = {name: index for index, name in enumerate(names)}
    for row, name in enumerate(rows.columns[column]):
        if name not in known:
            near = difflib.get_close_matches(name, names[:SUGGEST], n=1, cutoff=0.6)
            hint = f"did you mean {near[0]!r}?" if near else f"it has {len(names):,} items, such as {names[0]!r}."
            raise DataError(f"{rows.where(row)}: {column} {short(name)} is not in the catalogue; {hint}")
    return np.array([known[name] for name in rows.columns[column]], dtype=np.int64)


def _seeds(rows: Rows) -> Longs:
    if "seed" not in rows.columns:
        return np.zeros(len(rows), dtype=np.int64)
    found = rows.whole_numbers("seed")
    if (wrong := (found < 0) | (found >= 2**32)).any():
        raise DataError(f"{rows.where(int(wrong.argmax()))}: a seed must lie between 0 and 4294967295.")
    return found


def _order(rows: Rows, lists: Longs, case: Longs) -> Floats:
    """[rows] what sorts a list, the smallest first: its ranks, else its scores (ties as in the file), else its rows."""
    if "rank" not in rows.columns:
        return -rows.finite_numbers("score") if "score" in rows.columns else np.arange(len(rows), dtype=np.float64)
    ranks = rows.whole_numbers("rank")
    if (row := _repeated(lists, ranks)) is not None:
        raise DataError(f"{rows.where(row)}: case {case[row]} has rank {ranks[row]} twice.")
    order = np.lexsort((ranks, lists))
    begins = np.flatnonzero(np.diff(lists[order], prepend=-1))
    first = np.repeat(ranks[order][begins], np.diff([*begins, len(order)]))
    place = np.arange(len(order)) - np.repeat(begins, np.diff([*begins, len(order)]))
    if (wrong := (ranks[order] - place != first) | (first < 0) | (first > 1)).any():
        row = int(order[wrong.argmax()])
        raise DataError(f"{rows.where(row)}: rank {ranks[row]} of case {case[row]} leaves a gap; ranks go 1, 2, 3.")
    if "score" in rows.columns:
        scores = rows.finite_numbers("score")[order]
        if (rises := (np.diff(scores) > 0) & (np.diff(lists[order]) == 0)).any():
            row = int(order[rises.argmax() + 1])
            raise DataError(
                f"{rows.where(row)}: rank {ranks[row]} of case {case[row]} has a higher score than the rank before it; "
                "leave out one of the columns."
            )
    return ranks.astype(np.float64)


def _repeated(lists: Longs, values: npt.NDArray[np.int64]) -> int | None:
    """The first row that repeats a value within its list."""
    order = np.lexsort((values, lists))  # stable: of equal rows the earlier comes first
    same = (np.diff(lists[order]) == 0) & (np.diff(values[order]) == 0)
    return int(order[1:][same].min()) if same.any() else None


def _complete(rows: Rows, lists: Longs, numbers: Longs, cases: Sequences, split: Split) -> None:
    """Whether every case has a list for every seed, all of one length."""
    counts = np.bincount(lists, minlength=len(numbers) * len(cases))
    if not counts.all():
        seed, case = divmod(int(counts.argmin()), len(cases))
        which = f" for seed {numbers[seed]}" * ("seed" in rows.columns)
        user, missing = split.users[cases.users[case]], int((counts == 0).sum())
        more = f", nor have {missing - 1:,} others" * (missing > 1)
        raise DataError(f"{rows.path}: case {case} (user {user}) has no list{which}{more}; every test case needs one.")
    if (other := counts != counts[0]).any():
        number = int(other.argmax())
        row = int(np.flatnonzero(lists == number)[-1])
        raise DataError(
            f"{rows.where(row)}: the list of case {number % len(cases)} ends after {counts[number]} items, but "
            f"that of case 0 has {counts[0]}; all must have the same length."
        )
    if counts[0] < (least := min(KEPT, len(split.catalog))):
        raise DataError(f"{rows.path}: its lists have {counts[0]} items, and the metrics need {least}.")
