"""``recbench recommend``: a trained recommender's items for your own history."""

from __future__ import annotations

from pathlib import Path

import click

from recbench.cli.options import folder_option
from recbench.cli.text import columns
from recbench.errors import UsageError


@click.command()
@click.argument("name", metavar="RUN")
@click.option(
    "--history", "items", multiple=True, metavar="ITEM", help="A title or an item id; repeatable, oldest first."
)
@click.option("--k", type=click.IntRange(min=1), metavar="N", default=10, show_default=True, help="Items to recommend.")
@click.option("--seed", type=click.IntRange(min=0), metavar="N", help="Which seed.  [default: the run's first]")
@folder_option("--runs", "runs", "Folder of runs.")
def recommend(name: str, items: tuple[str, ...], k: int, seed: int | None, runs: Path) -> None:
    """Print the best items after a history: place, id, title and score.

    RUN is a run's id, the beginning of one, or its folder.
    """
    if not items:
        raise UsageError("the history is empty: name at least one item, such as --history 'Toy Story (1995)'.")
    from recbench.api import load, open_run

    trained = load(open_run(name, runs), seed, progress=True)
    (found,) = trained.recommend([items], k)
    rows = [[str(place), one.item, one.title, f"{one.score:.4f}"] for place, one in enumerate(found, start=1)]
    click.echo(columns([["#", "item", "title", "score"], *rows]))
