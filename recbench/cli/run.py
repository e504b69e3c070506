"""``recbench run``: one experiment over its seeds, and the local page."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from recbench import processes
from recbench.cli.progress import reporter
from recbench.cli.request import ask
from recbench.cli.text import columns, duration
from recbench.errors import RecbenchError

if TYPE_CHECKING:
    from recbench.results import RunRecord

_COUNT = click.IntRange(min=1)


@click.command()
@click.option("--model", metavar="NAME", help="Backbone: recbench list backbones.")
@click.option("--loss", metavar="NAME", help="Training loss; default: the backbone's own.")
@click.option("--decoder", metavar="NAME", help="How a model's output becomes a ranking; default: the backbone's own.")
@click.option("--dataset", metavar="NAME", help="Data set.  [default: ml-100k]")
@click.option("--data-dir", metavar="PATH", help="Folder (or file, for csv) of one's own data.")
@click.option("--llm", metavar="tiny|DIR|HUB_ID|FILE.gguf", help="Language model.  [default: tiny]")
@click.option("--preset", metavar="cpu|paper", help="Budget.  [default: cpu without a GPU, else paper]")
@click.option("--seeds", metavar="N|A,B,...", help="How many (5 is 1 to 5), or which (3,17,42).  [default: 1]")
@click.option("--epochs", type=_COUNT, metavar="N", help="Training epochs.")
@click.option("--train-samples", type=click.IntRange(min=0), metavar="N", help="Training windows; 0 is all.")
@click.option("--batch-size", type=_COUNT, metavar="N", help="Windows in a step, over all processes together.")
@click.option("--device", metavar="auto|cpu|cuda", help="Where to compute.  [default: auto]")
@click.option("--set", "sets", multiple=True, metavar="GROUP.OPTION=VALUE", help="Any option: recbench describe.")
@click.option(
    "--config", type=click.Path(path_type=Path), metavar="FILE.yaml", help="Flags by name, options under set."
)
@click.option(
    "--runs", type=click.Path(path_type=Path), default=Path("runs"), show_default=True, help="Folder of runs."
)
@click.option("--again", is_flag=True, help="Compute finished seeds anew.")
@click.option("--dry-run", is_flag=True, help="Print the resolved spec and an estimate; compute and write nothing.")
def run(sets: tuple[str, ...], config: Path | None, runs: Path, again: bool, dry_run: bool, **flags: Any) -> None:
    """Train a method, rank the test set and keep a record, seed by seed.

    A finished seed is never computed again; an interrupted run continues when the same command is given.
    """
    asked = ask(flags, sets, config)
    from recbench.description import command_of
    from recbench.run import plan
    from recbench.run import run as execute

    spec = plan(asked.request)
    if dry_run:
        from recbench.cli.dry_run import describe_plan

        if processes.is_main():
            click.echo(describe_plan(spec, asked, runs))
        return
    from recbench.cli.tidy import tidied

    with tidied(runs), reporter() as progress:
        record = execute(spec, asked.seeds, runs, command_of(asked.request, spec), progress, again)
    processes.leave()
    if processes.is_main():
        _report(record, runs)


def _report(record: RunRecord, runs: Path) -> None:
    from recbench.cli.runs import build_page
    from recbench.run import RECORD

    _print_table(_rows(record))
    click.echo(f"record: {runs / record.run / RECORD}")
    try:
        pages, broken = build_page(runs, record.dataset.name)
    except RecbenchError as error:  # the record is safe: say so before failing
        raise RecbenchError(f"the run is recorded, but its page is not built: {error}") from error
    for sentence in broken:
        click.echo(f"recbench: {sentence}", err=True)
    click.echo("page:   " + "  ".join(map(str, pages)))


def _rows(record: RunRecord) -> list[tuple[str, str]]:
    from recbench.evaluation import seed_means
    from recbench.leaderboard.rows import DECODING, PREPARING

    several = len(record.seeds) > 1
    numbers = ", ".join(str(s.seed) for s in record.seeds)
    rows = [("run", record.run)]
    if several or record.seeds[0].seed:
        rows.append(("seeds", f"{numbers} (mean ± sd)" if several else numbers))
    rows.append(("test cases", f"{len(record.cases.users):,} ({record.cases.label})"))
    for name, means in seed_means(record.case_results()).items():
        rows.append((name, f"{means.mean():.4f}" + (f" ± {means.std(ddof=1):.4f}" if several else "")))
    invalid = [s.invalid_share for s in record.seeds if s.invalid_share is not None]
    if invalid:
        rows.append(("invalid titles", f"{sum(invalid) / len(invalid):.1%}"))
    spent = [s.seconds for s in record.seeds if s.seconds]
    if spent:
        training = sum(sum(v for k, v in s.items() if k not in (PREPARING, DECODING)) for s in spent) / len(spent)
        decoding = sum(s.get(DECODING, 0.0) for s in spent) / len(spent)
        rows.append(("time a seed", f"training {duration(training)}, decoding {duration(decoding)}"))
    return rows


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
