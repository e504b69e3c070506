"""``recbench export``: a tuned language model as a plain transformers folder."""

from __future__ import annotations

from pathlib import Path

import click

from recbench.cli.options import Place, folder_option


@click.command()
@click.argument("name", metavar="RUN")
@click.argument("folder", type=Place(), metavar="DIR")
@click.option(
    "--merged", is_flag=True, help="Write the whole model with its adapters merged in, not the adapters alone."
)
@click.option("--seed", type=click.IntRange(min=0), metavar="N", help="Which seed.  [default: the run's first]")
@folder_option("--runs", "runs", "Folder of runs.")
def export(name: str, folder: Path, merged: bool, seed: int | None, runs: Path) -> None:
    """Write RUN's language model into DIR for transformers, with catalogue, trie, prompt and a model card.

    RUN is a run's id, the beginning of one, or its folder.
    """
    from recbench.api import load, open_run
    from recbench.exporting import export as write

    place = write(load(open_run(name, runs), seed, progress=True), folder, merged)
    click.echo(f"exported: {place}")
