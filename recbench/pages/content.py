"""What a page says, as blocks that markdown and HTML render alike. The only place where numbers are rounded."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from recbench.evaluation import METRICS
from recbench.pages.compare import ALPHA, Tested, p_text
from recbench.pages.rows import METRIC, Row, Section, sections
from recbench.results import RunRecord
from recbench.stats.compare import RESAMPLES

NONE = "–"


@dataclass(frozen=True)
class Heading:
    """A title; level 1 is the page's."""

    level: int
    text: str


@dataclass(frozen=True)
class Paragraph:
    """Running text."""

    text: str


@dataclass(frozen=True)
class Bullets:
    """A list of short texts."""

    items: tuple[str, ...]


@dataclass(frozen=True)
class Table:
    """A header and rows of cells, all text; the first ``words`` columns are words, the others numbers."""

    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    words: int


@dataclass(frozen=True)
class Code:
    """Commands to copy."""

    text: str


Block = Heading | Paragraph | Bullets | Table | Code

READING = (
    "Each number is the mean over all test cases (one case: a history and the one item that followed it), averaged "
    "over seeds; ± is the sample standard deviation over seeds, absent where a method has one seed. A trained row's "
    "epoch was chosen on validation windows; every row's budget stands under Cost. Which row is best was picked on "
    "this test set itself, so its lead is flattered; read the intervals, not the order."
)


def page_content(records: Sequence[RunRecord]) -> list[Block]:
    """The blocks of the page of one data set.

    Args:
        records: all of one data set, in any order; at least one.
    """
    records = sorted(records, key=lambda record: record.run)
    blocks: list[Block] = [Heading(1, records[0].dataset.label), Paragraph(READING)]
    for section in sections(records):
        blocks += _section_blocks(section)
    sources = sorted({f"{name}: {digest}" for r in records for name, digest in r.dataset.sources.items()})
    if sources:
        blocks += [Heading(2, "Data"), Paragraph("sha256 of the files read."), Bullets(tuple(sources))]
    return blocks


def _section_blocks(section: Section) -> list[Block]:
    rows = section.rows
    note = f" ({section.label})" if section.label else ""
    blocks: list[Block] = [
        Heading(2, f"Test set: {section.n_cases:,} cases of {section.n_users:,} users{note}"),
        Paragraph(_explanation(section)),
    ]
    if policies := _by_value(rows, lambda row: row.record.policies):
        blocks.append(Bullets(policies))
    blocks.append(_results(section))
    if len(rows) > 1:
        blocks += [Heading(3, "Comparisons"), Paragraph(_method(section)), _comparisons(section)]
    blocks += [
        Heading(3, "Cost"),
        Paragraph(
            "Training and decoding: mean wall-clock time a seed. A part taken from the store counts with the time "
            "that it took when it was made. Memory: the largest resident set over seeds."
        ),
        _costs(rows),
        Heading(3, "Run it again"),
        Code("\n".join(f"# {row.rank}. {_name(row)}\n{row.record.command}" for row in rows)),
    ]
    return blocks


def _explanation(section: Section) -> str:
    text = (
        f"▲ and ▼: significantly better or worse than the best row, and than the best row without a language model "
        f"(traditional), on {METRIC} at {ALPHA:.2f} after Holm; = no difference shown; {NONE} the row itself or "
        f"nothing to compare with. Cold: the {section.n_cold:,} cases whose target is in no training "
        f"window (rows trained on a sample see fewer items still); warm: the others. "
        f"Invalid: share of generated titles that are no item of the catalogue, before grounding."
    )
    if (best := section.best_traditional) is not None:
        return f"{text} The best traditional row is {best.rank}, {_name(best)}."
    return f"{text} There is no traditional row yet."


def _method(section: Section) -> str:
    best = sum(row.best is not None for row in section.rows)
    traditional = sum(row.traditional is not None for row in section.rows)
    same = section.best_traditional is section.rows[0]
    families = (
        f"{best} comparisons, one family, since the best row is the best traditional one"
        if same
        else f"{best} comparisons with the best row and {traditional} with the best traditional row, two families"
    )
    return (
        f"One test was declared: {METRIC}, two-sided permutation by flipping the sign of a user's whole summed "
        f"difference ({RESAMPLES:,} draws, all patterns where there are fewer), the metric averaged over seeds first. "
        f"The unit is the user, {section.n_users:,} of them, not the case. p is corrected by Holm within each family: "
        f"{families}. Intervals: 95 %, bootstrap of users; the second also resamples seeds. Detectable: the smallest "
        f"difference found with 80 % power."
    )


