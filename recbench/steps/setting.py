"""What all models of a seed share, and what each of them does with it: windows, budget, validation, ranking."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from recbench import registry
from recbench.data.split import cap_per_user, subsample, training_sample
from recbench.evaluation.ranks import ndcg, standard_error
from recbench.interfaces import Checkpoints, Curves, Fit, Reporter, Score, TrainOptions
from recbench.search.check import checked
from recbench.search.chunks import SIZE, Task, prompt_order, ranked
from recbench.spec.model import DataSet, Decoder, Recommender
from recbench.spec.options import EvaluateOptions, MachineOptions, TrainBudget
from recbench.steps.step import Step

if TYPE_CHECKING:
    from recbench.steps.step import Work
    from recbench.types import Histories, Ranking, Sequences, Split

MANY = 70_000  # training windows of a data set that is not prepared yet, for estimates


@dataclass(frozen=True)
class Setting:
    """Data, protocol, machine and seed."""

    dataset: DataSet
    evaluate: EvaluateOptions
    machine: MachineOptions
    seed: int

    def facts(self, recommender: Recommender) -> dict[str, Any]:
        """What decides a trained model next to the recommender itself."""
        evaluate = self.evaluate.model_dump(include={"validation_cases", "validation_per_user", "history"})
        return {
            "machine": self.machine.model_dump(mode="json"),
            "validation": {**evaluate, "decoder": validation_decoder(recommender).plain()},
            "seed": self.seed if recommender.backbone.plugin.seeded else None,
        }

    def test_cases(self, split: Split) -> Sequences:
        """The test windows that are ranked."""
        windows, options = split.test, self.evaluate
        if options.per_user:
            windows = cap_per_user(windows, options.per_user)
        return subsample(windows, options.cases) if options.cases else windows

    def validation_cases(self, split: Split) -> Sequences:
        """The validation windows that are ranked."""
        windows, options = split.valid, self.evaluate
        if options.validation_per_user:
            windows = cap_per_user(windows, options.validation_per_user)
        return subsample(windows, options.validation_cases)

    def rank(
        self,
        decoder: Decoder,
        model: Any,
        cases: Histories,
        depth: int,
        reporter: Reporter,
        items: int,
        place: Checkpoints | None = None,
        shared: bool = False,
    ) -> Ranking:
        """The best ``depth`` of ``items`` items for each case, checked.

        Args:
            decoder, model: who ranks.
            cases, depth: see :meth:`recbench.interfaces.Decoder.rank`.
            reporter: progress.
            items: size of the catalogue.
            place: where finished chunks are kept; None for a ranking that begins again when it is interrupted.
            shared: every process of the run takes part, and gets the whole ranking.

        Raises:
            RecbenchError: what the decoder returned is not a ranking; names it.
            Stopped: a signal, where chunks are kept.
        """
        excluded = self.evaluate.history == "excluded"
        who = f"decoder {decoder.name!r} of {registry.origin('decoder', decoder.name)}"
        signal, made = decoder.plugin.signal, decoder.make()  # one instance for all chunks: it may keep what they share
        task = Task(
            cases,
            prompt_order(model, cases) if signal == "text" else np.arange(len(cases)),
            SIZE[signal],
            depth,
            rank=lambda part, progress: made.rank(model, part, depth, excluded, progress),
            check=lambda found, rows: checked(found, cases.take(rows), depth, items, excluded, who, rows),
        )
        return ranked(task, reporter, place, shared)

    def validation(self, recommender: Recommender, model: Any, split: Split, work: Work) -> Callable[[], Score]:
        """NDCG@10 of ``model``, as it stands when called, on the validation sample; every process has to call it."""
        cases, decoder, quiet = self.validation_cases(split), validation_decoder(recommender), Quiet(work.reporter)

        def validate() -> Score:
            ranking = self.rank(decoder, model, cases.histories(), 10, quiet, len(split.catalog), shared=True)
            gains = ndcg(ranking.target_ranks(cases.target))
            return Score(gains.mean(), standard_error(gains, cases.users))

        return validate

    def fit(
        self, budget: TrainBudget | None, validate: Callable[[], Score] | None, work: Work, step: Step, **more: Any
    ) -> Fit:
        """What the training of a step is given; without a budget, what decides its own or trains nothing is."""
        own = set(TrainOptions.model_fields)
        options = None if budget is None else TrainOptions(**budget.model_dump(include=own))
        machine, more["checkpoints"] = self.machine, work.checkpoints(step, minutes_of(budget))
        more["after_epoch"] = partial(work.after_epoch, step)
        more["curves"] = Curves(budget.report_to, work.curves(step)) if budget and budget.report_to else None
        return replace(Fit(options, self.seed, machine.device, machine.threads, validate, work.reporter), **more)


@dataclass(frozen=True, eq=False)
class RecommenderStep(Step):
    """A step of one recommender in one setting."""

    recommender: Recommender
    setting: Setting

    @property
    def machine(self) -> MachineOptions | None:
        """The setting's; None for a method that is counted, not trained."""
        return self.setting.machine if self.recommender.train is not None else None


def validation_decoder(recommender: Recommender) -> Decoder:
    """The decoder that ranks the validation sample, whatever ranks the test set: one model serves every decoder."""
    return Decoder.model_validate({"name": recommender.backbone.plugin.selects})


def training_windows(split: Split, budget: TrainBudget | None) -> Sequences:
    """The windows that a budget is spent on; without one, all of them."""
    return training_sample(split, *windows_of(budget).values())


def windows_of(budget: TrainBudget | None) -> dict[str, int]:
    """How many windows a budget takes and with which stride, as facts of a step."""
    if budget is None:
        return {"samples": 0, "stride": 1}
    return {"samples": budget.samples, "stride": budget.stride}


def minutes_of(budget: TrainBudget | None) -> float:
    """Minutes between two checkpoints of what is trained or ranked with a budget; without one, the default."""
    return TrainBudget.model_fields["checkpoint_minutes"].default if budget is None else budget.checkpoint_minutes


def work_of(budget: TrainBudget | None) -> float:
    """Windows that a training sees, for estimates; a guess where it takes all of them."""
    return float(budget.epochs * (budget.samples or MANY)) if budget else 1.0


class Quiet:
    """Validation ranks in the middle of training: its progress would overwrite the training's."""

    def __init__(self, reporter: Reporter) -> None:
        self._reporter = reporter

    def begin(self, name: str, total: int | None = None) -> None:
        """Ignore it."""

    def advance(self, done: int, total: int | None = None, **values: float) -> None:
        """Ignore it."""

    def end(self) -> None:
        """Ignore it."""

    def message(self, text: str) -> None:
        """Pass it on."""
        self._reporter.message(text)
