"""What a run may spend, what it ranks and on what: the options behind the presets, and the presets."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from recbench.interfaces import Options, TrainOptions


def _listed(value: object) -> object:
    return () if value == "none" else (value,) if isinstance(value, str) else value


ReportTo = Annotated[tuple[Literal["tensorboard", "wandb", "mlflow"], ...], BeforeValidator(_listed)]
"""The type of an option that is a tracker of experiments, ``none``, or a list of trackers."""


class TrainBudget(TrainOptions):
    """The training budget and the windows it is spent on."""

    epochs: int = Field(ge=1, description="passes over the training windows; validation chooses the best")
    batch_size: int = Field(ge=1, description="windows in one step, over all processes together")
    learning_rate: float = Field(gt=0, description="peak learning rate")
    samples: int = Field(0, ge=0, description="number of training windows, chosen by a fixed rule; 0 means all")
    stride: int = Field(
        1,
        ge=1,
        description="keep every N-th window of a user, counted back from the last; samples are drawn from these",
    )
    targets: Literal["last", "all"] = Field(
        "last",
        description="which titles of a window are training targets: only the last, or all but the first, each "
        "predicted from the titles before it",
    )
    report_to: ReportTo = Field(
        (),
        exclude=True,  # as checkpoint_minutes
        description="where training curves go besides training.jsonl: one of these, or a list of them",
    )
    checkpoint_minutes: float = Field(
        10.0,
        ge=0,
        exclude=True,  # it changes no result, so it is not part of a spec or of a step's key
        description="minutes between checkpoints of training and ranking; an interrupted run continues from the last "
        "one; 0: none",
    )


class EvaluateOptions(Options):
    """What is ranked, and how deep."""

    depth: int = Field(10, ge=10, description="length of the ranked list; metrics go to 10")
    per_user: int = Field(0, ge=0, description="at most N test windows per user, evenly spaced; 0 means all")
    cases: int = Field(0, ge=0, description="at most N test windows in all, chosen by a fixed rule; 0 means all")
    validation_cases: int = Field(500, ge=1, description="validation windows that choose the epoch, by a fixed rule")
    validation_per_user: int = Field(
        0, ge=0, description="at most N validation windows per user, evenly spaced; 0 means all"
    )
    history: Literal["allowed", "excluded"] = Field(
        "allowed", description="whether items of the history may be recommended"
    )


class MachineOptions(Options):
    """What changes the last bits of a result on CPU, and is therefore part of the spec."""

    device: Literal["cpu", "cuda"] = Field("cpu", description="where models are trained and decoded")
    threads: int = Field(2, ge=1, description="CPU threads, over all processes together")
    processes: int = Field(1, ge=1, description="processes that share training and ranking, as started by torchrun")


class Tuning(BaseModel):
    """How options were chosen on validation: the grid, the seed of the trials, and their number."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    grid: dict[str, list[Any]]
    seed: int
    trials: int

    @property
    def tried(self) -> dict[str, str | list[Any]]:
        """The options that it chose, with the values that were tried."""
        return dict(self.grid)


class Search(BaseModel):
    """How options were sampled and chosen on validation.

    Attributes:
        space: option -> ``LOW..HIGH`` or ``LOW..HIGH:log``, or the list of its categories.
        sampler: proposes the values of each trial.
        pruner: ends a training whose validation scores fall behind those of earlier trials.
        seed: of the sampler and of every trial.
        trials: how many there were.
        pruned: how many of them the pruner ended.
        diverged: how many of them ended because a number was not finite.
        choice: which trial was taken. A sampled space has no order of preference, so it is the best.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    space: dict[str, str | list[Any]]
    sampler: Literal["tpe", "random", "gp"]
    pruner: Literal["median", "none"]
    seed: int = Field(ge=0, lt=2**32)
    trials: int = Field(ge=1)
    pruned: int = 0
    diverged: int = 0
    choice: Literal["best"] = "best"

    @property
    def tried(self) -> dict[str, str | list[Any]]:
        """The options that it chose, with the values that could be tried."""
        return dict(self.space)


# epochs and windows of a preset: models that read text, models that score items, preferences after a first tuning
PRESETS: dict[str, dict[str, dict[str, Any]]] = {
    "cpu": {
        "text": {"epochs": 2, "samples": 20_000, "batch_size": 32, "targets": "all"},
        "scores": {"epochs": 30, "samples": 0, "batch_size": 512, "learning_rate": 2e-3, "patience": 3},
        "preference": {"epochs": 1, "samples": 5_000, "batch_size": 32},
        "evaluate": {"per_user": 20, "validation_cases": 2000, "validation_per_user": 20},
    },
    "paper": {
        "text": {"epochs": 10, "samples": 10_000, "batch_size": 128, "learning_rate": 1e-4},
        "scores": {"epochs": 200, "samples": 0, "batch_size": 2048, "patience": 10},
        "preference": {"epochs": 3, "samples": 10_000, "batch_size": 128},
        "evaluate": {"per_user": 0, "validation_cases": 1000},
    },
}
# learning rates by what is trained: LoRA as in the MSL paper, a model from scratch, RecBole's default; preferences as
# in S-DPO's script, which takes a tenth of the LoRA's rate (so a tenth of the tiny model's, too)
TRAIN_DEFAULTS: dict[str, dict[str, Any]] = {
    "tiny": {"learning_rate": 1e-3, "schedule": "cosine", "warmup_steps": 50, "weight_decay": 0.01},
    "pretrained": {"learning_rate": 1e-4, "schedule": "linear", "warmup_steps": 20},
    "scores": {"learning_rate": 1e-3, "schedule": "constant", "gradient_clip": 0.0},
    "preference tiny": {"learning_rate": 1e-4, "schedule": "cosine", "warmup_share": 0.05, "gradient_clip": 0.3},
    "preference pretrained": {"learning_rate": 1e-5, "schedule": "cosine", "warmup_share": 0.05, "gradient_clip": 0.3},
}
