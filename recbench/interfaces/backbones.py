"""Backbones: the recommendation models. They score items or write titles."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Literal, get_args

from recbench.interfaces.fitting import Fit, FitReport, Reporter
from recbench.interfaces.plugin import Method, O, Plugin, Signal
from recbench.interfaces.teachers import Lessons, Teacher

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import torch

    from recbench.types import Histories, Split


class ScoringBackbone(Method[O], ABC):
    """A recommender that scores every item of the catalogue (popularity, SASRec)."""

    signal: ClassVar[Signal] = "scores"

    @abstractmethod
    def fit(self, split: Split, fit: Fit) -> FitReport:
        """Train on ``split.train``; leave the epoch that ``fit.validate`` scored best."""

    @abstractmethod
    def scores(self, cases: Histories) -> npt.NDArray[np.float32]:
        """[N, items] scores, higher is better; dropout and other training noise off."""

    @abstractmethod
    def state(self) -> dict[str, npt.NDArray[Any]]:
        """Everything :meth:`restore` needs, as arrays."""

    @abstractmethod
    def restore(self, split: Split, state: Mapping[str, npt.NDArray[Any]]) -> None:
        """Restore the model that ``state`` came from."""

    def item_vectors(self) -> npt.NDArray[np.float32]:
        """[items, d] embedding table, for methods that inject it.

        Raises:
            NotImplementedError: the method has no item embeddings.
        """
        raise NotImplementedError(f"{type(self).__name__} has no item embeddings")

    def user_vectors(self, cases: Histories) -> npt.NDArray[np.float32]:
        """[N, d] the model's vector of each history, for methods that inject it.

        Raises:
            NotImplementedError: the method has no user embeddings.
        """
        raise NotImplementedError(f"{type(self).__name__} has no user embeddings")

    def lessons(self, split: Split, teacher: Teacher, seed: int, reporter: Reporter) -> Lessons:
        """What the method takes from its teacher; stored as a separate step, and passed to ``fit`` as ``fit.lessons``.

        Options that do not change the answer are named by ``Options.later``.
        """
        raise NotImplementedError(f"{type(self).__name__} declares a teacher but does not define lessons()")


Targets = Literal["last", "all"]
Piece = str | int
"""A part of a prompt: text, an item index for that item's collaborative token, or ``USER``."""
USER = -1
"""The piece for the window's own collaborative token (A-LLMRec's user vector).

With ``train.targets=all`` it comes after the last title, since it reveals the whole history."""


