"""``recbench leaderboard merge``: the seeds of several machines in one record."""

from __future__ import annotations

from pathlib import Path

import click

from recbench.cli.options import Place, folder_option, no_examples
from recbench.errors import UsageError


@click.command()
@click.argument("folders", nargs=-1, required=True, type=Place(exists=True), metavar="FOLDER...")
@folder_option("--out", "leaderboards/records", "Folder of records to write to.")
@no_examples
def merge(folders: tuple[Path, ...], out: Path, no_examples: bool) -> None:
    """Join the records in FOLDERS (of records, or of runs): a run that several of them hold becomes one record.

    Spec, data, test cases, plugin code and versions must agree, and a seed that occurs twice must have the same lists.
    Otherwise, nothing is written, and the command names the difference. Signatures are not kept, since the merged file
    is a new one.
    """
    from recbench.leaderboard.merge import found_in, merged
    from recbench.results import write

    by_run = found_in(folders)
    inside = {path.parent.resolve() for found in by_run.values() for path, _ in found}
    for run in by_run:
        if (out / f"{run}.json").exists() and out.resolve() not in inside:
            raise UsageError(f"{out} already holds a record of {run}: add it to the folders to join it too.")
    records = {run: merged(found) for run, found in by_run.items()}
    for run, record in sorted(records.items()):
        if no_examples:
            record = record.model_copy(update={"examples": None})
        path = out / f"{run}.json"
        write(record, path)
        path.with_name(f"{path.name}.sig").unlink(missing_ok=True)
        seeds, files = ", ".join(str(seed.seed) for seed in record.seeds), len(by_run[run])
        click.echo(f"written: {path} (seed{'s' * (len(record.seeds) != 1)} {seeds}; {files} file{'s' * (files != 1)})")
    click.echo("next: recbench leaderboard build")
