"""Records of one data set to ranked rows: every number unrounded."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from recbench.evaluation import available, masks, metric
from recbench.pages.compare import Tested, family
from recbench.results import RunRecord
from recbench.types import Floats

METRIC = "NDCG@10"  # the one declared test, and what ranks the rows


@dataclass(frozen=True)
class Row:
    """One run on the page.

    Attributes:
        rank: from 1, by the mean over cases and seeds.
        record: the run.
        metrics: name -> (mean, sample sd over seeds or None with one seed).
        parts: part of the test set -> NDCG@10 on it, None where it has no case.
        invalid_share: mean over seeds; None where no invalid title can be generated.
        training, decoding: mean wall-clock seconds a seed; None where not recorded.
        peak_memory: largest over seeds, bytes; None where not recorded.
        best, traditional: the test against the best row and the best traditional row; None for that row itself.
    """

    rank: int
    record: RunRecord
    metrics: dict[str, tuple[float, float | None]]
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
        rows: the runs.
    """

    n_cases: int
    n_users: int
    label: str
    parts: dict[str, int]
    rows: tuple[Row, ...]

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
    traditional = next((record for record in ranked if is_traditional(record)), None)
    versus_best = _tests(ranked[0], ranked)
    # where the best row is the best traditional row, the two families are one
    versus_traditional = versus_best if traditional is ranked[0] else _tests(traditional, ranked)
    cases = ranked[0].cases
    rows = tuple(
        _row(rank, record, versus_best.get(record.run), versus_traditional.get(record.run))
        for rank, record in enumerate(ranked, start=1)
    )
    sizes = {name: int(mask.sum()) for r in ranked for name, mask in masks(r.case_results()).items()}
    return Section(
        n_cases=len(cases.users),
        n_users=len(np.unique(cases.users)),
        label=cases.label,
        parts={name: n for name, n in sizes.items() if 0 < n < len(cases.users)},
        rows=rows,
    )


def _tests(baseline: RunRecord | None, records: list[RunRecord]) -> dict[str, Tested]:
    if baseline is None:
        return {}
    others = [record for record in records if record is not baseline]
    return {
        record.run: test
        for record, test in zip(others, family([(other, baseline) for other in others], METRIC), strict=True)
    }


def _row(rank: int, record: RunRecord, best: Tested | None, traditional: Tested | None) -> Row:
    results = record.case_results()
    declared = metric(METRIC).values(results).mean(axis=0)
    return Row(
        rank=rank,
        record=record,
        metrics={m.name: spread(m.by_seed(results)) for m in available(results)},
        parts={name: float(declared[mask].mean()) if mask.any() else None for name, mask in masks(results).items()},
        invalid_share=_mean([seed.invalid_share for seed in record.seeds]),
        training=_mean([seed.seconds("training") for seed in record.seeds]),
        decoding=_mean([seed.seconds("decoding") for seed in record.seeds]),
        peak_memory=max((s.peak_memory_bytes for s in record.seeds if s.peak_memory_bytes is not None), default=None),
        best=best,
        traditional=traditional,
    )


def spread(by_seed: Floats) -> tuple[float, float | None]:
    """Mean and sample standard deviation over seeds; no deviation with one seed."""
    return float(by_seed.mean()), float(by_seed.std(ddof=1)) if len(by_seed) > 1 else None


def _mean(values: list[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None
