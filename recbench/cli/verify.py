"""``recbench leaderboard verify``: what records and pages state, computed again."""

from __future__ import annotations

from pathlib import Path

import click

from recbench.cli.leaderboard import place_options, places_of, records_option
from recbench.cli.options import Place, folder_option
from recbench.errors import RecbenchError, UsageError
from recbench.progress import reporter


@click.command()
@click.argument("files", nargs=-1, type=Place(exists=True), metavar="[FILE]...")
@records_option
@folder_option("--pages", "leaderboards", "Folder of pages, checked when no FILE is named.")
@place_options
@click.option("--rerun", "seeds", type=click.IntRange(min=1), metavar="N", help="Also run N seeds of each again.")
@folder_option("--runs", "runs/rerun", "Folder of --rerun; must be new or empty.")
@click.pass_context
def verify(
    ctx: click.Context,
    files: tuple[Path, ...],
    records: Path,
    pages: Path,
    data_dirs: tuple[str, ...],
    llms: tuple[str, ...],
    seeds: int | None,
    runs: Path,
) -> None:
    """Recompute what the records in FILES state; without FILES, check all committed records and their pages.

    It checks the record's checksum and hash, the ranks against the lists, the run's name against the spec, and the best
    epoch. If the data is available, it also checks the data's checksums, the labels against the spec, and every test
    case, target and popularity. It notes plugins that have the same version but different code. A signature
    RUN.json.sig (ssh-keygen -Y sign -n recbench -f KEY RUN.json) is checked too, against the keys in the file
    allowed_signers next to the folder of records.

    Each mismatch is one sentence, and the exit code is then 1. Fabricated lists can pass; --rerun detects them.
    """
    from recbench.cli.again import repeat
    from recbench.leaderboard.pages import wrong_pages
    from recbench.leaderboard.signature import SIGNERS
    from recbench.leaderboard.verify import Verifier
    from recbench.pages.blocks import plain

    paths = list(files) or sorted(records.glob("*.json"))
    if not paths:
        raise UsageError(f"--records {records} holds no records.")
    if seeds and runs.is_dir() and any(runs.iterdir()):
        raise UsageError(f"--runs {runs} holds an earlier rerun: remove it first.")
    places, wrong = places_of(data_dirs, llms), 0
    with reporter() as progress:
        verifier = Verifier(places, progress, records.parent / SIGNERS)
    for path in paths:
        found = verifier.verify(path)
        if seeds and (record := found.record) is not None and not found.mismatches and not record.external:
            some = record.model_copy(update={"seeds": record.seeds[:seeds]})
            try:
                verdict = repeat(some, path, places, runs, update=False)
                (found.notes if verdict.same else found.mismatches).append(verdict.text)
            except RecbenchError as error:
                found.notes.append(f"not run again: {error}")
        click.echo(f"{plain(str(path))}: {'agrees' if not found.mismatches else 'DIFFERS'}")
        for sentence in found.mismatches:
            click.echo(f"  mismatch: {plain(sentence)}")
        for sentence in found.notes:
            click.echo(f"  note: {plain(sentence)}")
        wrong += bool(found.mismatches)
    click.echo(f"{len(paths) - wrong} of {len(paths)} records agree with what they state")
    if not files and not wrong:
        for sentence in (wrong_here := wrong_pages(records, pages)):
            click.echo(f"mismatch: {sentence}")
        wrong += len(wrong_here)
    ctx.exit(1 if wrong else 0)
