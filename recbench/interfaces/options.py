"""Typed options, which ``--set GROUP.OPTION=VALUE`` sets."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict


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


def _temperature(value: object) -> object:
    if value == "loss":
        return value
    try:
        number = float(str(value))
    except ValueError:
        number = math.nan
    if not (number > 0 and math.isfinite(number)):
        raise ValueError("it must be loss or a positive number")
    return number


Temperature = Annotated[float | Literal["loss"], BeforeValidator(_temperature)]
"""The type of an option that divides logits: by a number, or by what the model's loss divided them by."""


class Options(BaseModel):
    """Base of every plugin's options: typed, defaulted, immutable; an unknown key is an error.

    Class attributes:
        later: options that do not change what a method learns before its training (a teacher's lessons, ``learn``).
            Every other option counts there: forgetting one costs time, but never gives a wrong result.
        labelled: options that a row's label names even with their default value (which of RecBole's models it is).
        added: options of a method that are younger than runs without them. A spec leaves them out at their default,
            which must be what was done before, so that those runs keep their names.

    Raises:
        TypeError: ``later``, ``labelled`` or ``added`` names an option that the class does not have; when the class is
            created.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
    later: ClassVar[frozenset[str]] = frozenset()
    labelled: ClassVar[frozenset[str]] = frozenset()
    added: ClassVar[frozenset[str]] = frozenset()

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        for attribute in ("later", "labelled", "added"):
            names, who = getattr(cls, attribute), f"{cls.__name__}.{attribute}"
            if isinstance(names, str):
                raise TypeError(f"{who} must be a frozenset of option names, not the text {names!r}.")
            if unknown := sorted(names - cls.model_fields.keys()):
                known = ", ".join(cls.model_fields) or "none"
                raise TypeError(f"{who} names {', '.join(unknown)}, but its options are: {known}.")

    def objection(self, depth: int) -> str:
        """Why these options cannot give a ranked list of ``depth`` items, as a sentence; empty if they can."""
        return ""

    def teacher_depth(self) -> int:
        """How many items of each of its teacher's lists a method reads."""
        return 0

    def requires(self) -> Mapping[str, str]:
        """Backbones that these values ask for, by role, in addition to the descriptor's (a decoder's fusion)."""
        return {}
