"""``recbench table``: the local runs of a data set, best first, as on their page."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from recbench.cli.options import Place, folder_option
from recbench.cli.text import columns, terminal_width
from recbench.errors import UsageError, did_you_mean

if TYPE_CHECKING:
    from recbench.pages.rows import Section
    from recbench.results import RunRecord

WIDTH = 16  # of a name in a terminal too narrow for whole ones


@click.command()
@click.argument("dataset", required=False)
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "latex", "markdown", "csv", "json"]),
    default="text",
    show_default=True,
    help="How to print it.",
)
@click.option(
    "--baseline", metavar="RUN", help="Baseline of the marks in the other formats.  [default: best without an LM]"
)
@click.option("--records", type=Place(), metavar="DIR", help="Read committed records instead of runs.")
@folder_option("--runs", "runs", "Folder of runs.")
def table(dataset: str | None, form: str, baseline: str | None, records: Path | None, runs: Path) -> None:
    """Print the runs of DATASET, best first, with marks for the declared test.

    DATASET defaults to the only one that has runs, or to ml-100k. The last column is the end of a run's id, which
    other commands accept. The page in RUNS/pages has every metric, comparison, cost, budget and command.

    The formats latex (booktabs) and markdown are for a paper: the best figure of each column in bold, the second
    underlined, and a mark wherever a difference from the baseline is shown. csv and json have unrounded numbers.
    """
    if form == "text" and baseline:
        raise UsageError("--baseline does not apply to --format text, which marks rows against the best ones.")
    found, every = _records(dataset, records, runs)
    if form == "text":
        _print_text(found, every, runs if records is None else None)
    else:
        _print_frames(found, form, _run_of(baseline, found, runs) if baseline else None)


def _records(dataset: str | None, records_dir: Path | None, runs: Path) -> tuple[list[RunRecord], list[RunRecord]]:
    """The records of the data set, and all that are there."""
    from recbench.lookup import read_all
    from recbench.pages import load_records

    if records_dir is None:
        records, broken = read_all(runs)
    else:
        records, broken, runs = load_records(records_dir), [], records_dir
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
    return found, records


def _run_of(name: str, found: Sequence[RunRecord], runs: Path) -> str:
    """The id of the run that is called so, by its id, the beginning or the hash of it, or its file."""
    from recbench.lookup import find
    from recbench.results import read

    matching = [r.run for r in found if r.run == name or r.run.startswith(name) or r.run.endswith(f"-{name}")]
    return matching[0] if len(matching) == 1 else read(find(name, runs)).run


def _print_frames(found: Sequence[RunRecord], form: str, baseline: str | None) -> None:
    from recbench.pages import frames
    from recbench.pages.latex import latex
    from recbench.pages.markdown import blocks_as_markdown

    made = frames.frames(found, baseline)
    if form in ("csv", "json"):
        rows = [row for frame in made for row in frames.plain(frame)]
        click.echo(json.dumps(rows, ensure_ascii=False, indent=1) if form == "json" else frames.as_csv(rows).rstrip())
        return
    blocks = [block for frame in made for block in frames.blocks(frame)]
    text = latex(blocks, "recbench table --format latex") if form == "latex" else blocks_as_markdown(blocks)
    click.echo(text.rstrip())


def _print_text(found: Sequence[RunRecord], every: Sequence[RunRecord], runs: Path | None) -> None:
    """As text; ``runs`` is where the page is, None if there is none."""
    from recbench.pages.rows import METRIC, sections

    dataset = found[0].dataset.name
    short = shortened([record.run for record in every])
    for section in sections(found):
        protocol = section.rows[0].record.policies.get("protocol")
        label = section.label + (f"; protocol {protocol}" if protocol else "")
        click.echo(f"{dataset}: {section.n_cases:,} test cases of {section.n_users:,} users ({label})")
        click.echo(columns(_fitting(_lines(section, short), terminal_width())))
    click.echo(f"▲ ▼ better or worse on {METRIC} (p after Holm below .05, and an interval without 0) than the")
    click.echo("best row (best) and the best row without a language model (trad); = no difference shown")
    pages = [] if runs is None else [runs / "pages" / f"{dataset}.{kind}" for kind in ("md", "html")]
    if written := [str(page) for page in pages if page.is_file()]:
        click.echo("page: " + "  ".join(written))


def shortened(runs: Sequence[str]) -> dict[str, str]:
    """Run -> the hash at the end of its id if that tells it from the others, else the whole id."""
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
                *(word or "–" for word in (labels.method, labels.loss, labels.decoder, labels.llm)),
                str(len(row.record.seeds)),
                f"{mean:.4f}" if spread is None else f"{mean:.4f} ± {spread:.4f}",
                *marks(row),
                short[row.record.run],
            ]
        )
    return lines


def _fitting(lines: list[list[str]], width: int) -> list[list[str]]:
    """The lines with long names cut, if some line is wider than a terminal of ``width`` columns (0: none is)."""
    if not width or max(map(len, columns(lines).splitlines())) <= width:
        return lines
    return [[*row[:1], *map(_cut, row[1:5]), *row[5:]] for row in lines]


def _cut(word: str) -> str:
    return word if len(word) <= WIDTH else word[: WIDTH - 1] + "…"
