"""Identifiers: how a language model reads and writes items."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from recbench.interfaces.fitting import Fit, FitReport
from recbench.interfaces.options import Options
from recbench.interfaces.plugin import Method, O, Plugin

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from recbench.types import Catalog, Split

TITLE = "title"
"""The identifier of a run that names none."""
Shows = Literal["identifiers", "titles", "both"]
Source = Literal["windows", "text", "collaborative"]


class IdentifierOptions(Options):
    """Base of the options of an identifier that is not the title itself."""

    later = frozenset({"shows", "alignment"})

    shows: Shows = Field(
        "identifiers",
        description="how the prompt's history shows an item: by its identifier, its title, or the identifier and then "
        "the title; with titles the last item of a window is its only target",
    )

    alignment: float = Field(
        0.0,
        ge=0,
        le=10,
        description="questions about items in training, as a share of the windows: for the identifier of a title, and "
        "for the title of an identifier, in turns (LC-Rec)",
    )

    def learns_from(self) -> frozenset[Source]:
        """The data to learn from before items are named; empty for an identifier that learns nothing.

        ``windows``: the training windows. ``text``: a pretrained language model's embeddings of the titles.
        ``collaborative``: the item vectors of the model that :meth:`requires` names under the role ``collaborative``.
        """
        return frozenset()


@dataclass(frozen=True)
class Names:
    """The names of all items.

    Attributes:
        texts: one text for each item; no two are equal.
        tokens: new tokens of the language model, each of them spelled in some of the texts. No spelling is a prefix of
            another, and none occurs in a text except as that token.
    """

    texts: tuple[str, ...]
    tokens: tuple[str, ...] = ()


class Identifier(Method[O], ABC):
    """Names the items of a catalogue.

    recbench first calls :meth:`learn`, in a separate step. It then makes the tokenizer, names the items and builds the
    trie of their names. Losses, search and decoders see tokens and need not know what they spell.
    """

    def learn(self, split: Split, vectors: Mapping[str, npt.NDArray[np.float32]], fit: Fit) -> FitReport:
        """Learn what :meth:`names` needs; called if ``options.learns_from()`` names something.

        Args:
            split: the data; only ``split.train`` may be learned from.
            vectors: [items, d] by source, ``text`` and ``collaborative``, as the options ask for them; but no ``text``
                for a language model that is not pretrained (``--llm tiny``).
            fit: seed, device and progress; the identifier decides its own budget.

        Returns:
            ``watched`` of it goes into the record: how many items share a name but for its last token, for example.
        """
        return FitReport()

    def state(self) -> dict[str, npt.NDArray[Any]]:
        """What :meth:`learn` left, as arrays."""
        return {}

    def restore(self, state: Mapping[str, npt.NDArray[Any]]) -> None:
        """Restore the identifier that ``state`` came from."""

    @abstractmethod
    def names(self, catalog: Catalog) -> Names:
        """The names of all items, in the catalogue's order; the same for the same state."""


@dataclass(frozen=True, kw_only=True)
class IdentifierPlugin(Plugin):
    """Describes an :class:`Identifier`.

    Attributes:
        tokens: whether it asks for new tokens.
        titles: whether the names are the titles, so that decoders that read titles can be used. The options of any
            other identifier derive from :class:`IdentifierOptions`.
    """

    kind: ClassVar[str] = "identifier"
    implements: ClassVar[tuple[type, ...]] = (Identifier,)

    tokens: bool = True
    titles: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.titles and not issubclass(self.options, IdentifierOptions):
            raise self.wrong("options must be a class derived from recbench.interfaces.IdentifierOptions")
