"""The base classes of methods."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Protocol, TypeVar

from recbench.interfaces.fitting import Fit, FitReport, Reporter
from recbench.interfaces.plugin import Options

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import torch

    from recbench.language.textmodel import TextModel
    from recbench.training.answers import AnswerBatch
    from recbench.training.scores import ScoreBatch
    from recbench.types import Ranking, Sequences, Split

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

    def user_vectors(self, cases: Sequences) -> npt.NDArray[np.float32]:
        """[N, d] what the model makes of each history, for methods that inject it.

        Raises:
            NotImplementedError: the method has no user embeddings.
        """
        raise NotImplementedError(f"{type(self).__name__} has no user embeddings")

    def lessons(self, split: Split, teacher: Teacher, seed: int, reporter: Reporter) -> Lessons:
        """What the method takes from its teacher; kept as a stage of its own, and given to ``fit`` as ``fit.lessons``.

        Options that change the answer are marked ``json_schema_extra={"lessons": True}``.
        """
        raise NotImplementedError(f"{type(self).__name__} declares a teacher and asks nothing of it")


@dataclass(frozen=True)
class Lessons:
    """What was learned from a teacher: arrays for training, texts for people."""

    arrays: Mapping[str, npt.NDArray[Any]]
    texts: Sequence[Mapping[str, Any]] = ()


class Teacher(Protocol):
    """A trained text recommender that another method learns from."""

    @property
    def model(self) -> TextModel:
        """The tuned language model with its prompts."""

    def rank(self, cases: Sequences, depth: int, reporter: Reporter) -> Ranking:
        """The best ``depth`` items of each case, by the teacher's own decoder."""


Piece = str | int
"""A part of a prompt: text, an item index standing for that item's collaborative token, or ``USER``."""
USER = -1
"""The piece that stands for the window's own collaborative token (A-LLMRec's user vector)."""


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

    def case_vectors(self, cases: Sequences) -> npt.NDArray[np.float32] | None:
        """[N, d] what stands behind ``USER`` in each case's prompt, or None when the prompt has no such piece."""
        return None

    def case_projector(self, width_in: int, width_out: int) -> torch.nn.Module:
        """A trainable map from those vectors to token embeddings."""
        raise NotImplementedError(f"{type(self).__name__} has no user token")

    def learn(self, split: Split, embed: Callable[[Sequence[str]], npt.NDArray[np.float32]], fit: Fit) -> FitReport:
        """Train what stands before the language model (A-LLMRec's first stage); nothing by default.

        Args:
            split: the data.
            embed: texts to the untuned language model's [N, width] embeddings of them.
            fit: device, seed and progress; the method decides its own budget. Options that change what is learned are
                marked ``json_schema_extra={"lessons": True}``.
        """
        return FitReport()

    def state(self) -> dict[str, npt.NDArray[Any]]:
        """What :meth:`learn` left, as arrays."""
        return {}

    def restore(self, state: Mapping[str, npt.NDArray[Any]]) -> None:
        """Become the backbone that gave ``state``."""

    def tunes_language_model(self, pretrained: bool) -> bool:
        """Whether the language model itself is trained, beside the projectors (A-LLMRec freezes a pretrained one)."""
        return True

    def hybrid(self, step: int, steps: int, epochs: int, draw: float) -> bool:
        """Whether micro-batch ``step`` of ``steps`` (0-based, over all ``epochs``) shows collaborative embeddings.

        ``draw`` is uniform in [0, 1). Where False the tokens become an untrained placeholder.
        """
        return True


class Loss(_Method[O], ABC):
    """A training loss over the answer positions of a batch of titles.

    Class attributes:
        needs: ``{"allowed_tokens"}`` to receive the valid tokens of each position; ``{"choices"}`` too, but only up to
            each title's last position with more than one (a title without any keeps its first position): for losses
            that are zero, gradient included, where there is nothing to choose. The rest is not even read.
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


class ScoringLoss(_Method[O], ABC):
    """A training loss for a model that scores items."""

    @abstractmethod
    def __call__(self, batch: ScoreBatch) -> tuple[torch.Tensor, torch.Tensor | float]:
        """As :meth:`Loss.__call__`, over N predictions of a target item."""


class PreferenceLoss(_Method[O], ABC):
    """A loss that compares a chosen title with rejected ones against a reference model (the DPO family).

    The bench samples the rejected items, trains on TRL's trainer and starts from the model that ``Plugin.after`` tuned,
    which is the reference too.
    """

    @property
    @abstractmethod
    def negatives(self) -> int:
        """How many titles are rejected beside each chosen one."""

    @abstractmethod
    def __call__(self, chosen: torch.Tensor, rejected: torch.Tensor) -> torch.Tensor:
        """[B] losses.

        Args:
            chosen: [B] log-probability of the chosen title under the policy minus under the reference.
            rejected: [B, n] the same of the rejected titles.
        """


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
