"""recbench from Python: run, load, recommend, compare, evaluate. The command line is a thin layer on top of it."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from recbench import progress as reporters
from recbench.errors import UsageError
from recbench.interfaces import Reporter
from recbench.results import RunRecord, read
from recbench.spec.request import SET, Layer, Request, combine

if TYPE_CHECKING:
    import pandas as pd

    from recbench.pages.compare import Tested
    from recbench.trained import Trained
    from recbench.types import CaseResults, Sequences, Split

Progress = bool | Reporter
"""True shows a progress bar (plain lines without a terminal), False shows nothing; a reporter receives everything."""


@dataclass(frozen=True)
class Run:
    """A run with at least one finished seed.

    Attributes:
        record: ranks, lists and costs of every seed, and what made them.
        folder: its folder, next to the store of steps.
    """

    record: RunRecord
    folder: Path

    def __repr__(self) -> str:
        seeds, cases = len(self.record.seeds), len(self.record.cases.users)
        return f"<Run {self.name}: {seeds} seed{'s' * (seeds != 1)}, {cases:,} test cases>"

    @property
    def name(self) -> str:
        """The run's id."""
        return self.record.run

    @cached_property
    def results(self) -> CaseResults:
        """Ranks and lists of every test case and seed."""
        return self.record.case_results()

    def metrics(self) -> pd.DataFrame:
        """One row for each seed, one column for each metric: means over test cases."""
        import pandas as pd

        from recbench.evaluation import seed_means

        return pd.DataFrame(seed_means(self.results), index=pd.Index(self.results.seeds, name="seed"))

    def summary(self) -> pd.DataFrame:
        """One row for each metric: mean and sample standard deviation over seeds."""
        frame = self.metrics()
        return frame.agg(["mean", "std"]).T

    def cases(self) -> pd.DataFrame:
        """One row for each test case and seed: user, rank of the target (0: not in the list), cold, history length."""
        import pandas as pd

        found, n = self.results, len(self.results.users)
        return pd.DataFrame(
            {
                "seed": np.repeat(found.seeds, n),
                "case": np.tile(np.arange(n), len(found.seeds)),
                "user": np.tile(found.users, len(found.seeds)),
                "rank": found.ranks.ravel(),
                "cold": np.tile(found.cold, len(found.seeds)),
                "history_length": np.tile(found.history_length, len(found.seeds)),
            }
        )

    def slices(self) -> pd.DataFrame:
        """One row for all test cases and each part of every slice: cases, and each metric's mean over cases and seeds.

        Rows are called by slice and part (``head``, ``torso``); a metric of a part without cases is NaN.
        """
        import pandas as pd

        from recbench.evaluation import parts_of, slice_names, slices

        found = slices(self.results)
        owner = {part: name for name in slice_names() for part in parts_of(name, self.results)}
        rows = [{"cases": part.n_cases, **part.metrics} for part in found.values()]
        index = pd.MultiIndex.from_tuples([(owner.get(part, ""), part) for part in found], names=["slice", "part"])
        return pd.DataFrame(rows, index=index)

    def load(self, seed: int | None = None, progress: Progress = False) -> Trained:
        """The trained recommender of one seed."""
        return load(self, seed, progress)

    def export(self, folder: str | Path, *, merged: bool = False, seed: int | None = None) -> Path:
        """See :func:`recbench.exporting.export`."""
        from recbench.exporting import export

        return export(self.load(seed), Path(folder), merged)

    def _repr_html_(self) -> str:
        return f"<p><code>{self.name}</code></p>{self.summary().to_html(float_format='{:.4f}'.format)}"


def run(
    model: str,
    *,
    set: Mapping[str, Mapping[str, Any]] | None = None,
    runs: str | Path = "runs",
    again: bool = False,
    progress: Progress = True,
    **flags: Any,
) -> Run:
    """Train, rank and record a method, seed by seed; finished seeds are not computed again.

    Args:
        model: the backbone.
        set: options by group, ``{"loss": {"tau": 2}}``.
        runs: folder of runs.
        again: recompute finished seeds.
        progress: see :data:`Progress`.
        flags: the flags of ``recbench run``: loss, decoder, identifier, dataset, data_dir, llm, preset, device,
            seeds (5, or [3, 17, 42]), epochs, train_samples, batch_size.

    Raises:
        UsageError: the request cannot be carried out.
        RecbenchError: something failed; finished seeds are kept.
    """
    if not isinstance(set or {}, Mapping):
        raise UsageError(f"set= must be {{group: {{option: value}}}}, not {set!r}.")
    paths = {name: os.fspath(flags[name]) for name in ("data_dir", "llm") if isinstance(flags.get(name), os.PathLike)}
    said = {"model": model, **flags, **paths, SET: dict(set or {})}
    return execute(combine([Layer(said, lambda name: f"{name}=")]), Path(runs), again, progress)


