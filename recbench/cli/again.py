"""A committed record run again: its spec is complete but for the paths of this machine."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from recbench.description import spec_of
from recbench.errors import UsageError
from recbench.experiment import run
from recbench.language.known import models, placed
from recbench.leaderboard.places import Places, data_paths
from recbench.planning import Plan, located, measured
from recbench.progress import reporter
from recbench.results import RunRecord, write
from recbench.spec.model import Spec
from recbench.tidy import tidied


@dataclass(frozen=True)
class Verdict:
    """The result of running a record again.

    Attributes:
        same: whether every rank is the committed one.
        text: a sentence.
    """

    same: bool
    text: str


def repeat(record: RunRecord, path: Path, places: Places, runs: Path, update: bool) -> Verdict:
    """Run every seed of the record again, and compare.

    Args:
        record: the committed one.
        path: where it is committed.
        places: this machine's paths.
        runs: where to run; empty at first, so that everything is computed.
        update: replace the committed record by the new one.

    Raises:
        UsageError: a path is needed and not given, or it holds something else than the record was made from.
        RecbenchError: of the run.
    """
    plan = plan_of(record, places)
    seeds = [result.seed for result in record.seeds]
    command = record.command.rpartition(" --seeds ")[0]
    with tidied(runs), reporter() as progress:
        new = run(plan, seeds, runs, command, progress)
    results = {result.seed: result for result in new.seeds}
    new = new.model_copy(update={"seeds": tuple(results[seed] for seed in seeds)})
    verdict = _compared(record, new)
    if not update:
        return verdict
    if record.examples is None:  # left out when it was committed
        new = new.model_copy(update={"examples": None})
    new_path = path.with_name(f"{new.run}.json")
    write(new, new_path)
    if new_path != path:
        path.unlink()
    return Verdict(verdict.same, f"{verdict.text}; updated")


def _compared(record: RunRecord, new: RunRecord) -> Verdict:
    if new.cases.digest != record.cases.digest:
        return Verdict(False, "the test cases are not the committed ones")
    results = {result.seed: result for result in new.seeds}
    seeds = [result.seed for result in record.seeds]
    other = [old.seed for old in record.seeds if not np.array_equal(old.ranks, results[old.seed].ranks)]
    if not other:
        return Verdict(True, f"ranks identical to the committed ones ({_seeds(seeds)})")
    changed = sum(int((old.ranks != results[old.seed].ranks).sum()) for old in record.seeds)
    return Verdict(False, f"ranks DIFFER from the committed ones for {_seeds(other)} ({changed:,} ranks)")


def plan_of(record: RunRecord, places: Places) -> Plan:
    """The record's spec with this machine's paths.

    Raises:
        UsageError: as :func:`repeat`.
    """
    spec = spec_of(record, record.run)
    spec = located(spec, {"dataset": data_paths(spec.dataset, places.data)}, _llm(spec, places.llms))
    stored, now = spec.dataset.files, measured(spec.dataset).files
    for file in sorted(stored.keys() | now.keys()):
        if stored.get(file) != now.get(file):
            raise UsageError(f"{file} is not the file that the record was made from (its sha256 differs).")
    return Plan(spec, {}, record.budget.get("preset", ""))


def _llm(spec: Spec, places: Mapping[str, str]) -> str | None:
    llm = spec.recommender.language_model
    if llm is None or llm.tiny:
        return None
    place = places.get(llm.name) or placed(llm.name)
    if place is None and llm.fingerprint is None:  # from the hub, by the commit that the record names
        return llm.name
    if place is None and llm.name in models():
        raise UsageError(f"its language model is not on this machine yet: run `recbench llm add {llm.name}`.")
    if place is None:
        raise UsageError(f"its language model is a local one: say where it is, as in --llm {llm.name}=PATH.")
    return place


def _seeds(seeds: list[int]) -> str:
    return f"seed{'' if len(seeds) == 1 else 's'} {', '.join(map(str, seeds))}"
