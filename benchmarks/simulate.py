"""Test sets and systems whose truth is known, drawn from committed records.

Users are drawn with replacement from a record's users, each with all their cases. A seed of a simulated system gives
each user their recorded results under one of the record's seeds, picked at random (their own scatter over seeds), and
then makes the whole run better or worse, every case in proportion to what the system finds for it, by an amount drawn
from a normal distribution. The population of users and seeds therefore has a mean, and two systems drawn from one
record differ by exactly 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from recbench.evaluation import metric
from recbench.pages import load_records
from recbench.results import RunRecord
from recbench.stats import user_sums
from recbench.stats.sums import UserSums
from recbench.types import CaseResults, Floats

RECORDS = Path(__file__).parents[1] / "leaderboards/records"
METRIC = metric("NDCG@10")


@dataclass(frozen=True)
class Drawn(CaseResults):
    """Simulated results: ``values`` instead of ranks."""

    values: Floats | None = None


@dataclass(frozen=True)
class System:
    """What a record says about a system.

    Attributes:
        values: [S, N] the metric of each case under each seed.
        mean: [N] averaged over seeds.
        seed_sd: standard deviation of what a seed does to the whole run; 0 where the users' own scatter explains it.
    """

    values: Floats
    mean: Floats
    seed_sd: float


@dataclass(frozen=True)
class TestSet:
    """Cases and the systems evaluated on them.

    Attributes:
        rows: for each user the rows of their cases.
        systems: by backbone and loss ("bigrec + msl"), best first.
        sums: of the same systems, as recorded.
    """

    rows: list[list[int]]
    systems: dict[str, System]
    sums: UserSums

    def draw_users(self, rng: np.random.Generator) -> tuple[list[int], list[int]]:
        """The users drawn, and the rows of all their cases."""
        users = rng.integers(len(self.rows), size=len(self.rows)).tolist()
        return users, [row for user in users for row in self.rows[user]]

    def run(
        self, system: System, users: list[int], rows: list[int], seeds: int, seed_sd: float, rng: np.random.Generator
    ) -> tuple[Drawn, float]:
        """One system's results on the users drawn, and what its seeds did to its mean."""
        sizes = [len(self.rows[user]) for user in users]
        picked = np.repeat(rng.integers(len(system.values), size=(seeds, len(users))), sizes, axis=1)
        moved = rng.normal(0, seed_sd, size=seeds) if seed_sd else np.zeros(seeds)
        share = system.mean[rows] / system.mean.mean()
        values = system.values[picked, np.array(rows)] + moved[:, None] * share
        none = np.zeros(len(rows), np.int32)
        owner = np.repeat(np.arange(len(users)), sizes).astype(np.int32)
        drawn = Drawn(owner, none[None], none.astype(bool), none, none, tuple(range(seeds)), values=values)
        return drawn, float(moved.mean())


def test_sets() -> dict[str, TestSet]:
    """The committed test sets, by name; systems with one seed are left out."""
    groups: dict[tuple[str, int], list[RunRecord]] = {}
    for record in load_records(RECORDS):
        if len(record.seeds) > 1:
            groups.setdefault((record.dataset.name, len(record.cases.users)), []).append(record)
    found = {}
    for (dataset, size), records in sorted(groups.items()):
        ordered = sorted(records, key=lambda record: -METRIC.by_seed(record.case_results()).mean())
        results = [record.case_results() for record in ordered]
        systems = {_called(record): _system(result) for record, result in zip(ordered, results, strict=True)}
        _, index = np.unique(results[0].users, return_inverse=True)
        rows = [np.flatnonzero(index == user).tolist() for user in range(index.max() + 1)]
        found[f"{dataset}, {size:,} cases"] = TestSet(rows, systems, user_sums(results, METRIC.values))
    return found


def _called(record: RunRecord) -> str:
    recommender = record.spec["recommender"]
    return " + ".join(recommender[part]["name"] for part in ("backbone", "loss") if recommender.get(part))


def _system(results: CaseResults) -> System:
    values = METRIC.values(results)
    spread = user_sums([results], METRIC.values).spreads[0]
    seed_sd = np.sqrt(max(spread.variance - spread.interaction, 0.0) * len(values))
    return System(values, values.mean(axis=0), float(seed_sd))