def _results(section: Section) -> Table:
    header = ("#", "Method", "Loss", "Decoder", "LM", "Seeds", *METRICS, "vs best", "vs best traditional")
    rows = tuple(
        (
            str(row.rank),
            row.record.labels.method,
            row.record.labels.loss or NONE,
            row.record.labels.decoder or NONE,
            row.record.labels.llm or NONE,
            str(len(row.record.seeds)),
            *(_with_spread(*row.metrics[name]) for name in METRICS),
            *marks(row),
            _number(row.cold),
            _number(row.warm),
            NONE if row.invalid_share is None else f"{row.invalid_share:.1%}",
        )
        for row in section.rows
    )
    return Table((*header, f"cold {METRIC}", f"warm {METRIC}", "invalid"), rows, words=5)


def _comparisons(section: Section) -> Table:
    header = ("Row", "Against", "Difference", "Relative", "95 % users", "95 % users and seeds", "p", "p Holm", "d_z")
    best, traditional = section.rows[0], section.best_traditional
    lines = []
    for row in section.rows:
        pairs = [(row.best, best)]
        if traditional is not None and traditional is not best:
            pairs.append((row.traditional, traditional))
        for tested, other in pairs:
            if tested is None:
                continue
            c = tested.comparison
            lines.append(
                (
                    f"{row.rank}. {_name(row)}",
                    f"{other.rank}. {_name(other)}",
                    f"{c.difference:+.4f}",
                    f"{c.relative:+.1%}" if c.mean_b else NONE,
                    f"{c.interval[0]:+.4f} to {c.interval[1]:+.4f}",
                    f"{c.interval_two_level[0]:+.4f} to {c.interval_two_level[1]:+.4f}",
                    p_text(c.p),
                    p_text(tested.p_holm),
                    f"{c.effect:+.2f}",
                    f"{c.wins:,} / {c.ties:,} / {c.losses:,}",
                    f"{c.detectable:.4f}",
                )
            )
    return Table((*header, "users won / tied / lost", "detectable"), tuple(lines), words=2)


def _costs(rows: tuple[Row, ...]) -> Table:
    header = ("#", "Method", "Device", "Budget", "Version", "Training", "Decoding", "Peak memory")
    lines = []
    for row in rows:
        environments = [seed.environment for seed in row.record.seeds]
        budget = "; ".join(f"{name}: {text}" for name, text in sorted(row.record.budget.items()))
        lines.append(
            (
                str(row.rank),
                _name(row),
                _distinct([str(e.get("device", "")) for e in environments]),
                budget or NONE,
                _distinct([_version(e) for e in environments]),
                NONE if row.training is None else f"{row.training:,.0f} s",
                NONE if row.decoding is None else f"{row.decoding:,.0f} s",
                NONE if row.peak_memory is None else f"{row.peak_memory / 2**30:.1f} GiB",
            )
        )
    return Table(header, tuple(lines), words=5)


def _by_value(rows: tuple[Row, ...], texts: Callable[[Row], dict[str, str]]) -> tuple[str, ...]:
    """``name: text`` lines over rows, with the rows' numbers where not all rows say the same."""
    found: dict[str, list[int]] = {}
    for row in rows:
        for name, text in texts(row).items():
            found.setdefault(f"{name}: {text}", []).append(row.rank)
    return tuple(
        line if len(ranks) == len(rows) else f"{line} (rows {', '.join(map(str, ranks))})"
        for line, ranks in sorted(found.items())
    )


def _name(row: Row) -> str:
    labels = row.record.labels
    return " + ".join(part for part in (labels.method, labels.loss, labels.decoder) if part)


def _version(environment: dict[str, object]) -> str:
    commit = environment.get("git_commit")
    changed = "+changes" if environment.get("git_dirty") else ""
    return str(environment.get("recbench", "")) + (f" ({str(commit)[:8]}{changed})" if commit else "")


def _distinct(texts: list[str]) -> str:
    return ", ".join(dict.fromkeys(text for text in texts if text)) or NONE


def _with_spread(mean: float, sd: float | None) -> str:
    return _number(mean) if sd is None else f"{mean:.4f} ± {sd:.4f}"


def _number(value: float | None) -> str:
    return NONE if value is None else f"{value:.4f}"


def marks(row: Row) -> tuple[str, str]:
    """The row's marks against the best row and the best traditional row."""
    return _mark(row.best), _mark(row.traditional)


def _mark(tested: Tested | None) -> str:
    if tested is None:
        return NONE
    if tested.p_holm > ALPHA:
        return "="
    return "▲" if tested.comparison.difference > 0 else "▼"
