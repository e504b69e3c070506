"""What a plugin is: a light descriptor, typed options, and one of four base classes.

A third party's package needs this module alone. Nothing here imports numpy or torch at run time.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Literal, Protocol, TypeVar

from pydantic import BaseModel, ConfigDict, Field

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import torch

    from recbench.training.answers import AnswerBatch
    from recbench.types import Ranking, Sequences, Split

KINDS = ("backbone", "loss", "decoder", "source")
PLURALS = ("backbones", "losses", "decoders", "sources")
Signal = Literal["text", "scores"]


class Options(BaseModel):
    """Base of every plugin's options: typed, defaulted, immutable; an unknown key is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    def objection(self, depth: int) -> str:
        """Why these options cannot give a ranked list of ``depth`` items, as a sentence; empty if they can."""
        return ""


@dataclass(frozen=True)
class Plugin:
    """What an entry point names: enough to list, check and plan a method without importing it.

    Attributes:
        kind: backbone, loss, decoder or source.
        summary: one line for ``recbench list``.
        implementation: ``"module:Class"``, imported on first use.
        options: the method's typed options.
        signal: what a backbone produces, a decoder accepts or a loss trains: text or scores.
        default_loss, default_decoder: for a backbone, what is used when the user names none; an empty default loss
            means that the method is not trained by a loss.
        requires: for a backbone, other backbones by role, e.g. ``{"collaborative": "sasrec"}``.
        seeded: False for a method whose result does not depend on the seed.
        extra: what ``pip install`` needs when the implementation cannot be imported.
        paper: authors, title, venue and address.
    """

    kind: str
    summary: str
    implementation: str
    options: type[Options] = Options
    signal: Signal = "text"
    default_loss: str = ""
    default_decoder: str = ""
    requires: Mapping[str, str] = field(default_factory=dict)
    seeded: bool = True
    extra: str = ""
    paper: str = ""


class Reporter(Protocol):
    """Where progress goes: a terminal, a log, or nowhere."""

    def stage(self, name: str, total: int | None = None) -> None:
        """A new stage begins; ``total`` steps if known."""

    def step(self, done: int, total: int | None = None, **values: float) -> None:
        """``done`` steps of the stage are finished; ``values`` such as loss."""

    def message(self, text: str) -> None:
        """A line worth keeping."""


class SilentReporter:
    """A reporter for tests and library use."""

    def stage(self, name: str, total: int | None = None) -> None:
        """Ignore it."""

    def step(self, done: int, total: int | None = None, **values: float) -> None:
        """Ignore it."""

    def message(self, text: str) -> None:
        """Ignore it."""


class TrainOptions(Options):
    """The training budget of one model; every field is part of the spec."""

    epochs: int
    batch_size: int
    learning_rate: float
    warmup_steps: int = Field(0, ge=0, description="steps in which the learning rate rises to its largest value")
    schedule: Literal["linear", "cosine", "constant"] = Field("linear", description="of the learning rate, after that")
    weight_decay: float = Field(0.0, ge=0, description="AdamW's")
    gradient_clip: float = Field(1.0, ge=0, description="largest norm of a step's gradient; 0 does not clip")
    patience: int = Field(
        0, ge=0, description="epochs without a better validation score before stopping; 0 trains all epochs"
    )


@dataclass(frozen=True)
class Fit:
    """What a backbone needs to train itself once.

    Attributes:
        train: the budget.
        seed: the run's seed; derive generators with ``recbench.seeds``.
        device: ``cpu`` or ``cuda``.
        threads: CPU threads.
        validate: NDCG@10 on the validation sample for the model as it stands; called after every epoch.
        reporter: progress.
    """

    train: TrainOptions
    seed: int
    device: str
    threads: int
    validate: Callable[[], float]
    reporter: Reporter


@dataclass(frozen=True)
class FitReport:
    """What a training did: its length, losses and the epoch that validation chose (1-based; 0: not trained)."""

    steps: int = 0
    epochs: int = 0
    best_epoch: int = 0
    validation: tuple[float, ...] = ()
    losses: tuple[tuple[int, float], ...] = ()
    seconds: float = 0.0
    watched: Mapping[str, float] = field(default_factory=dict)  # the loss's own values at the end (MSL: tau)
    peak_memory_bytes: int = 0


O = TypeVar("O", bound=Options)  # noqa: E741 - the conventional short name for a type variable


class _Method(Generic[O]):
    def __init__(self, options: O) -> None:
        self.options = options


