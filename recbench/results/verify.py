"""Checks that a record is consistent with itself; numpy only."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from recbench.types import PAD, Ints

if TYPE_CHECKING:
    from recbench.results.record import RunRecord, SeedResult

KEPT = 10
"""How many items of each list a record keeps."""
EXTERNAL = "external"
"""What the decoder's label of an external record is, and its backbone's name: no page shows its row as one of ours."""


def verify(record: RunRecord) -> tuple[str, ...]:
    """Contradictions within a record, a sentence each; empty if there are none.

    Ranks follow from top lists and targets, popularity and cold from the items' training counts. That shows a forged
    rank, not a forged list: for that, run a seed again.
    """
    found = (*_of_cases(record), *_of_code(record))
    found = found or tuple(problem for result in record.seeds for problem in _of_seed(record, result))
    return found or tuple(_of_examples(record))


def _of_cases(record: RunRecord) -> Iterator[str]:
    cases = record.cases
    n, items = len(cases.users), len(cases.item_popularity)
    for name in ("cold", "history_length", "popularity"):
        if len(getattr(cases, name)) != n:
            yield f"{name} has {len(getattr(cases, name))} cases but users has {n}"
            return
    if not n:
        yield "there are no test cases"
        return
    if not np.isin(cases.cold, (0, 1)).all():
        yield "cold has a value other than 0 and 1"
    if min(int(column.min()) for column in (cases.users, cases.history_length, cases.popularity)) < 0:
        yield "a user, a history length or a popularity is negative"
    if record.format == 1:
        return
    if len(cases.last) not in (0, n):
        yield f"last has {len(cases.last)} cases but users has {n}"
    elif len(cases.last) and (cases.last.min() < 0 or cases.last.max() >= items):
        yield f"a history ends with an item that is not among the {items} items"
    if len(cases.sharing) not in (0, n):
        yield f"sharing has {len(cases.sharing)} cases but users has {n}"
    elif len(cases.sharing) and (cases.sharing.min() < 1 or cases.sharing.max() > items):
        yield f"a title shares its first word with none or with more than the {items} items"
    if len(cases.target) != n:
        yield f"target has {len(cases.target)} cases but users has {n}"
    elif cases.target.min() < 0 or cases.target.max() >= items:
        yield f"a target is not among the {items} items"
    elif cases.item_popularity.min() < 0:
        yield "an item's popularity is negative"
    else:
        expected = cases.item_popularity[cases.target]
        if not np.array_equal(expected, cases.popularity):
            yield f"{_first(expected != cases.popularity)} has another popularity than its target"
        if not np.array_equal(expected == 0, cases.cold == 1):
            yield f"{_first((expected == 0) != (cases.cold == 1))} has the wrong cold flag for its target"


def _of_code(record: RunRecord) -> Iterator[str]:
    numbers = [result.seed for result in record.seeds]
    if len(set(numbers)) != len(numbers):
        yield "a seed occurs twice"
    named = [(code.kind, code.name) for code in record.plugins]
    if len(set(named)) != len(named):
        yield "a plugin occurs twice"
    if record.external != (record.spec["recommender"]["backbone"]["name"] == EXTERNAL):
        yield "its spec does not agree with it on whether the lists are external"
    elif record.external and record.labels.decoder != EXTERNAL:
        yield f"the label of an external record's decoder is {record.labels.decoder!r}, not {EXTERNAL!r}"


def _of_seed(record: RunRecord, result: SeedResult) -> Iterator[str]:
    n, who = len(record.cases.users), f"seed {result.seed}"
    if len(result.ranks) != n:
        yield f"{who} has {len(result.ranks)} ranks for {n} cases"
        return
    if result.ranks.min() < 0:
        yield f"{who} has a negative rank"
    if result.ranks.max() > record.depth:
        yield f"{who} has rank {result.ranks.max()} in lists of {record.depth}"
    if record.format == 1:
        return
    items = len(record.cases.item_popularity)
    if result.ranks.max() > items:
        yield f"{who} has rank {result.ranks.max()} among {items} items"
    least = min(KEPT, record.depth, items)
    if result.top is None:
        yield f"{who} has no top lists"
    elif result.top.shape[0] != n or not least <= result.top.shape[1] <= min(KEPT, record.depth):
        yield f"{who} has top lists of shape {result.top.shape} for {n} cases and a depth of {record.depth}"
    elif result.top.min() < PAD or result.top.max() >= items:
        yield f"{who} has an item in its top lists that is not among the {items} items"
    else:
        yield from _of_lists(who, result.top, record.cases.target, result.ranks)


def _of_examples(record: RunRecord) -> Iterator[str]:
    cases, shown = record.cases, record.examples
    if shown is None:
        return
    if len(shown.cases) != len(shown.histories):
        yield f"there are {len(shown.cases)} example cases and {len(shown.histories)} histories"
        return
    for case, history in zip(shown.cases, shown.histories, strict=True):
        if not 0 <= case < len(cases.users):
            yield f"example case {case} is not among the {len(cases.users)} cases"
        elif len(history) != cases.history_length[case] or (len(cases.last) and [*history][-1:] != [cases.last[case]]):
            yield f"the history of example case {case} is not that of the case"
        else:
            lists = [result.top[case].tolist() for result in record.seeds if result.top is not None]
            items = {*history, *cases.target[case : case + 1].tolist(), *(item for row in lists for item in row)} - {
                PAD
            }
            if missing := [item for item in sorted(items) if str(item) not in shown.titles]:
                yield f"example case {case} has no title for item {missing[0]}"


def _of_lists(who: str, top: Ints, target: Ints, ranks: Ints) -> Iterator[str]:
    ordered = np.sort(top, axis=1)
    twice = ((ordered[:, 1:] == ordered[:, :-1]) & (ordered[:, 1:] != PAD)).any(axis=1)
    if twice.any():
        yield f"{who} has an item twice in the list of {_first(twice)}"
    hit = top == target[:, None]
    listed = np.where(hit.any(axis=1), hit.argmax(axis=1) + 1, 0)
    # a rank below the kept part is only known not to be in it
    claimed = np.where(ranks <= top.shape[1], ranks, 0)
    if (listed != claimed).any():
        case = int(np.flatnonzero(listed != claimed)[0])
        place = f"at place {listed[case]}" if listed[case] else "nowhere"
        yield f"{who} has rank {ranks[case]} for case {case}, whose target stands {place} in its top list"


def _first(mask: np.ndarray) -> str:
    return f"case {int(np.flatnonzero(mask)[0])}"
