"""What ``recbench run`` ends with: its figures by seed, how validation went, and the run's place among the others."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from math import ceil
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING

import click

from recbench.cli.text import columns
from recbench.errors import RecbenchError
from recbench.progress import duration

if TYPE_CHECKING:
    from recbench.results import RunRecord

BARS = "▁▂▃▄▅▆▇█"
WIDTH = 60  # bars of all seeds that are shown, at most
SHOWN = 5  # seeds whose figures stand in a row of 80 columns


def report(record: RunRecord, runs: Path) -> None:
    """Print a record's figures and rebuild the local page."""
    from recbench.cli.runs import build_page
    from recbench.experiment import RECORD
    from recbench.lookup import read_all

    records, broken = read_all(runs)
    _print_table(facts(record, records))
    click.echo()
    click.echo(columns(figures(record)))
    click.echo()
    click.echo(f"record: {runs / record.run / RECORD}")
    try:
        pages = build_page(runs, record.dataset.name, records)
    except RecbenchError as error:  # the record is safe: say so before failing
        raise RecbenchError(f"the run is recorded, but its page could not be built, since {error}") from error
    for sentence in broken:
        click.echo(f"recbench: left out of the page: {sentence}", err=True)
    click.echo("page:   " + "  ".join(map(str, pages)))


def facts(record: RunRecord, records: Iterable[RunRecord]) -> list[tuple[str, str]]:
    """What there is to say of a run next to its metrics."""
    rows = [("run", record.run), ("test cases", f"{len(record.cases.users):,} ({record.cases.label})")]
    invalid = [s.invalid_share for s in record.seeds if s.invalid_share is not None]
    if invalid:
        rows.append(("invalid titles", f"{sum(invalid) / len(invalid):.1%}"))
    if not record.external:
        from recbench.pages.rows import seconds_of

        training, decoding = seconds_of(record, "training") or 0.0, seconds_of(record, "decoding") or 0.0
        rows.append(("time per seed", f"training {duration(training)}, decoding {duration(decoding)}"))
    shown = record.seeds[:SHOWN]
    each = ceil(max(len(seed.validation) for seed in shown) / (WIDTH // len(shown))) or 1
    curves = [spark for seed in shown if (spark := sparkline(seed.validation, each))]
    if curves:
        best = ", ".join(str(seed.best_epoch) for seed in shown)
        more = ", …" * (len(record.seeds) > SHOWN)
        by = "by epoch" if each == 1 else f"{each} epochs a bar"
        rows.append(("validation", f"{'  '.join(curves)}  {by}; best: {best}{more}"))
    if place := standing(record, records):
        rows.append(("place", place))
    return rows


def figures(record: RunRecord) -> list[list[str]]:
    """Each metric: its mean and standard deviation over seeds, then its value for each seed, the first few of many."""
    from recbench.evaluation import seed_means
    from recbench.pages.blocks import figure

    seeds = [result.seed for result in record.seeds]
    many, named = len(seeds) > 1, len(seeds) > 1 or seeds[0] != 0
    head = [
        "metric",
        *(["mean ± sd"] if many else []),
        *(f"seed {seed}" if named else "value" for seed in seeds[:SHOWN]),
    ]
    rows = [head + ["…"] * (len(seeds) > SHOWN)]
    for name, means in seed_means(record.case_results()).items():
        over = [f"{figure(means.mean())} ± {figure(means.std(ddof=1))}"] if many else []
        rows.append([name, *over, *map(figure, means[:SHOWN]), *["…"] * (len(seeds) > SHOWN)])
    return rows


def sparkline(values: Sequence[float | None], each: int = 1) -> str:
    """A bar for the mean of every ``each`` values, the lowest and the highest bar at the ends of the scale.

    A dot where none of them is a number.

    Empty for fewer than two values, and where the terminal's encoding has no bars.
    """
    groups = [[v for v in values[at : at + each] if v is not None] for at in range(0, len(values), each)]
    means = [fmean(group) if group else None for group in groups]
    there = [mean for mean in means if mean is not None]
    try:
        BARS.encode(sys.stdout.encoding or "utf-8")
    except UnicodeEncodeError:
        return ""
    if len(values) < 2 or not there:
        return ""
    low, span = min(there), max(there) - min(there)
    last = len(BARS) - 1
    return "".join("·" if v is None else BARS[round((v - low) / span * last) if span else 0] for v in means)


def standing(record: RunRecord, records: Iterable[RunRecord]) -> str:
    """The run's place by NDCG@10 among those on the same test cases; empty where there is no other."""
    from recbench.evaluation import metric
    from recbench.pages.rows import METRIC

    rivals = [other for other in records if other.cases.digest == record.cases.digest and other.run != record.run]
    if not rivals or record.depth < 10:
        return ""
    score = {one.run: round(float(metric(METRIC).by_seed(one.case_results()).mean()), 12) for one in [record, *rivals]}
    best = max(score, key=lambda run: (score[run], run == record.run))
    place = 1 + sum(value > score[record.run] for value in score.values())
    first = "" if best == record.run else f" (first: {best}, {score[best]:.4f})"
    return f"{place} of {len(score)} runs on these test cases by mean {METRIC}{first}"


def _print_table(rows: list[tuple[str, str]]) -> None:
    if not sys.stdout.isatty():
        click.echo(columns(rows))
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(show_header=False)
    for label, value in rows:
        table.add_row(Text(label), Text(value))
    Console().print(table)
