"""``recbench table``: the local runs of a data set, best first, as on their page."""

from __future__ import annotations

from pathlib import Path

import click

from recbench.cli.text import columns
from recbench.errors import UsageError, did_you_mean

VERSUS = ("vs best", "vs best traditional")


@click.command()
@click.argument("dataset", required=False)
@click.option(
    "--runs", type=click.Path(path_type=Path), default=Path("runs"), show_default=True, help="Folder of runs."
)
def table(dataset: str | None, runs: Path) -> None:
    """Print the runs of DATASET (the only one there, else ml-100k), best first, with the declared test's marks.

    The page in RUNS/pages says more: every comparison, cost, budget and command.
    """
    from recbench.lookup import read_all
    from recbench.pages.content import marks
    from recbench.pages.rows import METRIC, sections

    records, broken = read_all(runs)
    for sentence in broken:
        click.echo(f"recbench: left out: {sentence}", err=True)
    names = {record.dataset.name for record in records}
    if dataset is None:
        dataset = names.pop() if len(names) == 1 else "ml-100k"
    found = [record for record in records if record.dataset.name == dataset]
    if not found:
        hint = did_you_mean(dataset, names) if names else "there is no run yet" if runs.is_dir() else "it is no folder"
        raise UsageError(f"No run of data set {dataset!r} in {runs}: {hint}")
    for section in sections(found):
        click.echo(f"{dataset}: {section.n_cases:,} test cases of {section.n_users:,} users ({section.label})")
        lines = [["#", "method", "loss", "decoder", "LM", "seeds", METRIC, "HR@10", *VERSUS, "run"]]
        for row in section.rows:
            labels = row.record.labels
            words = [labels.method, labels.loss, labels.decoder, labels.llm]
            lines.append(
                [str(row.rank), *(word or "–" for word in words), str(len(row.record.seeds))]
                + [_number(*row.metrics[name]) for name in (METRIC, "HR@10")]
                + [*marks(row), row.record.run]
            )
        click.echo(columns(lines))
    click.echo("▲ ▼ significantly better or worse on NDCG@10 (users permuted, Holm); = no difference shown")
    click.echo("page: " + "  ".join(str(runs / "pages" / f"{dataset}.{kind}") for kind in ("md", "html")))


def _number(mean: float, spread: float | None) -> str:
    return f"{mean:.4f}" if spread is None else f"{mean:.4f} ± {spread:.4f}"
