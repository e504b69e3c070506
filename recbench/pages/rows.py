"""Records of one data set to ranked rows: every number unrounded."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from recbench import registry
from recbench.evaluation import available, masks, metric, parts_of, slice_names
from recbench.pages.compare import Pair, Tested, every_pair
from recbench.results import RunRecord
from recbench.stats import Stability, UserSums, differing, places, resolution, stability, user_sums
from recbench.types import Floats

METRIC = "NDCG@10"  # the one declared test, and what ranks the rows
ALIKE = (
    f"The rows cannot be told apart: all of them have the same {METRIC} for every user. Their order is no ranking, and "
    "no resolution can be estimated."
)


@dataclass(frozen=True)
class Row:
    """One run on the page.

    Attributes:
        rank: from 1, by the mean over cases and seeds.
        place: the rank of its group's first row (:func:`recbench.stats.places`).
        record: the run.
        metrics: name -> (mean, sample sd over seeds or None with one seed).
        by_user: NDCG@10 as the mean over users, averaged over seeds.
        parts: part of the test set -> NDCG@10 on it, None where it has no case.
        invalid_share: mean over seeds; None where no invalid title can be generated.
        training, decoding: wall-clock seconds, as :func:`seconds_of` has them; None where not recorded.
        peak_memory: largest over seeds, bytes; None where not recorded.
        best, traditional: the test against the best row and the best traditional row; None for that row itself.
    """

    rank: int
    place: int
    record: RunRecord
    metrics: dict[str, tuple[float, float | None]]
    by_user: float
    parts: dict[str, float | None]
    invalid_share: float | None
    training: float | None
    decoding: float | None
    peak_memory: int | None
    best: Tested | None
    traditional: Tested | None


@dataclass(frozen=True)
class Section:
    """The rows evaluated on one set of test cases, best first.

    Attributes:
        n_cases, n_users: its size.
        label: how the cases were chosen.
        parts: part of the test set -> its number of cases; those that hold no case or all of them are left out.
        slices: name -> what it is, for every slice with a part in ``parts``.
        rows: the runs.
        pairs: of rows, all tested as one family.
        resolution: :func:`recbench.stats.resolution`; NaN with one row or one user, and without differences.
        stability: how often the first row stays first.
        sums: of the rows, on NDCG@10.
        tests: (A, B) as positions in ``rows`` -> A minus B, for every A before B and those that a row names.
    """

    n_cases: int
    n_users: int
    label: str
    parts: dict[str, int]
    slices: dict[str, str]
    rows: tuple[Row, ...]
    pairs: int
    resolution: float
    stability: Stability
    sums: UserSums
    tests: Mapping[Pair, Tested]

    @property
    def alike(self) -> bool:
        """Whether there are several rows, and all have the same values for every user."""
        return len(self.rows) > 1 and not differing(self.sums)

    @property
    def best_traditional(self) -> Row | None:
        """The best row without a language model."""
        return next((row for row in self.rows if is_traditional(row.record)), None)


def is_traditional(record: RunRecord) -> bool:
    """Whether the run uses no language model."""
    return record.language_model is None


def sections(records: Iterable[RunRecord]) -> list[Section]:
    """The records of one data set, those on different test cases apart; the largest test set first."""
    groups: dict[str, list[RunRecord]] = {}
    for record in records:
        groups.setdefault(record.cases.digest, []).append(record)
    made = {digest: _section(group) for digest, group in groups.items()}
    return [made[digest] for digest in sorted(made, key=lambda digest: (-made[digest].n_cases, digest))]


def _section(records: list[RunRecord]) -> Section:
    def order(record: RunRecord) -> tuple[float, str]:
        # rounding far below the page's four decimals makes equal runs tie whatever the summation order was
        return -round(float(metric(METRIC).by_seed(record.case_results()).mean()), 12), record.run

    ranked = sorted(records, key=order)
    first = next((i for i, record in enumerate(ranked) if is_traditional(record)), None)
    everyone = range(len(ranked))
    shown = [(i, other) for other in (0, first) if other is not None for i in everyone if i > other]
    tests = every_pair(ranked, shown, METRIC)
    groups = places(len(ranked), lambda i, j: tests[i, j].differs)
    sums = user_sums([record.case_results() for record in ranked], metric(METRIC).values)
    by_user = (sums.averaged / sums.counts[:, None]).mean(axis=0)
    rows = tuple(
        _row(
            i + 1,
            groups[i],
            ranked[i],
            float(by_user[i]),
            tests.get((i, 0)),
            None if first is None else tests.get((i, first)),
        )
        for i in everyone
    )
    parts, slices = divided(ranked)
    return Section(
        n_cases=len(ranked[0].cases.users),
        n_users=sums.n_users,
        label=ranked[0].cases.label,
        parts=parts,
        slices=slices,
        rows=rows,
        pairs=len(ranked) * (len(ranked) - 1) // 2,
        resolution=resolution(sums),
        stability=stability(sums),
        sums=sums,
        tests=tests,
    )


def divided(records: Sequence[RunRecord]) -> tuple[dict[str, int], dict[str, str]]:
    """The parts of a test set by every slice that its records allow.

    Args:
        records: of one test set, at least one.

    Returns:
        Part -> its number of cases, without those that hold no case or all of them; and slice -> what it is.
    """
    results = [record.case_results() for record in records]
    sizes = {name: int(mask.sum()) for found in results for name, mask in masks(found).items()}
    parts = {name: n for name, n in sizes.items() if 0 < n < len(results[0].users)}
    named = (name for name in slice_names() if any(parts.keys() & parts_of(name, found).keys() for found in results))
    return parts, {name: registry.get("slice", name).summary for name in named}


def part_means(record: RunRecord) -> dict[str, float | None]:
    """NDCG@10 on each part of the test set, averaged over seeds; None where the part has no case."""
    results = record.case_results()
    values = metric(METRIC).values(results).mean(axis=0)
    return {name: float(values[mask].mean()) if mask.any() else None for name, mask in masks(results).items()}


def _row(
    rank: int, place: int, record: RunRecord, by_user: float, best: Tested | None, traditional: Tested | None
) -> Row:
    results = record.case_results()
    shares = [seed.invalid_share for seed in record.seeds if seed.invalid_share is not None]
    return Row(
        rank=rank,
        place=place,
        record=record,
        metrics={m.name: spread(m.by_seed(results)) for m in available(results)},
        by_user=by_user,
        parts=part_means(record),
        invalid_share=statistics.fmean(shares) if shares else None,
        training=seconds_of(record, "training"),
        decoding=seconds_of(record, "decoding"),
        peak_memory=peak_memory(record),
        best=best,
        traditional=traditional,
    )


def spread(by_seed: Floats) -> tuple[float, float | None]:
    """Mean and sample standard deviation over seeds; no deviation with one seed."""
    return float(by_seed.mean()), float(by_seed.std(ddof=1)) if len(by_seed) > 1 else None


def seconds_of(record: RunRecord, phase: Literal["training", "decoding"]) -> float | None:
    """The median over seeds of a phase's wall-clock seconds: a seed that was suspended or shared its core says little.

    Args:
        record: of the run.
        phase: training or decoding.
    """
    timed = [seed for seed in record.seeds if any(step.phase == phase for step in seed.steps)]
    known = [seconds for seed in timed if (seconds := seed.seconds(phase)) is not None]
    return statistics.median(known) if known else None


def peak_memory(record: RunRecord) -> int | None:
    """The largest over seeds, in bytes; None where it was not measured."""
    return max((s.peak_memory_bytes for s in record.seeds if s.peak_memory_bytes is not None), default=None)
