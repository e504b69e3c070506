"""A record of ranked lists that other code made, under the protocol of our own runs."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from recbench.data.files import sha256
from recbench.description import author, cases_of, plugins, policies
from recbench.errors import DataError, UsageError
from recbench.lists.cases import TestSet
from recbench.lists.checked import lists_of
from recbench.lists.read import read
from recbench.lists.results import target_ranks
from recbench.results import EXTERNAL, KEPT, Dataset, Labels, RunRecord, SeedResult, spec_hash
from recbench.types import Ints


@dataclass(frozen=True)
class About:
    """What is said about the lists.

    Attributes:
        name: what made them, the method's label in tables.
        llm: its language model; empty: none, so that it counts as traditional.
        command: how to evaluate them again.
    """

    name: str
    llm: str = ""
    command: str = ""


def taken_in(paths: Sequence[Path], tests: TestSet, about: About) -> RunRecord:
    """The record of the lists in some files; one without a column ``seed`` next to others is a separate seed.

    Args:
        paths: csv, tsv, parquet or TREC run files (:mod:`recbench.lists.read`).
        tests: what was ranked.
        about: see there.

    Raises:
        UsageError: a file of another kind, or no letter or digit in the name.
        DataError: a file that is not one list for each case (:func:`recbench.lists.checked.lists_of`), or two files
            with the same seed or with lists of different lengths.
    """
    slug = re.sub(r"[^a-z0-9]+", "-", about.name.lower()).strip("-")[:60]
    if not slug:
        raise UsageError(f"--name {about.name!r} has no letter or digit: say what made the lists.")
    dataset, split, cases = tests.dataset, tests.split, tests.cases
    lists, origin = _all(paths, tests)
    depth = next(iter(lists.values())).shape[1]
    evaluate = tests.evaluate.model_copy(update={"depth": max(depth, KEPT)})
    recommender = {"backbone": {"name": EXTERNAL, "options": {"label": about.name}}}
    if about.llm:
        recommender["llm"] = {"name": about.llm, "options": {}}
    spec = {"dataset": dataset.plain(), "recommender": recommender, "evaluate": evaluate.model_dump(mode="json")}
    return RunRecord(
        run=f"{dataset.called}-{EXTERNAL}-{slug}-{spec_hash(spec)[:8]}",
        spec=spec,
        spec_hash=spec_hash(spec),
        command=about.command,
        dataset=Dataset(name=dataset.called, label=dataset.called, sources=dict(split.sources)),
        labels=Labels(method=about.name, decoder=EXTERNAL, llm=about.llm),
        budget={"training": "by other code, not recorded"},
        policies=policies(dataset, evaluate, split),
        plugins=plugins([dataset]),
        cases=cases_of(evaluate, split, cases),
        seeds=tuple(_seed(seed, found, cases.target, origin[seed]) for seed, found in sorted(lists.items())),
        author=author(),
        external=True,
    )


def _all(paths: Sequence[Path], tests: TestSet) -> tuple[dict[int, Ints], dict[int, Path]]:
    """The lists of every seed, and the file of each."""
    lists: dict[int, Ints] = {}
    origin: dict[int, Path] = {}
    for number, path in enumerate(paths, start=1):
        rows = read(path)
        found = lists_of(rows, tests.split, tests.cases, tests.evaluate.history == "excluded")
        if "seed" not in rows.columns and len(paths) > 1:
            found = {number: found[0]}
        for seed, grid in found.items():
            if seed in lists:
                raise DataError(f"{path} and {origin[seed]} both hold lists of seed {seed}.")
            if grid.shape[1] != (width := next(iter(lists.values()), grid).shape[1]):
                raise DataError(f"{path} has lists of {grid.shape[1]} items and {paths[0]} of {width}.")
            lists[seed], origin[seed] = grid, path
    return lists, origin


def _seed(seed: int, lists: Ints, target: Ints, path: Path) -> SeedResult:
    return SeedResult(
        seed=seed,
        ranks=target_ranks(lists, target),
        top=lists[:, :KEPT],
        started=datetime.now(UTC).isoformat(timespec="seconds"),
        environment={"rankings": path.name, "sha256": sha256(path)},
    )


def command_of(paths: Sequence[Path], name: str, llm: str, flags: Sequence[str]) -> str:
    """The command that evaluates the lists again; files are named without their folders."""
    files = [word for path in paths for word in ("--rankings", path.name)]
    return shlex.join(["recbench", "evaluate", *files, *flags, "--name", name, *(["--llm", llm] if llm else [])])
