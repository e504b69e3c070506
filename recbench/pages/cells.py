"""A suite's cells as tables in the paper's layout: what was measured, and what was published."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence

from recbench.evaluation import metric
from recbench.pages.blocks import NONE, Block, Paragraph, Table, emphasis
from recbench.pages.compare import Tested, number
from recbench.pages.rows import METRIC
from recbench.pages.training import footnote, label
from recbench.results import RunRecord
from recbench.suites import Comparison, Control, Suite

METRICS = ("NDCG@5", METRIC, "HR@5", "HR@10")  # the columns of the paper's Table 5
MARK = "*"


def difference(tested: Tested) -> str:
    """A minus B, marked where it is shown."""
    return f"{tested.comparison.difference:+.4f}" + f" {MARK}" * tested.differs


def measured(suite: Suite, records: Mapping[str, RunRecord], controlled: Mapping[Control, Tested]) -> list[Block]:
    """Every cell with its metrics; below a method its improvement row and its controls.

    Args:
        suite: the suite.
        records: by cell name; those that fit.
        controlled: the test of each control that can be made.
    """
    return _Measured(suite, records, controlled).blocks()


class _Measured:
    def __init__(self, suite: Suite, records: Mapping[str, RunRecord], controlled: Mapping[Control, Tested]) -> None:
        self.suite, self.records, self.controlled = suite, records, controlled
        self.chosen = {cell.name: cell.grid["decoder"] for cell in suite.cells if "decoder" in cell.grid}

    def blocks(self) -> list[Block]:
        """The table and its notes."""
        head = ["cell", *(["decoder"] if self.chosen else []), "seeds", *METRICS, f"sd of {METRIC}", "sd / mean"]
        head += ["method - control"] if self.suite.controls else []
        rows = [(row + [""] * len(head))[: len(head)] for row in self._rows()]
        notes = [
            footnote([(cell.name, self.records[cell.name]) for cell in self.suite.cells if cell.name in self.records])
        ]
        if self.chosen:
            options = ", ".join(dict.fromkeys(str(name) for names in self.chosen.values() for name in names))
            notes.append(
                f"A decoder with a count, as in (of 2), is the one of {options} that ranked the validation sample "
                "better."
            )
        if any(comparison.improvement for comparison in self.suite.comparisons):
            notes.append(
                "An improvement row takes the best of the named rows in each column, as the paper does; the tests of "
                "each pair are under Comparisons."
            )
        if self.suite.controls:
            notes.append(
                f"A control is the method above it without its idea. {MARK}: p (Holm) below .05 and an interval over "
                "users and seeds without 0; without it, no difference is shown."
            )
        words = 2 if self.chosen else 1
        place = words + 1  # of the first metric
        values = {column: [_value(row[column]) for row in rows] for column in range(place, place + len(METRICS))}
        table = Table(tuple(head), tuple(map(tuple, rows)), words, emphasis(values))
        return [table, *(Paragraph(note) for note in notes if note)]

    def _rows(self) -> Iterator[list[str]]:
        compared = {name for c in self.suite.comparisons for name in (c.of, *c.over)}
        below = {c.cell for c in self.suite.controls} - self.suite.published.keys() - compared
        for cell in self.suite.cells:
            if cell.name in below:
                continue
            yield self._row(cell.name, cell.name)
            for comparison in self.suite.comparisons:
                if comparison.of == cell.name and (row := self._improvement(comparison)):
                    yield row
            for control in self.suite.controls:
                if control.of == cell.name:
                    yield self._control(control)

    def _row(self, name: str, called: str) -> list[str]:
        record = self.records.get(name)
        if record is None:
            return [called, *([""] if self.chosen else []), "not run"]
        means = {m: metric(m).by_seed(record.case_results()) for m in METRICS}
        values = means[METRIC]
        sd = float(values.std(ddof=1)) if len(values) > 1 else math.nan
        share = f"{sd / values.mean():.1%}" if len(values) > 1 and values.mean() else NONE
        decoder = record.labels.decoder + (f" (of {len(self.chosen[name])})" if name in self.chosen else "")
        return [
            label(called, record),
            *([decoder] if self.chosen else []),
            str(len(values)),
            *(f"{means[m].mean():.4f}" for m in METRICS),
            number(sd, ".4f", NONE),
            share,
        ]

    def _improvement(self, comparison: Comparison) -> list[str]:
        """The gain over the best of the others in each metric; nothing where a cell is missing."""
        if not comparison.improvement or not {comparison.of, *comparison.over} <= self.records.keys():
            return []
        gains = []
        for name in METRICS:
            means = [
                float(metric(name).by_seed(self.records[cell].case_results()).mean())
                for cell in (comparison.of, *comparison.over)
            ]
            gains.append(gain(means[0], means[1:]))
        return [improved_over(comparison), *([""] if self.chosen else []), "", *gains]

    def _control(self, control: Control) -> list[str]:
        row = self._row(control.cell, f"control, without {control.without}: {control.cell}")
        tested = self.controlled.get(control)
        if tested is None:
            return row
        return [*row, difference(tested)]


def _value(cell: str) -> float | None:
    """What a cell of a metric's column says; None where it is a gain or empty."""
    return float(cell) if re.fullmatch(r"\d\.\d{4}", cell) else None


def improved_over(comparison: Comparison) -> str:
    """What an improvement row is called."""
    return f"improvement over {'the best of ' * (len(comparison.over) > 1)}{', '.join(comparison.over)}"


def gain(of: float, over: Sequence[float]) -> str:
    """The relative gain over the best of some numbers; a dash where that is 0 or one is missing."""
    best = max(over) if not any(map(math.isnan, over)) else math.nan
    return number(of / best - 1 if best else math.nan, "+.1%", NONE)


def published(suite: Suite) -> Table:
    """The paper's numbers in its own layout, the improvement rows computed from them."""
    datasets = list(dict.fromkeys(d for by in suite.published.values() for d in by))
    keys = {k for by in suite.published.values() for numbers in by.values() for k in numbers}
    metrics = [m for m in METRICS if m.lower() in keys]

    def value(cell: str, dataset: str, name: str) -> float:
        return suite.published.get(cell, {}).get(dataset, {}).get(name.lower(), math.nan)

    rows = []
    columns = [(d, m) for d in datasets for m in metrics]
    for cell in suite.cells:
        if cell.name not in suite.published:
            continue
        rows.append((cell.name, *(_with_sd(suite.published[cell.name].get(d, {}), m) for d, m in columns)))
        for c in suite.comparisons:
            if c.of == cell.name and c.improvement:
                gains = [gain(value(c.of, d, m), [value(o, d, m) for o in c.over]) for d, m in columns]
                rows.append((improved_over(c), *gains))
    return Table(("cell", *(f"{d} {m}" for d, m in columns)), tuple(rows), words=1)


def _with_sd(numbers: Mapping[str, float], name: str) -> str:
    value, sd = numbers.get(name.lower(), math.nan), numbers.get("sd")
    if sd is None or name != METRIC or not value:
        return number(value, ".4f", NONE)
    return f"{value:.4f} ± {sd:.4f} ({sd / value:.1%})"
