"""``recbench store``: what is stored, how large and how old it is, and which runs need it."""

from __future__ import annotations

import shlex
from pathlib import Path

import click

from recbench.cli.options import folder_option
from recbench.cli.text import columns
from recbench.progress import duration

_runs = folder_option("--runs", "runs", "Folder of runs.")


@click.group(invoke_without_command=True)
@_runs
@click.pass_context
def store(ctx: click.Context, runs: Path) -> None:
    """List the stored steps by size, with their age and how many runs need them."""
    if ctx.invoked_subcommand is not None:
        return
    from recbench.inventory import inventory

    entries = inventory(runs)
    if not entries:
        click.echo(f"{runs} holds no steps yet.")
        return
    rows = [["size", "age", "runs", "step", "what"]]
    for entry in entries:
        used = "in use" if entry.live else str(len(entry.runs)) if entry.runs else "none"
        rows.append(
            [
                size_text(entry.size),
                duration(entry.age),
                used,
                entry.path.name,
                entry.title or "left by an older recbench",
            ]
        )
    click.echo(columns(rows))
    loose = [entry for entry in entries if not entry.wanted]
    click.echo(f"\n{_steps(len(entries))}, {size_text(sum(entry.size for entry in entries))}")
    if loose:
        total = size_text(sum(entry.size for entry in loose))
        prune_them = "recbench store prune" + (f" --runs {shlex.quote(str(runs))}" if runs != Path("runs") else "")
        click.echo(f"no run needs {len(loose)} of them ({total}): {prune_them} removes them")


@store.command(short_help="Remove the steps that no run needs.")
@_runs
@click.option("--dry-run", is_flag=True, help="Only print what would be removed.")
def prune(runs: Path, dry_run: bool) -> None:
    """Remove steps, finished or interrupted, that no run needs, and anything left by older versions of recbench.

    It keeps steps that a running process uses.
    """
    from recbench.inventory import prune as remove

    removed = remove(runs, dry_run)
    for entry in removed:
        click.echo(f"{'would remove' if dry_run else 'removed'}: {entry.path} ({size_text(entry.size)})")
    total = size_text(sum(entry.size for entry in removed))
    click.echo(f"{_steps(len(removed))}, {total}{' would be' if dry_run else ''} freed")


def _steps(number: int) -> str:
    return f"{number} step{'s' * (number != 1)}"


def size_text(size: int) -> str:
    """Bytes as a person says them."""
    for unit, scale in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if size >= scale:
            return f"{size / scale:.1f} {unit}"
    return f"{size} B"
