"""``recbench table``: the local runs of a data set, best first, as on their page."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from recbench.cli.options import folder_option
from recbench.cli.text import columns
from recbench.errors import UsageError, did_you_mean

if TYPE_CHECKING:
    from recbench.pages.rows import Section

WIDTH = 16  # of a name; the page has whole ones


@click.command()
@click.argument("dataset", required=False)
@folder_option("--runs", "runs", "Folder of runs.")
def table(dataset: str | None, runs: Path) -> None:
    """Print the runs of DATASET, best first, with marks for the declared test.

    DATASET defaults to the only one that has runs, or to ml-100k. The last column is the end of a run's id, which
    other commands accept. The page in RUNS/pages has every metric, comparison, cost, budget and command.
    """
    from recbench.lookup import read_all
    from recbench.pages.rows import METRIC, sections

    records, broken = read_all(runs)
    for sentence in broken:
        click.echo(f"recbench: left out: {sentence}", err=True)
    names = {record.dataset.name for record in records}
    if dataset is None:
        dataset = names.pop() if len(names) == 1 else "ml-100k"
    found = [record for record in records if record.dataset.name == dataset]
    if not found:
        hint = (
            did_you_mean(dataset, names) if names else "there is no run yet" if runs.is_dir() else "it is not a folder"
        )
        raise UsageError(f"No run of data set {dataset!r} in {runs}: {hint}")
    short = shortened([record.run for record in records])
    for section in sections(found):
        click.echo(f"{dataset}: {section.n_cases:,} test cases of {section.n_users:,} users ({section.label})")
        click.echo(columns(_lines(section, short)))
    click.echo(f"▲ ▼ better or worse on {METRIC} (p by Holm, and an interval without 0) than the best row (best) and")
    click.echo("the best row without a language model (trad); = no difference shown")
    click.echo("page: " + "  ".join(str(runs / "pages" / f"{dataset}.{kind}") for kind in ("md", "html")))


def shortened(runs: Sequence[str]) -> dict[str, str]:
    """Run -> the hash at the end of its id where that tells it from the others, else the whole id."""
    ends = {run: run.rpartition("-")[2] for run in runs}
    counts = Counter(ends.values())
    return {r: end if re.fullmatch("[0-9a-f]{8}", end) and counts[end] == 1 else r for r, end in ends.items()}


def _lines(section: Section, short: dict[str, str]) -> list[list[str]]:
    from recbench.pages.dataset import marks
    from recbench.pages.rows import METRIC

    lines = [["#", "method", "loss", "decoder", "LM", "seeds", METRIC, "best", "trad", "run"]]
    for row in section.rows:
        labels = row.record.labels
        mean, spread = row.metrics[METRIC]
        lines.append(
            [
                str(row.rank),
                *(_cut(word) for word in (labels.method, labels.loss, labels.decoder, labels.llm)),
                str(len(row.record.seeds)),
                f"{mean:.4f}" if spread is None else f"{mean:.4f} ± {spread:.4f}",
                *marks(row),
                short[row.record.run],
            ]
        )
    return lines


def _cut(word: str) -> str:
    return "–" if not word else word if len(word) <= WIDTH else word[: WIDTH - 1] + "…"
