"""Losses: for models that write titles, for models that score items, and for preferences."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal, get_args

from recbench.interfaces.plugin import Method, O, Plugin, Resumable, Signal

if TYPE_CHECKING:
    import torch

    from recbench.training.answers import AnswerBatch
    from recbench.training.scores import ScoreBatch

Positions = Literal["all", "valid", "choices"]


class Loss(Method[O], Resumable, ABC):
    """A training loss over the answer positions of a batch of titles.

    Class attributes:
        positions: which positions of a title it sees, and with what. ``all``: every one. ``valid``: every one, each
            with the tokens that continue some title of the catalogue (``indptr``, ``allowed``, ``valid_logits()``).
            ``choices``: as ``valid``, but only up to each title's last position with more than one valid token (a title
            without any keeps its first position): for losses that are zero, gradient included, where there is nothing
            to choose. The model does not read the rest.

    Raises:
        TypeError: ``positions`` has another value; raised when the class is created.
    """

    signal: ClassVar[Signal] = "text"
    positions: ClassVar[Positions] = "all"

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if cls.positions not in (words := get_args(Positions)):
            raise TypeError(f"{cls.__name__}.positions must be {', '.join(words)}, not {cls.positions!r}.")

    @abstractmethod
    def __call__(self, batch: AnswerBatch) -> tuple[torch.Tensor, torch.Tensor | float]:
        """The summed loss and the number to divide it by, so that several devices give the same result as one.

        recbench adds both over devices and divides: return ``(losses.sum(), count)``, count 0 for an empty batch.
        """

    def state(self) -> dict[str, float]:
        """Values worth logging next to the loss (MSL: tau)."""
        return {}

    @property
    def softmax_temperature(self) -> float:
        """What the loss divides logits by before its softmax (MSL: tau). A decoder can do the same."""
        return 1.0


class ScoringLoss(Method[O], Resumable, ABC):
    """A training loss for a model that scores items."""

    signal: ClassVar[Signal] = "scores"

    @abstractmethod
    def __call__(self, batch: ScoreBatch) -> tuple[torch.Tensor, torch.Tensor | float]:
        """Like :meth:`Loss.__call__`, over N predictions of a target item."""


class PreferenceLoss(Method[O], Resumable, ABC):
    """A loss that compares a chosen title with rejected ones against a reference model (the DPO family).

    recbench samples the rejected items, trains with TRL's trainer, and starts from the model that ``LossPlugin.after``
    tuned. That model is also the reference.
    """

    signal: ClassVar[Signal] = "text"

    @property
    @abstractmethod
    def negatives(self) -> int:
        """How many titles are rejected for each chosen one."""

    @abstractmethod
    def __call__(self, chosen: torch.Tensor, rejected: torch.Tensor) -> torch.Tensor:
        """[B] losses.

        Args:
            chosen: [B] log-probability of the chosen title under the policy minus under the reference.
            rejected: [B, n] the same of the rejected titles.
        """


@dataclass(frozen=True, kw_only=True)
class LossPlugin(Plugin):
    """Describes a :class:`Loss`, :class:`ScoringLoss` or :class:`PreferenceLoss`.

    Attributes:
        after: for a loss on preferences, and no other: the loss that tunes its starting point and reference (S-DPO:
            lml).
    """

    kind: ClassVar[str] = "loss"
    implements: ClassVar[tuple[type, ...]] = (Loss, ScoringLoss, PreferenceLoss)

    after: str = ""

    def __post_init__(self) -> None:
        super().__post_init__()
        if issubclass(self.implementation, PreferenceLoss) != bool(self.after):
            raise self.wrong("a PreferenceLoss, and no other loss, names in 'after' the loss that tunes its reference")

    @property
    def signal(self) -> Signal:
        """text or scores, as the implementation's base class says."""
        return self.implementation.signal