class TextBackbone(Method[O], ABC):
    """A recommender whose language model generates the next item's title.

    It decides what the prompt contains. recbench does the rest: tokens, training and decoding.

    Class attributes:
        targets: which titles of a window can be training targets (``train.targets``). ``last``: the one after the
            prompt. ``all``: those of the history too, each predicted from what comes before it. The prompt must then
            give every title as a separate piece, oldest first, and show an item's token only after the item's title.
    """

    signal: ClassVar[Signal] = "text"
    targets: ClassVar[Targets] = "last"

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if cls.targets not in (words := get_args(Targets)):
            raise TypeError(f"{cls.__name__}.targets must be {' or '.join(words)}, not {cls.targets!r}.")

    def __init__(self, options: O, collaborative: ScoringBackbone[Any] | None = None) -> None:
        super().__init__(options)
        self.collaborative = collaborative

    @abstractmethod
    def prompt(self, titles: Sequence[str], items: Sequence[int], template: Any) -> list[Piece]:
        """The prompt for one history, oldest first: ``titles`` and ``items`` correspond.

        Args:
            titles: quoted as the template quotes them. Neighbouring texts are joined before they are tokenised.
            items: their indices.
            template: the words around them (:class:`recbench.prompts.templates.Template`).
        """

    def item_vectors(self) -> npt.NDArray[np.float32] | None:
        """[items, d] the vectors of the collaborative tokens, or None if the prompt has no such token."""
        return None

    def projector(self, width_in: int, width_out: int) -> torch.nn.Module:
        """A trainable map from those vectors to token embeddings."""
        raise NotImplementedError(f"{type(self).__name__} has no collaborative tokens")

    def case_vectors(self, cases: Histories) -> npt.NDArray[np.float32] | None:
        """[N, d] the vector of ``USER`` in each case's prompt, or None if the prompt has no such piece."""
        return None

    def case_projector(self, width_in: int, width_out: int) -> torch.nn.Module:
        """A trainable map from those vectors to token embeddings."""
        raise NotImplementedError(f"{type(self).__name__} has no user token")

    def learn(self, split: Split, embed: Callable[[Sequence[str]], npt.NDArray[np.float32]], fit: Fit) -> FitReport:
        """Train what comes before the language model (A-LLMRec's first stage); nothing by default.

        Args:
            split: the data.
            embed: texts to the untuned language model's [N, width] embeddings of them.
            fit: device, seed and progress; the method decides its own budget. Options that do not change what is
                learned are named by ``Options.later``.
        """
        return FitReport()

    def state(self) -> dict[str, npt.NDArray[Any]]:
        """What :meth:`learn` left, as arrays."""
        return {}

    def restore(self, state: Mapping[str, npt.NDArray[Any]]) -> None:
        """Restore the backbone that ``state`` came from."""

    def tunes_language_model(self, pretrained: bool) -> bool:
        """Whether the language model is trained too, not the projectors alone (A-LLMRec freezes a pretrained one)."""
        return True

    @property
    def draw_rows(self) -> int:
        """Rows of a batch that are a micro-batch, for which :meth:`hybrid` decides together; 0: the whole batch."""
        return 0

    def hybrid(self, step: int, steps: int, epochs: int, draw: float) -> bool:
        """Whether micro-batch ``step`` of ``steps`` (0-based, over all ``epochs``) shows collaborative embeddings.

        ``draw`` is uniform in [0, 1). Where False the tokens become an untrained placeholder.
        """
        return True


@dataclass(frozen=True, kw_only=True)
class BackbonePlugin(Plugin):
    """Describes a :class:`ScoringBackbone` or :class:`TextBackbone`.

    Attributes:
        default_loss: the loss if the user names none; empty for a method that is trained without a loss.
        trained: whether a scoring backbone brings its own loss: ``fit`` gets a budget without a ``default_loss``.
        default_decoder: the decoder if the user names none.
        validation_decoder: ranks the validation sample, which chooses the epoch; empty for ``default_decoder``.
        requires: other backbones by role. ``{"collaborative": "sasrec"}``: a trained model that scores items, whose
            embeddings the method shows; an option called ``collaborative`` may name another. ``{"teacher": "bigrec"}``:
            a whole text recommender, trained before, that the method learns from; its parts and options are the group
            ``teacher``.
        learns: whether a text backbone trains something before the language model (``TextBackbone.learn``).
        seeded: False for a method whose result does not depend on the seed.
    """

    kind: ClassVar[str] = "backbone"
    implements: ClassVar[tuple[type, ...]] = (ScoringBackbone, TextBackbone)

    default_loss: str = ""
    trained: bool = False
    default_decoder: str
    validation_decoder: str = ""
    requires: Mapping[str, str] = field(default_factory=dict)
    learns: bool = False
    seeded: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.default_decoder:
            raise self.wrong("default_decoder must name a decoder")
        if self.learns and self.signal != "text":
            raise self.wrong("learns is for text backbones: a scoring backbone learns in fit")
        if self.trained and (self.default_loss or self.signal != "scores"):
            raise self.wrong("trained is for a scoring backbone without a default_loss")
        if unknown := sorted(set(self.requires) - set(ROLES)):
            raise self.wrong(f"requires names the role {unknown[0]!r}, but there are only {' and '.join(ROLES)}")

    @property
    def selects(self) -> str:
        """The decoder that ranks the validation sample."""
        return self.validation_decoder or self.default_decoder

    @property
    def signal(self) -> Signal:
        """text or scores, as the implementation's base class says."""
        return self.implementation.signal


ROLES = ("collaborative", "teacher")
"""Of what a backbone requires."""
