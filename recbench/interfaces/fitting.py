"""What a training is given and what it reports."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

from pydantic import Field

from recbench.errors import RecbenchError
from recbench.interfaces.options import Options

if TYPE_CHECKING:
    import numpy.typing as npt


class Reporter(Protocol):
    """Where progress goes: a terminal, a log, or nowhere."""

    def begin(self, name: str, total: int | None = None) -> None:
        """Something new begins, in ``total`` parts if their number is known."""

    def advance(self, done: int, total: int | None = None, **values: float) -> None:
        """``done`` of its parts are finished; ``values`` such as loss."""

    def end(self) -> None:
        """It is finished."""

    def message(self, text: str) -> None:
        """A line worth keeping."""


class SilentReporter:
    """A reporter for tests and library use."""

    def begin(self, name: str, total: int | None = None) -> None:
        """Ignore it."""

    def advance(self, done: int, total: int | None = None, **values: float) -> None:
        """Ignore it."""

    def end(self) -> None:
        """Ignore it."""

    def message(self, text: str) -> None:
        """Ignore it."""


class TrainOptions(Options):
    """The training budget of one model; every field is part of the spec."""

    epochs: int
    batch_size: int
    learning_rate: float
    warmup_steps: int = Field(0, ge=0, description="steps in which the learning rate rises to its largest value")
    warmup_share: float = Field(0.0, ge=0, lt=1, description="the same as a share of all steps; added to warmup_steps")
    schedule: Literal["linear", "cosine", "constant", "llara"] = Field(
        "linear",
        description="schedule after the warm-up; llara: LLaRA's own, which rises from a hundredth of the largest value "
        "over a twentieth of the steps and falls back to it on a cosine over all of them",
    )
    weight_decay: float = Field(0.0, ge=0, description="AdamW's")
    gradient_clip: float = Field(1.0, ge=0, description="largest norm of a step's gradient; 0 does not clip")
    patience: int = Field(
        0, ge=0, description="epochs without a better validation score before stopping; 0 trains all epochs"
    )


class Score(float):
    """A validation score with its standard error over users; NaN if unknown."""

    def __new__(cls, value: float, error: float = float("nan")) -> Score:
        """Both as numbers between 0 and 1."""
        return super().__new__(cls, value)

    def __init__(self, value: float, error: float = float("nan")) -> None:
        self.error = float(error)

    @classmethod
    def of(cls, value: float) -> Score:
        """Turn a plain number into a score; a score stays as it is."""
        return value if isinstance(value, Score) else cls(value)

    def __reduce__(self) -> tuple[type, tuple[float, float]]:
        """For the processes of a training, which share the first one's."""
        return Score, (float(self), self.error)


@dataclass
class Checkpoints:
    """Where the trainings and rankings of a step keep what they need to continue after an interruption.

    Attributes:
        folder: named as the step is; made with the first checkpoint.
        minutes: between two checkpoints; 0 writes none.
        begun: trainings and rankings that have begun so far; one after the other, each has its own files.
        seconds: of work in earlier processes that this one continues.
    """

    folder: Path
    minutes: float
    begun: int = 0
    seconds: float = 0.0


@dataclass(frozen=True)
class Curves:
    """Where the curves of a training go.

    Attributes:
        to: ``tensorboard``, ``wandb``, ``mlflow``.
        folder: named as the step is; made when the training begins.
    """

    to: tuple[str, ...]
    folder: Path


@dataclass(frozen=True)
class Fit:
    """What a backbone needs to train itself once.

    Attributes:
        train: the options of training. None, where :attr:`budget` says what to declare, for a scoring backbone that
            declares neither ``default_loss`` nor ``trained``, and for what decides its own budget
            (``TextBackbone.learn``, ``Identifier.learn``).
        seed: the run's seed; derive generators with ``recbench.seeds``.
        device: ``cpu`` or ``cuda``.
        threads: CPU threads.
        validate: NDCG@10 of the current model on the validation sample, as a :class:`Score`; called after every
            epoch, by every process of a training, since they share the work. None keeps the last epoch (a training that
            has no ranking yet).
        reporter: progress.
        loss: the :class:`ScoringLoss` that a scoring backbone is trained with; None for a method without one.
        lessons: what the method took from its teacher (:meth:`ScoringBackbone.lessons`).
        checkpoints: where the bench's loop keeps checkpoints; None for a training that keeps none.
        after_epoch: called by the bench's loop with the scores of all epochs so far, in every process, after each
            validation; it changes nothing that is trained, and may end the training by an exception. None: no call.
        curves: where the bench's loop sends curves; None for nowhere.
    """

    train: TrainOptions | None
    seed: int
    device: str
    threads: int
    validate: Callable[[], float] | None
    reporter: Reporter
    loss: Any = None
    lessons: Mapping[str, npt.NDArray[Any]] = field(default_factory=dict)
    checkpoints: Checkpoints | None = None
    after_epoch: Callable[[Sequence[float]], None] | None = None
    curves: Curves | None = None

    @property
    def budget(self) -> TrainOptions:
        """The budget, for a training that needs one.

        Raises:
            RecbenchError: there is none; says what to declare.
        """
        if self.train is None:
            raise RecbenchError(
                "This training has no budget: a scoring backbone declares trained=True or a default_loss in its "
                "BackbonePlugin, and a method that decides its own budget puts it into the Fit's train."
            )
        return self.train


@dataclass(frozen=True)
class FitReport:
    """What a training did: its length, losses and the epoch that validation chose (1-based; 0: not trained).

    ``validation_error`` is the standard error over users of the chosen epoch's validation score. ``log`` is the course
    of the training: ``step`` and ``epoch`` with ``loss``, ``learning_rate`` and what the loss watches, or with
    ``validation`` and ``validation_error``; None stands for a value that is not finite. ``temperature`` is the loss's
    at the end of the chosen epoch.
    """

    steps: int = 0
    epochs: int = 0
    best_epoch: int = 0
    validation: tuple[float, ...] = ()
    validation_error: float = 0.0
    losses: tuple[tuple[int, float], ...] = ()
    seconds: float = 0.0
    watched: Mapping[str, float] = field(default_factory=dict)  # at the end: by the loss (tau), by steps before it
    peak_memory_bytes: int = 0
    temperature: float = 1.0
    log: tuple[Mapping[str, float | None], ...] = ()
