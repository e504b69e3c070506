"""``recbench data cases``: the test cases, for other code to rank."""

from __future__ import annotations

import shlex
from pathlib import Path

import click

from recbench.cli.options import Place
from recbench.cli.request import test_request
from recbench.progress import reporter


@click.command()
@click.argument("name", metavar="NAME")
@click.option("--out", type=Place(), required=True, metavar="DIR", help="Where to write.")
@click.option("--data-dir", metavar="PATH", help="Folder or file of your own data.")
@click.option(
    "--preset", metavar="cpu|paper", help="Test cases: at most 20 per user (cpu), or all (paper).  [default: cpu]"
)
@click.option("--set", "sets", multiple=True, metavar="GROUP.OPTION=VALUE", help="An option of dataset or evaluate.")
@click.option("--targets", is_flag=True, help="Also write the target of each case.")
def cases(name: str, out: Path, data_dir: str | None, preset: str | None, sets: tuple[str, ...], targets: bool) -> None:
    """Write the test cases of the data set NAME, and the data that a model may learn from, for your own code.

    cases.csv has the number, user, time and history of each case, train.csv and valid.csv the windows to train and
    validate on, items.csv ids and titles. Histories are JSON lists of item ids, the oldest first; the last item of a
    window is its target. Rank the cases, and import the lists with "recbench evaluate".
    """
    from recbench.lists import export, test_set
    from recbench.lists.cases import check_place
    from recbench.planning import protocol

    check_place(out, data_dir)
    request, _ = test_request(name, data_dir, preset, sets)
    with reporter() as progress:
        found = test_set(*protocol(request), progress)
    for path in export(found, out, targets):
        click.echo(f"written: {path}")
    said = [
        "--dataset",
        name,
        *(["--data-dir", data_dir] if data_dir else []),
        *(["--preset", preset] if preset else []),
    ]
    said += [word for text in sets for word in ("--set", text)]
    click.echo(f"next: rank the {len(found.cases):,} cases, then")
    click.echo(f"  recbench evaluate --rankings FILE --name LABEL {shlex.join(said)}")
