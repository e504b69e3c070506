"""A data set's rows as one table for a paper, and as numbers for a program."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from recbench.errors import UsageError
from recbench.evaluation import metrics
from recbench.pages.blocks import NONE, Block, Paragraph, Table, emphasis, figure
from recbench.pages.compare import Tested, counted, every_pair
from recbench.pages.costs import name_of
from recbench.pages.dataset import mark
from recbench.pages.rows import METRIC, Row, Section, sections
from recbench.results import RunRecord
from recbench.stats.compare import ALPHA

WORDS = ("method", "loss", "decoder", "LM")


@dataclass(frozen=True)
class Frame:
    """The rows on one set of test cases.

    Attributes:
        section: the rows.
        baseline: what the marks compare with; None where there is nothing to compare with.
        tests: each row minus the baseline, Holm-corrected over all pairs of rows; None for the baseline itself.
    """

    section: Section
    baseline: Row | None
    tests: tuple[Tested | None, ...]

    @property
    def columns(self) -> list[str]:
        """The metrics of ranks that every row has."""
        return [m.name for m in metrics() if m.of_ranks and all(m.name in row.metrics for row in self.section.rows)]


def frames(records: Sequence[RunRecord], baseline: str | None = None) -> list[Frame]:
    """The frames of one data set's records, one for each set of test cases.

    Args:
        records: in any order; at least one.
        baseline: the run that rows are marked against; by default the best row without a language model.

    Raises:
        UsageError: the run is not among the records.
    """
    made = [_frame(section, baseline) for section in sections(records)]
    if baseline is not None and all(row.record.run != baseline for frame in made for row in frame.section.rows):
        raise UsageError(f"The baseline {baseline} is not one of the rows.")
    return made


def _frame(section: Section, baseline: str | None) -> Frame:
    rows = section.rows
    if baseline is None:
        tested = tuple(row.traditional for row in rows)
        return Frame(section, section.best_traditional if any(tested) else None, tested)
    place = next((i for i, row in enumerate(rows) if row.record.run == baseline), None)
    if place is None:
        return Frame(section, None, (None,) * len(rows))
    after = [(i, place) for i in range(place + 1, len(rows))]
    tests = every_pair([row.record for row in rows], after, METRIC)
    return Frame(section, rows[place] if tests else None, tuple(tests.get((i, place)) for i in range(len(rows))))


def blocks(frame: Frame) -> list[Block]:
    """The table, its best figures marked, and what its marks mean."""
    rows, columns = frame.section.rows, frame.columns
    lines = []
    for row, tested in zip(rows, frame.tests, strict=True):
        labels = row.record.labels
        words = (labels.method, labels.loss or NONE, labels.decoder or NONE, labels.llm or NONE)
        shown = f" {mark(tested)}" if tested is not None and tested.differs else ""
        figures = (_spread(row, name) + (shown if name == METRIC else "") for name in columns)
        lines.append((*words, str(len(row.record.seeds)), *figures))
    first = len(WORDS) + 1
    values = {first + i: [row.metrics[name][0] for row in rows] for i, name in enumerate(columns)}
    return [
        Table((*WORDS, "seeds", *columns), tuple(lines), len(WORDS), emphasis(values)),
        Paragraph(note(frame)),
    ]


def note(frame: Frame) -> str:
    """What the table shows, for its caption."""
    section = frame.section
    about = (
        f"{section.rows[0].record.dataset.label}: {section.n_cases:,} test cases of {section.n_users:,} users"
        f"{f' ({section.label})' if section.label else ''}. Mean over cases and seeds ± sample standard deviation over "
        f"seeds{'; the best in bold, the second underlined' * (len(section.rows) > 1)}."
    )
    if frame.baseline is None:
        return about
    return (
        f"{about} ▲ and ▼: better or worse than {name_of(frame.baseline)} on {METRIC} (p below {ALPHA:.2f} after Holm "
        f"over the {counted(section.pairs, 'pair')} of rows, and a 95 % interval over users and seeds without 0)."
    )


def plain(frame: Frame) -> list[dict[str, Any]]:
    """The rows as JSON values, unrounded: an object each."""
    found = []
    for row, tested in zip(frame.section.rows, frame.tests, strict=True):
        record, labels = row.record, row.record.labels
        values: dict[str, Any] = {"run": record.run, "dataset": record.dataset.name, "cases": record.cases.digest[:12]}
        values |= {"rank": row.rank, "place": row.place}
        values |= dict(zip(WORDS, (labels.method, labels.loss, labels.decoder, labels.llm), strict=True))
        values |= {"external": record.external, "author": record.author, "seeds": len(record.seeds)}
        for name in frame.columns:
            values[name], values[f"{name} sd"] = row.metrics[name]
        values["baseline"] = frame.baseline.record.run if frame.baseline is not None else None
        c = tested.comparison if tested is not None else None
        values |= {
            f"{METRIC} difference": None if c is None else c.difference,
            "low": None if c is None else c.interval_two_level[0],
            "high": None if c is None else c.interval_two_level[1],
            "p (Holm)": None if tested is None else tested.p_holm,
            "mark": mark(tested) if tested is not None else "",
        }
        found.append(values)
    return found


def as_csv(rows: Sequence[dict[str, Any]]) -> str:
    """Rows of :func:`plain` as csv with a header; nothing where a value is missing."""
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, list(dict.fromkeys(name for row in rows for name in row)), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def _spread(row: Row, name: str) -> str:
    mean, sd = row.metrics[name]
    return figure(mean) if sd is None else f"{figure(mean)} ± {figure(sd)}"
