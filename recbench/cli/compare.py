"""``recbench compare``: is one run better than another?"""

from __future__ import annotations

from pathlib import Path

import click

from recbench.cli.text import columns
from recbench.errors import UsageError


@click.command()
@click.argument("names", nargs=-1, required=True, metavar="A B...")
@click.option("--metric", default="NDCG@10", show_default=True, help="NDCG@5, NDCG@10, HR@5, HR@10 or MRR@10.")
@click.option(
    "--runs", type=click.Path(path_type=Path), default=Path("runs"), show_default=True, help="Folder of runs."
)
def compare(names: tuple[str, ...], metric: str, runs: Path) -> None:
    """A minus B, with interval and tests over users; with more than two, each of the others minus A.

    A and B are run ids, unique beginnings of ids, run folders, or record files such as leaderboards/records/X.json.
    """
    if len(names) < 2:
        raise UsageError(f"compare needs two runs or more; only {names[0]!r} was given.")
    from recbench.lookup import find
    from recbench.pages import against, compare_records, rows_of
    from recbench.results import read

    records = [read(find(name, runs)) for name in names]
    if len({*records[0].cases.users.tolist()}) < 2:
        raise UsageError(f"{records[0].run} has test cases of one user only, which allows no test over users.")
    if len(records) == 2:
        a, b = records
        click.echo(columns([("A", a.run), ("B", b.run), *rows_of(compare_records(a, b, metric))]))
        return
    baseline, *others = records
    tests = against(baseline, others, metric)
    for number, (other, test) in enumerate(zip(others, tests, strict=True)):
        rows = rows_of(test.comparison, p_holm=test.p_holm, family=len(tests))
        click.echo(("\n" if number else "") + columns([("A", other.run), ("B", baseline.run), *rows]))
