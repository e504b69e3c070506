"""``recbench compare``: is one run better than another?"""

from __future__ import annotations

from pathlib import Path

import click

from recbench.cli.options import folder_option
from recbench.cli.text import columns
from recbench.errors import UsageError


@click.command()
@click.argument("names", nargs=-1, required=True, metavar="A B...")
@click.option("--metric", default="NDCG@10", show_default=True, metavar="NAME@K", help="Metric: recbench list metrics.")
@click.option("--slice", "slice_name", metavar="NAME", help="Slice whose parts are tested too: recbench list slices.")
@folder_option("--runs", "runs", "Folder of runs.")
def compare(names: tuple[str, ...], metric: str, slice_name: str | None, runs: Path) -> None:
    """Print A minus B, with interval and tests over users; with more runs, A minus each of the others.

    A difference is shown if p after Holm is below .05 and the interval over users and seeds does not contain 0. Holm
    corrects the larger of two p-values: one is only for the seeds that were run, the other also accounts for seeds that
    were not run. The parts of a slice form a separate family.

    A is the first run named, B the second and so on. Name a run by its id, the beginning of it, its folder, or a record
    file such as leaderboards/records/X.json.
    """
    if len(names) < 2:
        raise UsageError(f"compare needs two runs or more; only {names[0]!r} was given.")
    from recbench.lookup import find
    from recbench.pages import family, rows_of
    from recbench.pages.code import code_text, unlike
    from recbench.pages.compare import counted
    from recbench.pages.parts import by_part, part_rows
    from recbench.results import read

    records = [read(find(name, runs)) for name in names]
    if len({*records[0].cases.users.tolist()}) < 2:
        raise UsageError(f"{records[0].run} has test cases of one user only, which allows no test over users.")
    letters = [_letter(number) for number in range(len(records))]
    pairs = [(records[0], other) for other in records[1:]]
    tests, parts = family(pairs, metric), by_part(pairs, slice_name, metric) if slice_name else []
    click.echo(columns([(letter, record.run) for letter, record in zip(letters, records, strict=True)]))
    for letter, test in zip(letters[1:], tests, strict=True):
        click.echo("\n" + columns(rows_of(test.comparison, "A", letter, test.p_holm, len(tests))))
    for number, letter in enumerate(letters[1:] if parts else []):
        declared = counted(sum(len(part.tests) for part in parts), "comparison")
        click.echo(f"\n{metric} of A and {letter} by {slice_name} (Holm over {declared})")
        click.echo(columns(part_rows(parts, number, letter)))
    click.echo()
    for letter, record in zip(letters, records, strict=True):
        made = [code_text(plugin) for plugin in record.plugins] or ["its record (format 1) does not say"]
        click.echo("\n".join([f"code of {letter}:", *(f"  {text}" for text in made)]))
    for sentence in unlike(list(zip(letters, records, strict=True))):
        click.echo(f"recbench: warning: {sentence}.", err=True)


def _letter(number: int) -> str:
    """A to Z, then A2 to Z2 and so on."""
    return chr(ord("A") + number % 26) + (str(number // 26 + 1) if number >= 26 else "")
