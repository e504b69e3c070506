"""Everything that a record states, computed again: from its own lists, its spec, the data and the code installed here.

A record that passes may still hold lists that no model made: for that, run a seed again.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import ValidationError

import recbench
from recbench import registry
from recbench.data.catalog import shows_examples
from recbench.description import describe, policies, spec_of
from recbench.errors import DataError, RecbenchError, UsageError
from recbench.files import canonical
from recbench.interfaces import Reporter
from recbench.leaderboard.cases import different_cases
from recbench.leaderboard.places import Places, data_paths
from recbench.leaderboard.signature import checked
from recbench.lists import TestSet, cases_of, test_set
from recbench.planning import Plan, measured
from recbench.results import RunRecord
from recbench.results.saved import content_of, opened
from recbench.spec.model import DataSet, Spec, path_options
from recbench.spec.options import EvaluateOptions
from recbench.steps.code import code_of

SHORT = 12  # digits of a checksum in a sentence


@dataclass
class Verdict:
    """What came of looking at a record.

    Attributes:
        mismatches: what is not what it should be, a sentence each.
        notes: what could not be checked, or may have a reason.
        record: the record, where the file holds one.
    """

    mismatches: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    record: RunRecord | None = None


class Verifier:
    """Verifies records one after the other, preparing each data set once.

    Args:
        places: this machine's paths.
        reporter: progress.
        signers: an ``allowed_signers`` file of OpenSSH; it need not exist.
    """

    def __init__(self, places: Places, reporter: Reporter, signers: Path) -> None:
        self.places, self.reporter, self.signers = places, reporter, signers
        self._prepared: dict[str, TestSet] = {}

    def verify(self, path: Path) -> Verdict:
        """Look at the record in a file.

        Raises:
            DataError: the file cannot be read.
            RecbenchError: code of a plugin fails.
        """
        found = Verdict()
        found.record, found.mismatches = opened(content_of(path), path.name)
        signed = checked(path, self.signers)
        found.mismatches += signed.mismatches
        found.notes += signed.notes
        if (record := found.record) is None:
            return found
        if path.name not in (f"{record.run}.json", "record.json"):
            found.mismatches.append(f"the file is called {path.name} and holds run {record.run}")
        if record.run.rpartition("-")[2] != (begins := record.spec_hash[:8]):
            found.mismatches.append(f"the run is called {record.run}, and its spec_hash begins with {begins}")
        found.mismatches += [*_of_validation(record), *_of_licence(record)]
        found.notes += _of_code(record)
        self._of_data(record, found)
        return found

    def _of_data(self, record: RunRecord, found: Verdict) -> None:
        """What follows from the spec and the data."""
        try:
            stated = DataSet.model_validate(record.spec["dataset"])
            evaluate = EvaluateOptions.model_validate(record.spec["evaluate"])
        except (ValidationError, UsageError) as error:
            sentence = " ".join(str(error).split())
            found.notes.append(f"not checked against the data: its spec cannot be read here ({sentence[:200]})")
            return
        given = record.spec["dataset"].get("options", {})
        if named := [name for name in path_options(type(stated.options)) if given.get(name)]:
            found.mismatches.append(f"its spec says where data is on a machine: dataset.options.{named[0]}")
            return
        if stated.files != record.dataset.sources:
            found.mismatches.append("the checksums of its data are not those of its spec")
        try:
            here = measured(stated.model_copy(update={"paths": data_paths(stated, self.places.data)}))
        except (UsageError, DataError) as error:
            found.notes.append(f"cases and popularity are not checked, since the data is not available: {error}")
            return
        for file in sorted({*stated.files, *here.files}):
            was, now = (files.get(file, "none")[:SHORT] for files in (stated.files, here.files))
            if was != now:
                found.mismatches.append(f"{file} has sha256 {was} in the record and {now} here")
        tests = self._test_set(here, evaluate)
        found.mismatches += different_cases(record, tests)
        for name, text in policies(stated, evaluate, tests.split).items():
            if (said := record.policies.get(name)) != text:
                found.mismatches.append(f"it says {name}: {said}, and its spec means {text}")
        self._of_words(record, tests, found)

    def _test_set(self, dataset: DataSet, evaluate: EvaluateOptions) -> TestSet:
        key = canonical([dataset.plain(), dataset.files, dataset.paths])
        if key not in self._prepared:
            self._prepared[key] = test_set(dataset, evaluate, self.reporter)
        split = self._prepared[key].split
        return TestSet(dataset, evaluate, split, cases_of(dataset, evaluate, split))

    def _of_words(self, record: RunRecord, tests: TestSet, found: Verdict) -> None:
        """Its name and what tables say of it; words may change with recbench's version."""
        if (called := tests.dataset.called) != record.dataset.name:
            found.mismatches.append(f"it says that its data set is {record.dataset.name}, and its spec means {called}")
        if record.external:
            return
        try:
            spec: Spec = spec_of(record, record.run)
        except RecbenchError as error:
            found.notes.append(f"labels and budget are not checked: {error}")
            return
        again = describe(Plan(spec, {}, record.budget.get("preset", "")), tests.split, tests.cases, "")
        if record.run != again["run"]:
            found.mismatches.append(f"the run is called {record.run}, and its spec makes it {again['run']}")
        said = {"labels": record.labels.model_dump(), "budget": record.budget}
        made = {"labels": again["labels"].model_dump(), "budget": again["budget"]}
        same = {seed.environment.get("recbench") for seed in record.seeds} == {recbench.__version__}
        for part, words in said.items():
            for name in sorted({*words, *made[part]}):
                was, now = words.get(name), made[part].get(name)
                if _pieces(was) != _pieces(now):
                    sentence = f"its {part} has {name}: {was}, and its spec makes it {now}"
                    (found.mismatches if same else found.notes).append(sentence)


def _pieces(text: str | None) -> list[str] | None:
    """A text in pieces without an order: a record does not keep that of a grid."""
    return None if text is None else sorted(re.split(r"; | \(", text))


def _of_validation(record: RunRecord) -> Iterator[str]:
    """Whether each seed's best epoch is the best that it recorded."""
    for seed in record.seeds:
        scores = [score if score is not None else -1.0 for score in seed.validation]
        if seed.best_epoch > len(scores):
            yield f"seed {seed.seed} has best epoch {seed.best_epoch} of {len(scores)}"
        elif seed.best_epoch and scores[seed.best_epoch - 1] < max(scores):
            best = scores.index(max(scores)) + 1
            yield f"seed {seed.seed} calls epoch {seed.best_epoch} its best, and epoch {best} has a higher score"


def _of_licence(record: RunRecord) -> Iterator[str]:
    """Whether it shows what its data set's licence forbids."""
    if record.examples and not shows_examples(name := record.spec["dataset"].get("name", "")):
        yield (
            f"it shows histories and titles of {name}, whose licence forbids it; "
            "recbench leaderboard add leaves them out"
        )


def _of_code(record: RunRecord) -> Iterator[str]:
    """Plugins whose code differs here under the same version."""
    for plugin in record.plugins:
        try:
            distribution, version = registry.distribution(plugin.kind, plugin.name)
            descriptor = registry.get(plugin.kind, plugin.name)
        except RecbenchError:
            yield f"{plugin.kind} {plugin.name} of {plugin.distribution} is not installed here: its code is not checked"
            continue
        if (distribution, version) != (plugin.distribution, plugin.version):
            continue
        modules = {descriptor.implementation.__module__, descriptor.options.__module__}
        if code_of(tuple(sorted(modules))).digest != plugin.code:
            yield f"{plugin.kind} {plugin.name} has different code here under the same version {version}"
