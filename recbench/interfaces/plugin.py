"""What an entry point names: a light descriptor and typed options."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict

KINDS = ("backbone", "loss", "decoder", "source", "metric", "slice")
PLURALS = ("backbones", "losses", "decoders", "sources", "metrics", "slices")
Signal = Literal["text", "scores"]


def _number_or_auto(value: object) -> object:
    if value == "auto":
        return value
    try:
        number = int(str(value))
    except ValueError:
        number = 0
    if number < 1:
        raise ValueError("it must be auto or a whole number of at least 1")
    return number


BatchSize = Annotated[int | Literal["auto"], BeforeValidator(_number_or_auto)]
"""The type of an option that is a number of users at a time, or left to the decoder."""


class Options(BaseModel):
    """Base of every plugin's options: typed, defaulted, immutable; an unknown key is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    def objection(self, depth: int) -> str:
        """Why these options cannot give a ranked list of ``depth`` items, as a sentence; empty if they can."""
        return ""

    def teacher_depth(self) -> int:
        """How many items of each of its teacher's lists a method reads."""
        return 0

    def requires(self) -> Mapping[str, str]:
        """Backbones that these values ask for, by role, beside those of the descriptor (a decoder's fusion)."""
        return {}


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
        requires: for a backbone, other backbones by role. ``{"collaborative": "sasrec"}``: a trained model that scores
            items, whose embeddings the method shows; an option called ``collaborative`` may name another.
            ``{"teacher": "bigrec"}``: a whole text recommender, trained before, that the method learns from; its parts
            and options are the group ``teacher``.
        after: for a loss on preferences, the loss that tunes its starting point and reference (S-DPO: lml).
        learns: for a text backbone, whether it trains something before the language model (``TextBackbone.learn``).
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
    after: str = ""
    learns: bool = False
    seeded: bool = True
    extra: str = ""
    paper: str = ""
