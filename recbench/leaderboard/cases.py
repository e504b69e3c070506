"""Where the test cases of a record are not those that the data gives under the record's spec."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import numpy as np

from recbench.description import case_label, cases_of
from recbench.lists import TestSet
from recbench.results import Cases, RunRecord

SAME = ("item_popularity", "popularity", "cold", "sharing")


def different_cases(record: RunRecord, tests: TestSet) -> list[str]:
    """A sentence for each kind of difference; empty where there is none.

    Args:
        record: its cases. What an older recbench did not record is not compared.
        tests: the cases that the data gives.
    """
    return list(_differences(record.cases, cases_of(tests.evaluate, tests.split, tests.cases), tests))


def _differences(said: Cases, made: Cases, tests: TestSet) -> Iterator[str]:
    columns = [name for name in ("users", "history_length", "target", "last") if len(getattr(said, name))]
    there, due = (list(zip(*(getattr(one, name).tolist() for name in columns), strict=True)) for one in (said, made))
    protocol = _protocol(tests)
    spare = Counter(due)
    spare.subtract(there)
    foreign = {row for row, n in spare.items() if n < 0}
    if foreign:
        case = next(number for number, row in enumerate(there) if row in foreign)
        more = sum(-spare[row] for row in foreign) - 1
        others = f", nor are {more:,} others" * (more > 0)
        yield f"case {case} ({_who(said, case, tests)}) is not a test case {protocol}{others}"
    if len(there) != len(due):
        yield f"it has {len(there):,} cases, and there are {len(due):,} test cases {protocol}"
    if not foreign and len(there) == len(due):
        if there != due:
            yield f"its cases are not in the order of the test cases {protocol}"
        elif said.digest != made.digest:
            yield f"its digest of the cases, {said.digest[:12]}, is not that of the test cases {protocol}"
        for name in SAME:
            was, now = getattr(said, name), getattr(made, name)
            if len(was) and not np.array_equal(was, now):
                yield f"its {name} is not what the training data gives{_first(was, now)}"
    older = case_label(tests.evaluate, sampled=tests.evaluate.cases > 0)
    if said.label not in (made.label, older):
        yield f"it says that its cases are {said.label!r}, and its spec means {made.label!r}"


def _first(was: np.ndarray, now: np.ndarray) -> str:
    """Where two columns first differ."""
    if len(was) != len(now):
        return f": {len(was):,} values where {len(now):,} are expected"
    place = int(np.flatnonzero(was != now)[0])
    return f": number {place} is {was[place]} where {now[place]} is expected"


def _who(said: Cases, case: int, tests: TestSet) -> str:
    users, titles = tests.split.users, tests.split.catalog.titles
    user, words = int(said.users[case]), []
    words.append(f"user {users[user]}" if user < len(users) else f"user number {user}")
    if len(said.target) and (target := int(said.target[case])) < len(titles):
        words.append(f"target {titles[target]}")
    return ", ".join(words)


def _protocol(tests: TestSet) -> str:
    """``of ml-100k by the protocol sliding, at most 20 windows a user``."""
    name = str(tests.split.facts.get("protocol", "of its source")).replace("_", " ")
    cap = f", at most {tests.evaluate.per_user} windows a user" if tests.evaluate.per_user else ""
    return f"of {tests.dataset.called} by the protocol {name}{cap}"
