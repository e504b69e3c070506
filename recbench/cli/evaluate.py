"""``recbench evaluate``: a record of ranked lists that other code made."""

from __future__ import annotations

from pathlib import Path

import click

from recbench.cli.options import Place, author_option, folder_option
from recbench.cli.request import test_request
from recbench.progress import reporter


@click.command()
@click.option(
    "--rankings",
    "files",
    type=Place(exists=True),
    multiple=True,
    required=True,
    metavar="FILE",
    help="csv, tsv, parquet or TREC run; repeatable.",
)
@click.option("--name", required=True, metavar="LABEL", help="Name of the method, as shown in tables.")
@click.option("--dataset", default="ml-100k", show_default=True, metavar="NAME", help="Data set.")
@click.option("--data-dir", metavar="PATH", help="Folder or file of your own data.")
@click.option(
    "--preset", metavar="cpu|paper", help="Test cases: at most 20 per user (cpu), or all (paper).  [default: cpu]"
)
@click.option("--set", "sets", multiple=True, metavar="GROUP.OPTION=VALUE", help="An option of dataset or evaluate.")
@click.option(
    "--llm",
    default="",
    metavar="LABEL",
    help="Label for the method's language model, as shown in tables. Leave it out if there is none; the row then "
    "counts as traditional.",
)
@author_option
@folder_option("--runs", "runs", "Folder of runs.")
def evaluate(
    files: tuple[Path, ...],
    name: str,
    dataset: str,
    data_dir: str | None,
    preset: str | None,
    sets: tuple[str, ...],
    llm: str,
    runs: Path,
) -> None:
    """Evaluate ranked lists that other code made, and keep a record like that of a run.

    A file has one row for each item of each list. Columns: "case", the number from "recbench data cases" (or "user"
    instead, if every user has one test case); "item", the data set's own id (or "title" instead); optionally "seed",
    and "rank" or "score". Without "rank" and "score", list the rows best first. Several files without a seed are seeds
    1, 2 and so on. A TREC run (.run, .trec, .txt) has lines "case Q0 item rank score tag".

    Every test case needs a list. All lists must have the same length, at least 10 items. Tables mark the row as
    external: its metrics are computed here, but recbench cannot run it again.
    """
    from recbench.cli.outcome import report
    from recbench.experiment import RECORD
    from recbench.lists import About, taken_in, test_set
    from recbench.lists.external import command_of
    from recbench.planning import protocol
    from recbench.results import read, write

    request, words = test_request(dataset, data_dir, preset, sets)
    about = About(name, llm, command_of(files, name, llm, words))
    with reporter() as progress:
        record = taken_in(files, test_set(*protocol(request), progress), about)
    place = runs / record.run / RECORD
    if place.exists():
        count = len(read(place).seeds)
        click.echo(f"recbench: replaced: {place}, which had {count} seed{'s' * (count != 1)}.", err=True)
    write(record, place)
    report(record, runs)
