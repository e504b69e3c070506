"""Comparing records within the parts of a slice."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from recbench.errors import UsageError
from recbench.evaluation import parts_of
from recbench.pages.blocks import NONE
from recbench.pages.compare import Tested, checked, interval, p_text
from recbench.results import RunRecord
from recbench.stats import compare_all, holm


class PartTests(NamedTuple):
    """The comparisons within one part of a slice.

    Attributes:
        part: its name.
        n_cases, n_users: its size.
        tests: one for each pair, in their order; empty with fewer than two users, which allow no test over users.
    """

    part: str
    n_cases: int
    n_users: int
    tests: tuple[Tested, ...]


def by_part(pairs: Sequence[tuple[RunRecord, RunRecord]], slice_name: str, metric: str = "NDCG@10") -> list[PartTests]:
    """A minus B for each pair within each part of a slice: one family, Holm-corrected over parts and pairs.

    What a part holds follows from the data alone, so a part without a test adds nothing to the family.

    Args:
        pairs: (A, B), all of one test set; at least one.
        slice_name: as in ``recbench list slices``.
        metric: its name.

    Raises:
        UsageError: an unknown slice, one that a record does not allow or that divides the cases of two records
            differently; else as :func:`compare_records`.
        RecbenchError: the slice's own code fails.
    """
    records = list({id(record): record for pair in pairs for record in pair}.values())
    position = {id(record): i for i, record in enumerate(records)}
    places = [(position[id(a)], position[id(b)]) for a, b in pairs]
    chosen, results = checked(records, places, metric)
    parts = [parts_of(slice_name, found) for found in results]
    for record, found in zip(records, parts, strict=True):
        if not found:
            raise UsageError(f"{record.run}: its record does not hold what the slice {slice_name} needs.")
        if found.keys() != parts[0].keys() or any((found[name] != parts[0][name]).any() for name in found):
            raise UsageError(
                f"The slice {slice_name} divides the cases of {records[0].run} and {record.run} differently."
            )
    users = {name: len({*results[0].users[mask].tolist()}) for name, mask in parts[0].items()}
    compared = {
        name: compare_all([found.take(mask) for found in results], chosen.values, metric, places)
        for name, mask in parts[0].items()
        if users[name] > 1
    }
    adjusted = iter(holm([c.p_claim for comparisons in compared.values() for c in comparisons]).tolist())
    return [
        PartTests(name, int(mask.sum()), users[name], tuple(Tested(c, next(adjusted)) for c in compared.get(name, ())))
        for name, mask in parts[0].items()
    ]


def part_rows(found: Sequence[PartTests], pair: int, name_b: str) -> list[tuple[str, ...]]:
    """One pair's comparisons within the parts of a slice as a header and a row for each part, rounded for reading.

    Args:
        found: as :func:`by_part` returns it.
        pair: which of its pairs.
        name_b: what to call B.
    """
    sizes = ("part", "cases", "users", "A", name_b, f"A minus {name_b}", "95 %, users and seeds")
    rows: list[tuple[str, ...]] = [(*sizes, "p", "p (seeds)", "Holm", "different")]
    for part in found:
        size = (part.part, f"{part.n_cases:,}", f"{part.n_users:,}")
        if not part.tests:
            rows.append((*size, *[NONE] * 7, "no test"))
            continue
        c, p_holm = part.tests[pair]
        values = (f"{c.mean_a:.4f}", f"{c.mean_b:.4f}", f"{c.difference:+.4f}", interval(c.interval_two_level))
        shown = "yes" if c.differs(p_holm) else "not shown"
        rows.append((*size, *values, p_text(c.p), p_text(c.p_two_level), p_text(p_holm), shown))
    return rows
