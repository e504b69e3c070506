"""``recbench diagnose``: the MSL paper's figures about training, for any text recommender."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from recbench.cli.options import Place, request_options, started, worker_options
from recbench.cli.request import ask
from recbench.cli.text import columns
from recbench.errors import UsageError
from recbench.progress import reporter

if TYPE_CHECKING:
    from recbench.cluster import Workers
    from recbench.spec.request import Request

TAUS = "0.5,1,1.5,2,4"


@click.command()
@request_options
@worker_options
@click.option("--figures", metavar="N,...", help="Which of the paper's figures.  [default: all that fit the loss]")
@click.option("--taus", default=TAUS, show_default=True, metavar="A,B,...", help="Temperatures of figure 6.")
@click.option(
    "--probe",
    type=click.Choice(["contamination"]),
    help="Train nothing; ask what the pretrained --llm has seen of the data set.",
)
@click.option("--out", type=Place(), metavar="DIR", help="Where the figures go.  [default: a folder in RUNS]")
def diagnose(
    sets: tuple[str, ...],
    config: Path | None,
    runs: Path,
    figures: str | None,
    taus: str,
    probe: str | None,
    out: Path | None,
    workers: Workers | None,
    **flags: Any,
) -> None:
    """Train with LML and with --loss (default: MSL), and draw gradients, weights and logits as PNG and JSON.

    \b
    3  gradient norms of LML's two parts
    4  LML's ranking part under either loss
    5  weights of the answer tokens, small ones by position in the title
    6  validation NDCG@10 over temperatures, over all seeds
    8  valid logits next to a Gaussian

    Figure 6 uses all seeds; the other figures use only the first. Each study has its own folder, so that nothing is
    overwritten.

    With --probe contamination, recbench asks the untuned language model three questions about the data set: Does it
    complete titles? Does it prefer the order of the data? Does it name the next item?
    """
    if probe is not None:
        _contamination(ask(flags, sets, config), figures, workers, runs, out)
        return
    temperatures = _numbers("--taus", taus, float)
    from recbench.diagnose.study import FIGURES, study
    from recbench.tidy import tidied

    wanted = _numbers("--figures", figures, int) if figures is not None else []
    for number in wanted:
        if number not in FIGURES:
            more = " (7 is drawn by recbench suite report figure7 --figure FILE.png)" if number == 7 else ""
            raise UsageError(f"--figures {number}: the figures are {', '.join(map(str, FIGURES))}{more}.")
    if min(temperatures) <= 0:
        raise UsageError(f"--taus {taus}: every temperature must be positive.")
    request = ask(flags, sets, config)
    if figures is None:
        wanted = [number for number in FIGURES if number != 6 or request.loss in (None, "msl")]
    if 6 in wanted and request.loss not in (None, "msl"):
        raise UsageError(f"--figures 6 is about msl's temperature, not about --loss {request.loss}: leave it out.")
    with tidied(runs), reporter() as progress, started(workers, runs, progress) as cluster:
        claims, place = study(request, request.seeds, wanted, temperatures, runs, out, progress, cluster)
    click.echo(columns(_rows(claims)))
    click.echo(f"figures: {place}")


def _contamination(
    request: Request, figures: str | None, workers: Workers | None, runs: Path, out: Path | None
) -> None:
    from recbench.diagnose.contamination import contamination, sentences
    from recbench.tidy import tidied

    if figures is not None or workers is not None:
        raise UsageError("--probe draws no figures and needs no workers: leave out --figures, --workers, --scheduler.")
    with tidied(runs), reporter() as progress:
        answer, place = contamination(request, runs, out, progress)
    for sentence in sentences(answer):
        click.echo(sentence)
    click.echo(f"all figures: {place / 'contamination.json'}")


def _rows(claims: Mapping[str, Any], before: str = "") -> list[tuple[str, str]]:
    rows = []
    for name, value in claims.items():
        label = f"{before}, {name}" if before else str(name)
        if isinstance(value, Mapping):
            rows += _rows(value, label)
        else:
            rows.append((label, f"{value:.4g}" if isinstance(value, float) else str(value)))
    return rows


def _numbers(flag: str, text: str, kind: type) -> list[Any]:
    try:
        found = [kind(piece) for piece in text.split(",")]
    except ValueError:
        found = []
    if not found or len(set(found)) < len(found):
        raise UsageError(f"{flag} {text!r} must be different numbers separated by commas.")
    return found