class ScoringBackbone(_Method[O], ABC):
    """A recommender that scores every item of the catalogue (popularity, SASRec)."""

    @abstractmethod
    def fit(self, split: Split, fit: Fit) -> FitReport:
        """Train on ``split.train``; leave the epoch that ``fit.validate`` scored best."""

    @abstractmethod
    def scores(self, cases: Sequences) -> npt.NDArray[np.float32]:
        """[N, items] scores, higher is better; dropout and other training noise off."""

    @abstractmethod
    def state(self) -> dict[str, npt.NDArray[Any]]:
        """Everything :meth:`restore` needs, as arrays."""

    @abstractmethod
    def restore(self, split: Split, state: Mapping[str, npt.NDArray[Any]]) -> None:
        """Become the model that gave ``state``."""

    def item_vectors(self) -> npt.NDArray[np.float32]:
        """[items, d] embedding table, for methods that inject it.

        Raises:
            NotImplementedError: the method has no item embeddings.
        """
        raise NotImplementedError(f"{type(self).__name__} has no item embeddings")


Piece = str | int
"""A part of a prompt: text, or an item index standing for that item's collaborative token."""


class TextBackbone(_Method[O], ABC):
    """A recommender whose language model generates the next item's title.

    It decides what the prompt holds; tokens, training and decoding are the bench's.
    """

    def __init__(self, options: O, collaborative: ScoringBackbone[Any] | None = None) -> None:
        super().__init__(options)
        self.collaborative = collaborative

    @abstractmethod
    def prompt(self, titles: Sequence[str], items: Sequence[int], template: Any) -> list[Piece]:
        """The prompt for one history, oldest first: ``titles`` and ``items`` correspond."""

    def item_vectors(self) -> npt.NDArray[np.float32] | None:
        """[items, d] what stands behind the collaborative tokens, or None when the prompt has no such token."""
        return None

    def projector(self, width_in: int, width_out: int) -> torch.nn.Module:
        """A trainable map from those vectors to token embeddings."""
        raise NotImplementedError(f"{type(self).__name__} has no collaborative tokens")

    def hybrid(self, step: int, steps: int, epochs: int, draw: float) -> bool:
        """Whether micro-batch ``step`` of ``steps`` (0-based, over all ``epochs``) shows collaborative embeddings.

        ``draw`` is uniform in [0, 1). Where False the tokens become an untrained placeholder.
        """
        return True


class Loss(_Method[O], ABC):
    """A training loss over the answer positions of a batch of titles.

    Class attributes:
        needs: ``{"allowed_tokens"}`` to receive the valid tokens of each position.
    """

    needs: ClassVar[frozenset[str]] = frozenset()

    @abstractmethod
    def __call__(self, batch: AnswerBatch) -> tuple[torch.Tensor, torch.Tensor | float]:
        """The summed loss and the number it is divided by; sums make several devices agree with one.

        The bench adds both over devices and divides: return ``(losses.sum(), count)``, count 0 for an empty batch.
        """

    def state(self) -> dict[str, float]:
        """Values worth logging beside the loss (MSL: tau)."""
        return {}


class Decoder(_Method[O], ABC):
    """Turns a trained model into a ranking of the catalogue."""

    @abstractmethod
    def rank(self, model: Any, cases: Sequences, depth: int, exclude_history: bool, reporter: Reporter) -> Ranking:
        """The best ``depth`` items of each case.

        Args:
            model: a :class:`TextModel` or a :class:`ScoringBackbone`, as the descriptor's ``signal`` says.
            cases: the windows to rank.
            depth: how many items to return.
            exclude_history: never recommend an item of the case's history.
            reporter: progress.
        """


class DataSource(_Method[O], ABC):
    """Reads one kind of data and prepares it under the protocol."""

    @abstractmethod
    def inputs(self) -> Mapping[str, str]:
        """sha256 of every raw file, by file name: names the data."""

    @abstractmethod
    def prepare(self, reporter: Reporter) -> Split:
        """Read, verify, window and split.

        Raises:
            DataError: a file is missing, truncated or malformed; names the file, the row and what is right.
        """


__all__ = [
    "KINDS",
    "PLURALS",
    "DataSource",
    "Decoder",
    "Fit",
    "FitReport",
    "Loss",
    "Options",
    "Piece",
    "Plugin",
    "Reporter",
    "ScoringBackbone",
    "Signal",
    "SilentReporter",
    "TextBackbone",
    "TrainOptions",
]
