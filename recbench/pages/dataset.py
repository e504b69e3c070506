"""What the page of a data set says, as blocks."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from recbench.evaluation import Metric, metrics
from recbench.pages.blocks import NONE, Block, Bullets, Code, Heading, Paragraph, Table, figure
from recbench.pages.code import code_text, other_code, other_data
from recbench.pages.compare import Tested, counted, interval, number, p_text
from recbench.pages.costs import costs, name_of
from recbench.pages.records import command_of
from recbench.pages.rows import ALIKE, METRIC, Row, Section, sections
from recbench.pages.slices import part_blocks
from recbench.pages.training import footnote, label
from recbench.results import RunRecord
from recbench.stats.compare import ALPHA
from recbench.stats.ranking import SEEDS

READING = (
    "Each number is the mean over all test cases (one case: a history and the one item that followed it), averaged "
    "over seeds; ± is the sample standard deviation over seeds, absent where a method has one seed. A trained row's "
    "epoch was chosen on validation windows; every row's budget is under Cost. The best row was picked on this test "
    "set, so its lead is overstated; read the intervals, not the order."
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
        blocks += [Paragraph(f"{said}.") for said in other_data([(record.run, record) for record in records])]
    return blocks


def _section_blocks(section: Section) -> list[Block]:
    rows = section.rows
    note = f" ({section.label})" if section.label else ""
    sharp = "" if math.isnan(section.resolution) else f", resolution {section.resolution:.4f}"
    blocks: list[Block] = [
        Heading(2, f"Test set: {counted(section.n_cases, 'case')} of {counted(section.n_users, 'user')}{note}{sharp}"),
        Paragraph(_explanation(section)),
    ]
    if len(rows) > 1:
        blocks.append(Paragraph(_order(section)))
    if policies := _by_value(rows, lambda row: row.record.policies):
        blocks.append(Bullets(policies))
    blocks += [_results(section), *_late(section)]
    named = [((str(row.rank), name_of(row)), row.parts) for row in rows]
    blocks += part_blocks(3, section.parts, section.slices, ("#", "Method"), named)
    blocks += _beyond_ranks(rows)
    if len(rows) > 1:
        blocks += [Heading(3, "Comparisons"), Paragraph(_method(section)), _comparisons(section)]
    blocks += [
        Heading(3, "Cost"),
        Paragraph(
            "Training and decoding: median wall-clock time per seed, comparable where the machine was equally busy. "
            "A step taken from the store counts with its build time. Memory: the largest resident set over seeds."
        ),
        costs(rows),
        *_code(rows),
        *_made_by(rows),
        Heading(3, "Run it again"),
        Code(tuple(line for row in rows for line in (f"# {row.rank}. {name_of(row)}", command_of(row.record)))),
    ]
    return blocks


def _explanation(section: Section) -> str:
    text = (
        f"▲ and ▼: better or worse than the best row, and than the best row without a language model (traditional), on "
        f"{METRIC}: p below {ALPHA:.2f} after Holm, and an interval over users and seeds without 0; = no difference "
        f"shown; {NONE} the row itself or nothing to compare with. By user: the mean over users, each with the "
        f"same weight. Invalid: share of generated titles that are not in the catalogue, before grounding. With one "
        f"relevant item per case, MAP equals MRR and recall equals the hit rate (HR)."
    )
    if (best := section.best_traditional) is not None:
        return f"{text} The best traditional row is {best.rank}, {name_of(best)}."
    return f"{text} There is no traditional row yet."


def _order(section: Section) -> str:
    """What the order of the rows is worth."""
    if section.alike:
        return ALIKE
    kept = section.stability
    halves = [f"{kept.users:.0%} of random halves of the users"] if kept.users is not None else []
    seeds = [f"{kept.seeds:.0%} of draws of every row's seeds"] if kept.seeds is not None else []
    sharp = (
        ""
        if math.isnan(section.resolution)
        else f" Resolution: the smallest true difference in {METRIC} that this test set shows with 80 % power between "
        f"two typical rows with {SEEDS} seeds each, in one planned comparison."
    )
    return (
        "Place: from the top down, a row joins the group above it unless the marks show that it differs from a row of "
        "that group; then it opens the next group. No two rows that share a place are shown to differ. Rows with "
        "different places may still not differ. "
        f"Row 1 stays first in {' and '.join([*halves, *seeds]) or 'the one draw there is'}.{sharp}"
    )


def _method(section: Section) -> str:
    return (
        f"One quantity is tested, {METRIC} as the mean over cases: p by two-sided permutation, flipping the sign of a "
        f"user's whole summed difference, the metric averaged over seeds first. The unit is the user, "
        f"{section.n_users:,} of them, not the case. p applies to these seeds only; the second interval and the second "
        "p also cover other seeds; a row with one seed is taken as fixed. "
        f"Holm corrects the larger p over the {counted(section.pairs, 'pair')} of rows, one family, which also "
        "accounts for picking the best row here. Intervals: 95 % for each pair by itself, bootstrap of users, and of "
        "users and seeds. d_z: the mean of the users' summed differences, the "
        "sums that the test flips, divided by their standard deviation. By user: the difference of the means over "
        "users, and its own p, uncorrected."
    )


def _shown(rows: tuple[Row, ...], of_ranks: bool) -> list[Metric]:
    return [m for m in metrics() if m.of_ranks == of_ranks and any(m.name in row.metrics for row in rows)]


def _results(section: Section) -> Table:
    shown = _shown(section.rows, of_ranks=True)
    names = [name for m in shown for name in ([m.name, f"{m.name} by user"] if m.name == METRIC else [m.name])]
    header = (
        "#",
        "Method",
        "Loss",
        "Decoder",
        "LM",
        "Seeds",
        "Place",
        *names,
        "vs best",
        "vs best traditional",
        "invalid",
    )
    rows = tuple(
        (
            str(row.rank),
            label(row.record.labels.method, row.record),
            row.record.labels.loss or NONE,
            row.record.labels.decoder or NONE,
            row.record.labels.llm or NONE,
            str(len(row.record.seeds)),
            str(row.place),
            *(cell for m in shown for cell in _cells(row, m.name)),
            *marks(row),
            NONE if row.invalid_share is None else f"{row.invalid_share:.1%}",
        )
        for row in section.rows
    )
    return Table(header, rows, words=5)


def _late(section: Section) -> list[Block]:
    """Which rows' best epoch is their last."""
    said = footnote([(f"row {row.rank}", row.record) for row in section.rows])
    return [Paragraph(said)] if said else []