def execute(request: Request, runs: Path, again: bool = False, progress: Progress = True) -> Run:
    """Like :func:`run`, for a request."""
    from recbench.description import command_of, shareable
    from recbench.experiment import run as experiment
    from recbench.planning import plan
    from recbench.tidy import tidied

    found = plan(request)
    command = shareable(command_of(request, found))
    with tidied(runs), reporters.chosen(progress) as reporter:
        for note in found.notes:
            reporter.message(note)
        record = experiment(found, request.seeds, runs, command, reporter, again)
    return Run(record, runs / record.run)


def open_run(name: str | Path, runs: str | Path = "runs") -> Run:
    """A finished run by its id, the beginning of its id, its folder or its record file.

    Raises:
        UsageError: there is none, or there are several.
    """
    from recbench.lookup import find

    path = find(str(name), Path(runs))
    return Run(read(path), path.parent)


def load(run: Run | str | Path, seed: int | None = None, progress: Progress = False) -> Trained:
    """A trained recommender.

    Args:
        run: a run, or what :func:`open_run` takes.
        seed: which one; the run's first if left out.
        progress: see :data:`Progress`.

    Raises:
        UsageError: there is no such run or seed.
        RecbenchError: what the run made is no longer stored.
    """
    from recbench.trained import Trained

    found = run if isinstance(run, Run) else open_run(run)
    with reporters.chosen(progress) as reporter:
        return Trained(found.folder, seed, reporter)


def compare(*found: Run | RunRecord | str | Path, metric: str = "NDCG@10", slice: str | None = None) -> pd.DataFrame:
    """The first run minus each of the others, tested over users; the larger p is corrected over all by Holm.

    Args:
        found: runs, records, or what :func:`open_run` takes.
        metric: its name.
        slice: compare within each part of this slice (``recbench list slices``) and not on the whole test set; p is
            then corrected over parts and runs together.

    Returns:
        One row for each other run: means, difference, interval over users, interval over users and seeds, p for
        these seeds, p over users and seeds, the larger one after Holm, d_z, the difference of the means over users and
        its p, and whether a difference is shown (p after Holm below .05, and an interval over users and seeds without
        0). With a slice one row for each run and part, with its number of cases and users; a part of fewer than two
        users has no test and no row.

    Raises:
        UsageError: fewer than two runs, an unknown metric or slice, a slice that a record does not allow, or other test
            cases.
    """
    import pandas as pd

    from recbench.pages.compare import family
    from recbench.pages.parts import by_part

    records = [_record(one) for one in found]
    if len(records) < 2:
        raise UsageError("compare needs two runs or more.")
    first, *others = records
    pairs, called = [(first, other) for other in others], _distinct([other.run for other in others])
    title = f"{first.run}: {metric}, minus"
    if slice is None:
        rows = [_compared(tested) for tested in family(pairs, metric)]
        return pd.DataFrame(rows, index=pd.Index(called, name=title))
    parts = [part for part in by_part(pairs, slice, metric) if part.tests]
    index = pd.MultiIndex.from_product([called, [part.part for part in parts]], names=[title, "part"])
    rows = [
        {"cases": part.n_cases, "users": part.n_users, **_compared(part.tests[number])}
        for number in range(len(others))
        for part in parts
    ]
    return pd.DataFrame(rows, index=index)


def _distinct(names: Sequence[str]) -> list[str]:
    """The names; a repeated one gets a number."""
    return [name if name not in names[:place] else f"{name} ({place + 1})" for place, name in enumerate(names)]


def _compared(tested: Tested) -> dict[str, float | bool]:
    c = tested.comparison
    return {
        "mean": c.mean_a,
        "mean of the other": c.mean_b,
        "difference": c.difference,
        "low": c.interval[0],
        "high": c.interval[1],
        "low (users and seeds)": c.interval_two_level[0],
        "high (users and seeds)": c.interval_two_level[1],
        "p": c.p,
        "p (users and seeds)": c.p_two_level,
        "p (Holm)": tested.p_holm,
        "d_z": c.effect,
        "by user": c.by_user,
        "p by user": c.p_by_user,
        "differs": tested.differs,
    }


def _record(found: Run | RunRecord | str | Path) -> RunRecord:
    if isinstance(found, RunRecord):
        return found
    return found.record if isinstance(found, Run) else open_run(found).record


def evaluate(rankings: Sequence[Sequence[Any]], data: Split, cases: Sequences | None = None) -> dict[str, float]:
    """Metrics of ranked lists, such as those of other code.

    Args:
        rankings: for each case the recommended items, best first: item ids, titles, or indices of the catalogue.
        data: the data set, from ``recbench.datasets.load``.
        cases: what was ranked; the whole test set if left out.

    Returns:
        Metric -> mean over cases, for the metrics that the lists are long enough for.

    Raises:
        UsageError: the numbers of lists and cases differ, an item is unknown, or a list has an item twice.
    """
    from recbench.evaluation import seed_means
    from recbench.lists import results_of

    found = results_of(rankings, data, data.test if cases is None else cases)
    return {name: float(values[0]) for name, values in seed_means(found).items()}
