"""Comparing records, and a comparison as lines to read."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import NamedTuple

from recbench.errors import UsageError
from recbench.evaluation import Metric
from recbench.evaluation import metric as metric_of
from recbench.results import RunRecord
from recbench.stats import Comparison, compare_all, holm
from recbench.types import CaseResults

Pair = tuple[int, int]


class Tested(NamedTuple):
    """A comparison and its p-value, Holm-corrected over the family it was declared in."""

    comparison: Comparison
    p_holm: float  # of ``comparison.p_claim``

    @property
    def differs(self) -> bool:
        """Whether a difference is shown: p (Holm) below .05, and an interval over users and seeds without 0."""
        return self.comparison.differs(self.p_holm)


def compare_records(a: RunRecord, b: RunRecord, metric: str = "NDCG@10") -> Comparison:
    """A minus B on one metric; see ``recbench.stats.compare``.

    Raises:
        UsageError: an unknown metric, one that a record does not allow or that has no value for each case, or the two
            were evaluated on different test cases.
    """
    return _compared([a, b], [(0, 1)], metric)[0]


def family(pairs: Sequence[tuple[RunRecord, RunRecord]], metric: str = "NDCG@10", declared: int = 0) -> list[Tested]:
    """A minus B for each pair: one family, Holm-corrected together, in the order given.

    Args:
        pairs: (A, B), those that can be compared.
        metric: its name.
        declared: size of the family where more was declared than can be compared yet: a missing p could be 1.

    Raises:
        UsageError: as :func:`compare_records`.
    """
    records = list({id(record): record for pair in pairs for record in pair}.values())
    position = {id(record): i for i, record in enumerate(records)}
    comparisons = _compared(records, [(position[id(a)], position[id(b)]) for a, b in pairs], metric)
    missing = max(declared - len(pairs), 0)
    adjusted = holm([c.p_claim for c in comparisons] + [1.0] * missing)[: len(pairs)]
    return [Tested(comparison, float(p)) for comparison, p in zip(comparisons, adjusted, strict=True)]


def every_pair(records: Sequence[RunRecord], shown: Sequence[Pair] = (), metric: str = "NDCG@10") -> dict[Pair, Tested]:
    """Each record minus every later one: one family, Holm-corrected over all pairs, whichever are looked at.

    Args:
        records: of one test set.
        shown: further (A, B) to have, as positions in ``records``, with A after B; they add nothing to the family.
        metric: its name.

    Raises:
        UsageError: as :func:`compare_records`.
    """
    pairs = list(itertools.combinations(range(len(records)), 2))
    wanted = [*pairs, *(pair for pair in shown if pair not in pairs)]
    comparisons = dict(zip(wanted, _compared(records, wanted, metric), strict=True))
    adjusted = dict(zip(pairs, holm([comparisons[pair].p_claim for pair in pairs]).tolist(), strict=True))
    return {(a, b): Tested(c, adjusted[min(a, b), max(a, b)]) for (a, b), c in comparisons.items()}


def _compared(records: Sequence[RunRecord], pairs: Sequence[Pair], metric: str) -> list[Comparison]:
    chosen, results = checked(records, pairs, metric)
    return compare_all(results, chosen.values, metric, pairs) if pairs else []


def checked(records: Sequence[RunRecord], pairs: Sequence[Pair], metric: str) -> tuple[Metric, list[CaseResults]]:
    """The metric and the records' results, once each pair is known to be comparable on it.

    Args:
        records: all that are compared.
        pairs: (A, B) as positions in ``records``.
        metric: its name.

    Raises:
        UsageError: as :func:`compare_records`.
    """
    chosen, results = metric_of(metric), [record.case_results() for record in records]
    for i, j in pairs:
        a, b = records[i], records[j]
        if a.cases.digest != b.cases.digest:
            raise UsageError(
                f"{a.run} ({_test_set(a)}) and {b.run} ({_test_set(b)}) were evaluated on different test cases; "
                "compare runs of one test set"
            )
        if a.dataset.name != b.dataset.name and set(a.dataset.sources.values()) != set(b.dataset.sources.values()):
            raise UsageError(
                f"{a.run} and {b.run} have the same test cases by number, but read other files: {a.dataset.name} and "
                f"{b.dataset.name} are not the same data"
            )
        for place in (i, j):
            if objection := chosen.objection(results[place]):
                raise UsageError(f"{records[place].run}: {objection}.")
    return chosen, results


def rows_of(
    comparison: Comparison, name_a: str = "A", name_b: str = "B", p_holm: float | None = None, family: int = 1
) -> list[tuple[str, str]]:
    """A comparison as (label, text) lines, rounded for reading.

    Args:
        comparison: what to show.
        name_a, name_b: what to call the two.
        p_holm: p corrected over the declared family; None: the comparison stands alone.
        family: number of comparisons declared together.
    """
    c = comparison
    corrected = c.p_claim if p_holm is None else p_holm
    verdict = "different" if c.differs(corrected) else "no difference shown"
    return [
        (f"{c.metric} of {name_a}", f"{c.mean_a:.4f}{_spread(c.sd_a)} over {_seeds(c.seeds_a)}"),
        (f"{c.metric} of {name_b}", f"{c.mean_b:.4f}{_spread(c.sd_b)} over {_seeds(c.seeds_b)}"),
        (f"{name_a} minus {name_b}", f"{c.difference:+.4f}"),
        ("relative difference", number(c.relative, "+.1%")),
        ("95 % interval (users)", interval(c.interval)),
        ("95 % interval (users and seeds)", interval(c.interval_two_level)),
        ("permutation p", f"{p_text(c.p)} (two-sided, whole users flipped, for these seeds)"),
        ("p over users and seeds", f"{p_text(c.p_two_level)} (two-sided, {_covered(c, name_a, name_b)})"),
        ("p after Holm", f"{p_text(corrected)} (larger p; {counted(family, 'comparison')} declared)"),
        ("verdict", f"{verdict} (by p after Holm and the second interval)"),
        ("effect size d_z", number(c.effect, "+.2f")),
        ("difference by user", f"{c.by_user:+.4f} (every user alike; permutation p {p_text(c.p_by_user)})"),
        (f"users higher, equal, lower in {name_a}", f"{c.wins:,}, {c.ties:,}, {c.losses:,}"),
        ("test set", f"{counted(c.n_cases, 'case')} of {counted(c.n_users, 'user')}"),
        ("detectable difference", f"{number(c.detectable, '.4f')} (80 % power at alpha .05)"),
    ]


def p_text(p: float) -> str:
    """A p-value for reading: three decimals, and never 0; a fourth where three would hide the side of .05."""
    if p < 0.001:
        return "< 0.001"
    return f"{p:.4f}" if f"{p:.3f}" == "0.050" else f"{p:.3f}"


def number(value: float, form: str, none: str = "undefined") -> str:
    """A number for reading; ``none`` where there is none (one user, a mean of 0)."""
    return none if math.isnan(value) else f"{value:{form}}"


def interval(ends: tuple[float, float], none: str = "undefined") -> str:
    """An interval for reading; ``none`` with one user."""
    return none if math.isnan(ends[0]) else f"{ends[0]:+.4f} to {ends[1]:+.4f}"


def counted(n: int, word: str) -> str:
    """``1 comparison``, ``2 comparisons``."""
    return f"{n:,} {word}{'' if n == 1 else 's'}"


def _covered(c: Comparison, name_a: str, name_b: str) -> str:
    fixed = [name for name, seeds in ((name_a, c.seeds_a), (name_b, c.seeds_b)) if len(seeds) < 2]
    if len(fixed) == 2:
        return f"the seeds of {name_a} and {name_b} are taken as fixed"
    return f"the seed of {fixed[0]} is taken as fixed" if fixed else "for other seeds too"


def _spread(sd: float | None) -> str:
    return "" if sd is None else f" ± {sd:.4f}"


def _seeds(seeds: tuple[int, ...]) -> str:
    return f"seed{'' if len(seeds) == 1 else 's'} {', '.join(map(str, seeds))}"


def _test_set(record: RunRecord) -> str:
    options = record.spec["dataset"].get("options")
    protocol = options.get("protocol") if isinstance(options, dict) else None
    words = [record.dataset.name, *([f"protocol {protocol}"] if protocol else []), f"{len(record.cases.users):,} cases"]
    return ", ".join([*words, record.cases.label] if record.cases.label else words)