def _cells(row: Row, name: str) -> list[str]:
    """A metric's cell; next to the declared one, its mean over users."""
    return [_with_spread(row.metrics.get(name)), *([figure(row.by_user)] if name == METRIC else [])]


def _beyond_ranks(rows: tuple[Row, ...]) -> list[Block]:
    """Metrics of the lists themselves, where some row has kept its lists."""
    shown = _shown(rows, of_ranks=False)
    if not shown:
        return []
    lines = tuple(
        (str(row.rank), name_of(row), *(_with_spread(row.metrics.get(m.name)) for m in shown)) for row in rows
    )
    return [
        Heading(3, "What is recommended"),
        Bullets(tuple(f"{m.name}: {m.plugin.summary}" for m in shown)),
        Table(("#", "Method", *(m.name for m in shown)), lines, words=2),
    ]


def _comparisons(section: Section) -> Table:
    header = (
        "Row",
        "Against",
        "Difference",
        "Relative",
        "95 % users",
        "95 % users and seeds",
        "p",
        "p users and seeds",
    )
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
                    f"{row.rank}. {name_of(row)}",
                    f"{other.rank}. {name_of(other)}",
                    f"{c.difference:+.4f}",
                    number(c.relative, "+.1%", NONE),
                    interval(c.interval, NONE),
                    interval(c.interval_two_level, NONE),
                    p_text(c.p),
                    p_text(c.p_two_level),
                    p_text(tested.p_holm),
                    number(c.effect, "+.2f", NONE),
                    f"{c.by_user:+.4f} ({p_text(c.p_by_user)})",
                    f"{c.wins:,} / {c.ties:,} / {c.losses:,}",
                )
            )
    return Table((*header, "p Holm", "d_z", "by user (p)", "users won / tied / lost"), tuple(lines), words=2)


def _code(rows: tuple[Row, ...]) -> list[Block]:
    """What made each row, and where rows are not comparable as code."""
    if not any(row.record.plugins for row in rows):
        return []
    lines = tuple(
        (str(row.rank), name_of(row), "; ".join(map(code_text, row.record.plugins)) or "not recorded (format 1)")
        for row in rows
    )
    differing = other_code([(f"row {row.rank}", row.record) for row in rows])
    return [
        Heading(3, "Code"),
        Paragraph("The plugins that made each row. All seeds of a row were made by the same code."),
        Table(("#", "Method", "Plugins"), lines, words=3),
        *([Bullets(tuple(differing))] if differing else []),
    ]


def _made_by(rows: tuple[Row, ...]) -> list[Block]:
    """Who made the rows, where they say so, and which lists other code made."""
    said = []
    for row in rows:
        record, words = row.record, []
        if record.author:
            words.append(f"by {record.author}")
        if record.external:
            files = {str(seed.environment.get("rankings")): seed.environment.get("sha256") for seed in record.seeds}
            listed = ", ".join(f"{name} (sha256 {digest})" for name, digest in files.items())
            words.append(f"external: lists from other code, {listed}, evaluated here; recbench cannot run it again")
        if words:
            said.append(f"{row.rank}. {name_of(row)}: {'; '.join(words)}")
    return [Heading(3, "Made by"), Bullets(tuple(said))] if said else []


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


def _with_spread(found: tuple[float, float | None] | None) -> str:
    if found is None:
        return NONE
    mean, sd = found
    return figure(mean) if sd is None else f"{figure(mean)} ± {figure(sd)}"


def marks(row: Row) -> tuple[str, str]:
    """The row's marks against the best row and the best traditional row."""
    return mark(row.best), mark(row.traditional)


def mark(tested: Tested | None) -> str:
    """▲ for a row shown to be better, ▼ for one shown to be worse, = for neither; a dash without a test."""
    if tested is None:
        return NONE
    if not tested.differs:
        return "="
    return "▲" if tested.comparison.difference > 0 else "▼"
