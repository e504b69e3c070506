"""A committed record run again: its spec is complete but for the paths of this machine."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from recbench import registry
from recbench.cli.places import source_options
from recbench.cli.progress import reporter
from recbench.cli.tidy import tidied
from recbench.config import RunSpec
from recbench.errors import UsageError
from recbench.language.facts import describe_llm
from recbench.language.options import TINY
from recbench.results import RunRecord, write
from recbench.run import run
from recbench.stages import source_of


@dataclass(frozen=True)
class Places:
    """Paths on this machine: data by data set name or label, language models by name."""

    data: Mapping[str, str]
    llms: Mapping[str, str]


def repeat(record: RunRecord, path: Path, places: Places, runs: Path, again: bool) -> str:
    """Run the record's spec and seeds again, write the new record to ``path``, and say what came of it.

    Raises:
        UsageError: a path is needed and not given, or what is there is not what the record was made from.
        RecbenchError: of the run.
    """
    spec = spec_of(record, places)
    seeds = [result.seed for result in record.seeds]
    with tidied(runs), reporter() as progress:
        new = run(spec, seeds, runs, record.command.rpartition(" --seeds ")[0], progress, again)
    results = {result.seed: result for result in new.seeds}
    new = new.model_copy(update={"seeds": tuple(results[seed] for seed in seeds)})
    write(new, path)
    if new.cases.digest != record.cases.digest:
        return "updated; the test cases are others than committed"
    old = {result.seed: result.ranks for result in record.seeds}
    other = [seed for seed in seeds if not np.array_equal(old[seed], results[seed].ranks)]
    if not other:
        return f"updated; ranks identical to the committed ones ({_seeds(seeds)})"
    changed = sum(int((old[seed] != results[seed].ranks).sum()) for seed in other)
    return f"updated; ranks DIFFER from the committed ones for {_seeds(other)} ({changed:,} ranks)"


def spec_of(record: RunRecord, places: Places) -> RunSpec:
    """The record's spec with this machine's paths.

    Raises:
        UsageError: as :func:`repeat`.
    """
    spec = RunSpec(record.spec, {}, {}, record.budget.get("preset", ""), "text" if "llm" in record.spec else "scores")
    found = {**_data(spec, places.data), **_llm(record, places.llms)}
    spec = RunSpec(spec.parts, {}, found, spec.preset, spec.signal)
    stored, now = spec.parts["dataset"].get("inputs", {}), dict(source_of(spec).inputs())
    for file in sorted(stored.keys() | now.keys()):
        if stored.get(file) != now.get(file):
            raise UsageError(f"{file} is not the file that the record was made from (its sha256 differs).")
    return spec


def _data(spec: RunSpec, places: Mapping[str, str]) -> dict[str, str]:
    data = spec.parts["dataset"]
    label = str(data.get("label", data["name"]))
    given = places.get(label, places.get(data["name"]))
    known = registry.get("source", data["source"]).options.model_fields
    if given is None and ("dir" in known or "file" in known) and "label" in data:
        raise UsageError(f"its data is one's own: say where with --data-dir {label}=PATH.")
    return source_options(data["name"], data["source"], given)


def _llm(record: RunRecord, places: Mapping[str, str]) -> dict[str, str]:
    llm = record.spec.get("llm") or record.spec.get("teacher", {}).get("llm")
    if llm is None:
        return {}
    if llm["name"] == TINY:
        return {"llm": TINY}
    place = places.get(llm["name"])
    if place is None and "fingerprint" not in llm:  # from the hub: its whole identifier is in the command
        words = shlex.split(record.command)
        place = next((words[i + 1] for i, word in enumerate(words[:-1]) if word == "--llm"), None)
    if place is None:
        raise UsageError(f"its language model is a local one: say where with --llm {llm['name']}=PATH.")
    facts = describe_llm(place, llm.get("commit", ""))
    if any(llm.get(fact) != getattr(facts, fact) for fact in ("fingerprint", "commit")):
        raise UsageError(f"--llm {llm['name']}={place} is not the model that the record was made from.")
    return {"llm": facts.place}


def _seeds(seeds: list[int]) -> str:
    return f"seed{'' if len(seeds) == 1 else 's'} {', '.join(map(str, seeds))}"
