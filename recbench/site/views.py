"""The rows of a test set on all of its cases and on each of its parts: what the table can switch between."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from recbench.evaluation import Metric, available, masks, metric
from recbench.pages.rows import METRIC, Section, spread
from recbench.site.packed import rounded
from recbench.stats import UserSums, mean_intervals, user_sums
from recbench.types import CaseResults

ALL = "all"


@dataclass(frozen=True)
class Seen:
    """One row on some of the cases.

    Attributes:
        metrics: name -> (mean, sample sd over seeds or None).
        interval: 95 % of NDCG@10 over users and seeds; NaN with one user.
        seeds: NDCG@10 of each seed.
    """

    metrics: dict[str, tuple[float, float | None]]
    interval: tuple[float, float]
    seeds: tuple[float, ...]

    def plain(self) -> dict[str, Any]:
        """For the browser."""
        return {
            "m": {name: [rounded(mean), rounded(sd)] for name, (mean, sd) in self.metrics.items()},
            "i": [rounded(end) for end in self.interval],
            "s": [rounded(value) for value in self.seeds],
        }


@dataclass(frozen=True)
class View:
    """The rows on some of the cases.

    Attributes:
        name: ``all``, or that of a part.
        cases, users: its size.
        rows: in the order of the section's; None where a record does not say which cases these are.
    """

    name: str
    cases: int
    users: int
    rows: tuple[Seen | None, ...]

    def plain(self) -> dict[str, Any]:
        """For the browser."""
        rows = [None if row is None else row.plain() for row in self.rows]
        return {"name": self.name, "cases": self.cases, "users": self.users, "rows": rows}


def whole(section: Section) -> View:
    """All cases."""
    seen = _seen([row.metrics for row in section.rows], section.sums)
    return View(ALL, section.n_cases, section.n_users, tuple(seen))


def parts(section: Section) -> list[View]:
    """Each part that holds some of the cases, in the order of tables."""
    results = [row.record.case_results() for row in section.rows]
    divided = [masks(found) for found in results]
    return [_part(name, results, [found.get(name) for found in divided]) for name in section.parts]


def _part(name: str, results: list[CaseResults], chosen: list[np.ndarray | None]) -> View:
    first = next(mask for mask in chosen if mask is not None)
    rows = [i for i, mask in enumerate(chosen) if mask is not None and np.array_equal(mask, first)]
    taken = [results[i].take(first) for i in rows]
    found = [{m.name: spread(m.by_seed(one)) for m in _by_case(one)} for one in taken]
    sums = user_sums(taken, metric(METRIC).values)
    seen: dict[int, Seen] = dict(zip(rows, _seen(found, sums), strict=True))
    return View(name, int(first.sum()), sums.n_users, tuple(seen.get(i) for i in range(len(results))))


def _by_case(results: CaseResults) -> list[Metric]:
    """What some cases alone can be measured by: a share of the catalogue would say how many they are."""
    return [found for found in available(results) if found.by_case]


def _seen(metrics: list[dict[str, tuple[float, float | None]]], sums: UserSums) -> list[Seen]:
    return [
        Seen(found, interval, tuple(seeds.tolist()))
        for found, interval, seeds in zip(metrics, mean_intervals(sums), sums.seed_means, strict=True)
    ]
