"""The errors a person is meant to read: one sentence, the culprit by name, what would be right."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class RecbenchError(Exception):
    """Something failed while running: printed without a traceback, exit code 1."""

    exit_code = 1


class UsageError(RecbenchError):
    """The request itself cannot be carried out: printed without a traceback, exit code 2."""

    exit_code = 2


class DataError(RecbenchError):
    """A file or data set is not what it should be: exit code 1."""


class Diverged(RecbenchError):
    """A loss, gradient or weight of a training is not finite: exit code 1, but a search continues with other values."""


class Pruned(BaseException):
    """A search has seen enough of a training; only the search catches it.

    Like :class:`Stopped`, it is not an Exception, so that no handler takes it for a failure.
    """


class Stopped(BaseException):
    """A signal ended a training or a ranking, which can continue: exit code 75, the system's word for "try again".

    Like KeyboardInterrupt, it is not an Exception, so that no handler takes it for a failure and continues.
    """

    exit_code = 75


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """A closing clause for an unknown name: the nearest known one, or all of them."""
    known = sorted(known)
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    if near:
        return f"did you mean {near[0]!r}?"
    return f"choose from {', '.join(known)}" if known else "none is installed"


def within(place: str, error: object) -> str:
    """An error's sentence with what it happened in before it: ``Within cell 'a', unknown loss 'mls': ...``."""
    text = str(error)
    word = text.partition(" ")[0]  # not a file's or a class's name
    begins = text[:1].lower() + text[1:] if word.isalpha() and word[1:].islower() else text
    return f"Within {place}, {begins}"


def short(text: str) -> str:
    """A text in quotes, cut where it is long: what messages show of a user's own words."""
    return repr(text if len(text) <= 40 else text[:39] + "…")
