"""Comparing records, and a comparison as lines to read."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from recbench.errors import UsageError, did_you_mean
from recbench.evaluation import METRICS
from recbench.results import RunRecord
from recbench.stats import Comparison, compare, holm

ALPHA = 0.05


class Tested(NamedTuple):
    """A comparison and its p-value, Holm-corrected over the family it was declared in."""

    comparison: Comparison
    p_holm: float


def compare_records(a: RunRecord, b: RunRecord, metric: str = "NDCG@10") -> Comparison:
    """Run A against run B on one metric; see ``recbench.stats.compare``.

    Raises:
        UsageError: an unknown metric, or the two were evaluated on different test cases.
    """
    if metric not in METRICS:
        raise UsageError(f"there is no metric {metric!r}; {did_you_mean(metric, METRICS)}")
    if a.dataset.name != b.dataset.name or a.cases.digest != b.cases.digest:
        raise UsageError(
            f"{a.run} ({_test_set(a)}) and {b.run} ({_test_set(b)}) were evaluated on different test cases; "
            "compare runs of one test set"
        )
    return compare(a.case_results(), b.case_results(), METRICS[metric], metric)


def against(baseline: RunRecord, others: Sequence[RunRecord], metric: str = "NDCG@10") -> list[Tested]:
    """Each of ``others`` against ``baseline``: one family, Holm-corrected together, in the order given.

    Raises:
        UsageError: as ``compare_records``.
    """
    comparisons = [compare_records(other, baseline, metric) for other in others]
    adjusted = holm([comparison.p for comparison in comparisons])
    return [Tested(comparison, float(p)) for comparison, p in zip(comparisons, adjusted, strict=True)]


def rows_of(
    comparison: Comparison, name_a: str = "A", name_b: str = "B", p_holm: float | None = None, family: int = 1
) -> list[tuple[str, str]]:
    """A comparison as (label, text) lines, rounded for reading.

    Args:
        comparison: what to show.
        name_a, name_b: what to call the two.
        p_holm: p corrected over the declared family; None: the comparison stands alone, p is its own.
        family: number of comparisons declared together.
    """
    c = comparison
    low, high = c.interval
    wide_low, wide_high = c.interval_two_level
    corrected = c.p if p_holm is None else p_holm
    verdict = "different" if corrected <= ALPHA else "no difference shown"
    return [
        (f"{c.metric} of {name_a}", f"{c.mean_a:.4f}{_spread(c.sd_a)} over {_seeds(c.seeds_a)}"),
        (f"{c.metric} of {name_b}", f"{c.mean_b:.4f}{_spread(c.sd_b)} over {_seeds(c.seeds_b)}"),
        ("difference", f"{c.difference:+.4f}"),
        ("relative difference", "undefined" if math.isnan(c.relative) else f"{c.relative:+.1%}"),
        ("95 % interval (users)", f"{low:+.4f} to {high:+.4f}"),
        ("95 % interval (users and seeds)", f"{wide_low:+.4f} to {wide_high:+.4f}"),
        ("permutation p", f"{p_text(c.p)} (two-sided, whole users flipped)"),
        ("p after Holm", f"{p_text(corrected)} ({family} comparison{'' if family == 1 else 's'} declared): {verdict}"),
        ("effect size d_z", "undefined" if math.isnan(c.effect) else f"{c.effect:+.2f}"),
        ("users won, tied, lost", f"{c.wins:,}, {c.ties:,}, {c.losses:,}"),
        ("test set", f"{c.n_cases:,} cases of {c.n_users:,} users"),
        ("detectable difference", f"{c.detectable:.4f} (80 % power at alpha .05)"),
    ]


def p_text(p: float) -> str:
    """A p-value for reading: three decimals, and never 0."""
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def _spread(sd: float | None) -> str:
    return "" if sd is None else f" ± {sd:.4f}"


def _seeds(seeds: tuple[int, ...]) -> str:
    return f"seed{'' if len(seeds) == 1 else 's'} {', '.join(map(str, seeds))}"


def _test_set(record: RunRecord) -> str:
    note = f", {record.cases.label}" if record.cases.label else ""
    return f"{record.dataset.name}, {len(record.cases.users):,} cases{note}"
