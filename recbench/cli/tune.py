"""``recbench tune``: choose options on validation, and run the choice."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import click

from recbench import processes
from recbench.cli.options import request_options, started, worker_options
from recbench.cli.request import ask
from recbench.cli.text import columns
from recbench.errors import UsageError
from recbench.progress import reporter
from recbench.spec.options import Search

if TYPE_CHECKING:
    from recbench.cluster import Workers
    from recbench.cluster.client import Cluster
    from recbench.interfaces import Reporter
    from recbench.spec.request import Request
    from recbench.tuning import Sampled, Trial

SAMPLERS = get_args(Search.model_fields["sampler"].annotation)
PRUNERS = get_args(Search.model_fields["pruner"].annotation)
TRIALS = 20


@click.command()
@request_options
@worker_options
@click.option("--grid", "grids", multiple=True, metavar="GROUP.OPTION=A,B,...", help="Values to try; all combinations.")
@click.option(
    "--space",
    "spaces",
    multiple=True,
    metavar="GROUP.OPTION=LOW..HIGH[:log]|A,B,...",
    help="Values to sample from with optuna: numbers (whole ones if LOW and HIGH are), or categories.",
)
@click.option(
    "--sampler", type=click.Choice(SAMPLERS), help="With --space: the sampler that proposes values.  [default: tpe]"
)
@click.option(
    "--pruner",
    type=click.Choice(PRUNERS),
    help="With --space: end a training run whose validation score after an epoch is below the median of finished "
    "trials.  [default: median]",
)
@click.option(
    "--trials", type=click.IntRange(min=1), metavar="N", help=f"With --space: number of trials.  [default: {TRIALS}]"
)
@click.option(
    "--tune-seed",
    type=click.IntRange(min=0, max=2**32 - 1),
    default=1,
    show_default=True,
    metavar="N",
    help="Seed of every trial, and of the sampler.",
)
@click.option("--run", "run_best", is_flag=True, help="Then run the best setting over --seeds and record it.")
@click.option("--again", is_flag=True, help="With --run: recompute its finished seeds.")
def tune(
    sets: tuple[str, ...],
    config: Path | None,
    runs: Path,
    grids: tuple[str, ...],
    spaces: tuple[str, ...],
    sampler: str | None,
    pruner: str | None,
    trials: int | None,
    tune_seed: int,
    run_best: bool,
    again: bool,
    workers: Workers | None,
    **flags: Any,
) -> None:
    """Train settings of a grid or of a sampled space, and choose by NDCG@10 on validation.

    In a grid, recbench chooses the first setting within one standard error of the best; this is the standard error of
    the difference, over users. Among several decoders of one model, it chooses the best. A sampled space has no order
    of preference, so it chooses the best trial, and never a pruned one.

    No trial ranks the test set. The record that --run makes says what was tried. The same command continues an
    interrupted search; a higher --trials extends a finished one.
    """
    if again and workers:
        raise UsageError("--again computes seeds in this process: leave out --workers and --scheduler.")
    if again and not run_best:
        raise UsageError("--again goes with --run: a finished trial is never computed again.")
    if spaces and workers:
        raise UsageError("--space samples one trial after another: leave out --workers and --scheduler.")
    search = _search(grids, spaces, {"sampler": sampler, "pruner": pruner, "trials": trials}, tune_seed)
    request = ask(flags, sets, config)
    from recbench.description import command_of, shareable
    from recbench.experiment import run as execute
    from recbench.planning import plan
    from recbench.spec.request import seeds_text
    from recbench.tidy import tidied

    with tidied(runs), reporter() as progress, started(workers, runs, progress) as cluster:
        best, table = _chosen(request, search, grids, tune_seed, runs, progress, cluster)
    found = plan(best)
    if processes.is_main():
        click.echo(columns(table))
    command = command_of(best, found)
    if not run_best:
        if processes.is_main():
            place = "" if runs == Path("runs") else f" --runs {shlex.quote(str(runs))}"
            click.echo(f"to run it: {command} --seeds {seeds_text(request.seeds)}{place}")
        processes.leave()
        return
    with tidied(runs), reporter() as progress, started(workers, runs, progress) as cluster:
        record = execute(found, request.seeds, runs, shareable(command), progress, again, cluster)
    processes.leave()
    if processes.is_main():
        from recbench.cli.outcome import report

        report(record, runs)


def _search(grids: Sequence[str], spaces: Sequence[str], how: dict[str, Any], seed: int) -> Search | None:
    """The search that flags ask for; None for a grid."""
    said = {name: value for name, value in how.items() if value is not None}
    if grids and (spaces or said):
        other = "--space" if spaces else f"--{next(iter(said))}"
        raise UsageError(
            f"--grid tries all combinations and {other} samples: use one (for categories, --space loss.tau=1,2,4)."
        )
    if not spaces:
        if said:
            raise UsageError(
                f"--{next(iter(said))} goes with --space, such as --space train.learning_rate=1e-4..1e-2:log."
            )
        return None
    from recbench.tuning import parse_space

    return Search(
        **{"sampler": "tpe", "pruner": "median", "trials": TRIALS, **said}, space=parse_space(spaces), seed=seed
    )


def _chosen(
    request: Request,
    search: Search | None,
    grids: Sequence[str],
    seed: int,
    runs: Path,
    progress: Reporter,
    cluster: Cluster | None,
) -> tuple[Request, list[list[str]]]:
    """The request with what was chosen, and the table of all trials."""
    from recbench.tuning import parse_grid, sample
    from recbench.tuning import tune as search_grid

    if search is not None:
        best, sampled = sample(request, search, runs, progress)
        return best, _sampled_table(list(search.space), sampled)
    grid = parse_grid(grids)
    best, trials = search_grid(request, grid, seed, runs, progress, cluster)
    return best, _table(list(grid), trials)


def _table(options: list[str], trials: Sequence[Trial]) -> list[list[str]]:
    """Every trial with its score, how far it is behind the best, and which was chosen."""
    from recbench.tuning import choose

    best, chosen = max(trials, key=lambda trial: trial.score), choose(trials)
    rows = [[*options, "validation NDCG@10", "behind the best", ""]]
    for trial in trials:
        score, lost = trial.score, trial.behind(best)
        words = "" if trial is best else f"{lost:.4f} ± {lost.error:.4f}"
        if trial is chosen:
            mark = "chosen" if trial is best else "chosen: the first within the error of the best"
        else:
            mark = "best" if trial is best else ""
        rows.append([*(str(trial.values[name]) for name in options), f"{score:.4f} ± {score.error:.4f}", words, mark])
    return rows


def _sampled_table(options: list[str], trials: Sequence[Sampled]) -> list[list[str]]:
    """The same for a sampled space: the best is chosen, and the others may have ended early."""
    from recbench.tuning import best_of

    best = best_of(trials)
    rows = [["trial", *options, "validation NDCG@10", "behind the best", ""]]
    for number, one in enumerate(trials, start=1):
        score = words = ""
        mark = f"{one.state} after epoch {len(one.scores)}" if one.scores else one.state
        if one.trial is not None:
            lost = one.trial.behind(best)
            score = f"{one.trial.score:.4f} ± {one.trial.score.error:.4f}"
            words, mark = ("", "chosen") if one.trial is best else (f"{lost:.4f} ± {lost.error:.4f}", "")
        rows.append([str(number), *(str(one.values[name]) for name in options), score, words, mark])
    return rows
