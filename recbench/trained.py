"""A trained recommender from a run: recommendations and scores for any history."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from recbench import processes
from recbench.description import spec_of
from recbench.errors import DataError, RecbenchError, UsageError
from recbench.experiment import LOCAL, RECORD, STORE
from recbench.files import read_json
from recbench.interfaces import Reporter, SilentReporter
from recbench.planning import located
from recbench.process import begin
from recbench.results import RunRecord, SeedResult, read
from recbench.spec.model import Decoder, Spec
from recbench.steps.executor import Serial
from recbench.steps.graph import Graph, graph
from recbench.steps.store import Store
from recbench.types import PAD, Histories, Split

if TYPE_CHECKING:
    from recbench.language.textmodel import TextModel


@dataclass(frozen=True)
class Recommendation:
    """One item of a list: its id, its title, and its score (higher is better)."""

    item: str
    title: str
    score: float


class Trained:
    """One seed of a run, ready to recommend.

    Args:
        folder: of the run, such as ``runs/ml-100k-llara-...``.
        seed: which one; the record's first if left out.
        reporter: progress of loading.

    Raises:
        UsageError: the run has no such seed.
        RecbenchError: what it made is no longer in the store.
    """

    def __init__(self, folder: Path, seed: int | None = None, reporter: Reporter | None = None) -> None:
        self.folder, self._reporter = Path(folder), reporter or SilentReporter()
        self.record: RunRecord = read(self.folder / RECORD)
        self.result = seed_of(self.record, seed)
        self.spec = _here(spec_of(self.record, self.record.run), self.folder)
        machine = self.spec.machine.model_copy(update={"processes": processes.world()})
        begin(machine, self.spec.recommender.train is not None)  # a model of several processes loads in one
        steps = graph(self.spec, self.result.seed)
        executor = _opened(steps, self.result, self.folder.parent / STORE, self._reporter)
        self.split: Split = executor.value(steps.prepared)
        self.model: Any = executor.value(steps.model)
        if "mixed" in steps.ranked.needs:
            self.model.recommender = executor.value(steps.ranked.needs["mixed"])
        self._setting = steps.ranked.setting
        self._items = {name: index for index, name in enumerate(self.split.catalog.ids)}
        self._titles = {title: index for index, title in enumerate(self.split.catalog.titles)}

    @property
    def decoder(self) -> Decoder:
        """The run's decoder."""
        assert self.spec.recommender.decoder is not None
        return self.spec.recommender.decoder

    def recommend(
        self, histories: Sequence[Sequence[str]], k: int = 10, exclude_history: bool | None = None
    ) -> list[list[Recommendation]]:
        """The best ``k`` items for each history, by the run's decoder.

        Args:
            histories: each a list of item ids or titles, oldest first; the model sees the last items of a long one.
            k: how many items.
            exclude_history: whether items of the history are left out; the run's choice by default.

        Raises:
            UsageError: a history is empty or names an unknown item, or the decoder cannot find ``k`` items.
            RecbenchError: what the decoder returned is not a ranking; names it.
        """
        if not isinstance(k, int) or not 1 <= k <= len(self.split.catalog):
            raise UsageError(f"k={k} is not between 1 and {len(self.split.catalog)}, the number of items.")
        if objection := self.decoder.options.objection(k):
            raise UsageError(objection)
        cases, catalog, setting = self._cases(histories), self.split.catalog, self._setting
        if not len(cases):
            return []
        if exclude_history is not None:
            history = "excluded" if exclude_history else "allowed"
            setting = replace(setting, evaluate=setting.evaluate.model_copy(update={"history": history}))
        found = setting.rank(self.decoder, self.model, cases, k, self._reporter, len(catalog))
        return [
            [
                Recommendation(catalog.ids[item], catalog.titles[item], float(score))
                for item, score in zip(items, scores, strict=True)
                if item != PAD
            ]
            for items, scores in zip(found.items.tolist(), found.scores.tolist(), strict=True)
        ]

    def scores(self, histories: Sequence[Sequence[str]]) -> npt.NDArray[np.float64]:
        """[N, items] the score of every item for each history, in the order of the catalogue.

        Log-probabilities over valid tokens for a model that writes titles; a scoring model's own scores otherwise.

        Raises:
            UsageError: as :meth:`recommend`.
        """
        cases = self._cases(histories)
        if self.spec.recommender.signal == "scores":
            return np.asarray(self.model.scores(cases), np.float64)
        from recbench.search.item_scores import all_scores

        model: TextModel = self.model
        with model.at(self.decoder.temperature):
            return all_scores(model, model.encoder.prompts(cases))

    def index(self, name: str) -> int:
        """The catalogue's index of an item by its title or id; a title that is also an id counts as a title.

        Raises:
            UsageError: there is none; suggests the nearest title.
        """
        found = self._titles.get(name, self._items.get(name))
        if found is None:
            near = difflib.get_close_matches(name, self._titles, n=1, cutoff=0.5)
            hint = f"did you mean {near[0]!r}?" if near else "give a title or an item id of the data set."
            raise UsageError(f"{name!r} is not in the catalogue of {self.record.dataset.name}: {hint}")
        return found

    def _cases(self, histories: Sequence[Sequence[str]]) -> Histories:
        if isinstance(histories, str) or not isinstance(histories, Sequence):
            raise UsageError(f"histories must be a list of lists, not {histories!r}.")
        width = self.split.train.history.shape[1]
        grid = np.full((len(histories), width), PAD, np.int32)
        for row, history in enumerate(histories):
            if isinstance(history, str) or not isinstance(history, Iterable):
                raise UsageError(f"a history must be a list of titles or ids, not {history!r}.")
            items = [self.index(str(name)) for name in history]
            if not items:
                raise UsageError(f"history {row + 1} is empty: name at least one item.")
            kept = items[-width:]
            grid[row, width - len(kept) :] = kept
        users = np.full(len(histories), PAD, np.int32)  # not a user of the data set
        times = np.full(len(histories), self.split.test.time.max() + 1, np.int64)
        return Histories(users, grid, times)


def seed_of(record: RunRecord, seed: int | None) -> SeedResult:
    """A seed of a record; the first if none is named.

    Raises:
        UsageError: the record does not have it.
    """
    by_number = {result.seed: result for result in record.seeds}
    if seed is None:
        return record.seeds[0]
    if seed not in by_number:
        raise UsageError(f"seed {seed}: run {record.run} has {', '.join(map(str, sorted(by_number)))}.")
    return by_number[seed]


def _here(spec: Spec, folder: Path) -> Spec:
    """The spec with the places that the run used on this machine."""
    try:
        local: Mapping[str, Any] = read_json(folder / LOCAL)
        return located(spec, local["paths"], local["llm"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{folder / LOCAL} is missing or damaged: run the experiment here again.") from error


def _opened(steps: Graph, result: SeedResult, root: Path, reporter: Reporter) -> Serial:
    """An executor that has what the record names, whatever today's code would build."""
    executor = Serial(Store(root), reporter)
    recorded = {step.role: step.folder for step in result.steps}
    for role, step in steps.steps.items():
        if role in recorded and (found := executor.store.opened(recorded[role])) is not None:
            executor.done[step.folder] = found
    for role in ("prepare", "model"):
        if steps.steps[role].folder not in executor.done:
            raise RecbenchError(f"The {role} step of seed {result.seed} is no longer in {root}: run it here again.")
    return executor
