"""The space that a search samples: ranges of numbers, and categories."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from recbench.documents import yaml_value
from recbench.errors import UsageError
from recbench.spec.request import DECODER
from recbench.tuning.grid import check_target, check_values

BETWEEN, LOG = "..", ":log"
_FORM = "GROUP.OPTION=LOW..HIGH (train.learning_rate=1e-4..1e-2:log) or GROUP.OPTION=A,B,... (loss.tau=1,2,4)"
_DIGITS = 6


@dataclass(frozen=True)
class Range:
    """Numbers from ``low`` to ``high``, both included: whole ones if both ends are ints.

    Attributes:
        log: whether equal ratios, not equal differences, are equally likely at first.
    """

    low: float
    high: float
    log: bool = False

    @property
    def text(self) -> str:
        """As ``--space`` reads it."""
        return f"{self.low!r}{BETWEEN}{self.high!r}{LOG * self.log}"

    @property
    def probes(self) -> list[Any]:
        """Both ends and a number between them: an option that accepts these has the right type and bounds."""
        share = (math.sqrt(5) - 1) / 2  # not a whole number, whatever the ends
        return [self.low, self.high, self._rounded(self.low + share * (self.high - self.low))]

    def suggest(self, trial: Any, name: str) -> Any:
        """A number proposed by an optuna trial, with six digits: a label or a command shows no more."""
        if isinstance(self.low, int) and isinstance(self.high, int):
            return trial.suggest_int(name, self.low, self.high, log=self.log)
        return self._rounded(trial.suggest_float(name, self.low, self.high, log=self.log))

    def _rounded(self, value: float) -> Any:
        if isinstance(self.low, int) and isinstance(self.high, int):
            return round(value)
        return min(max(float(f"{value:.{_DIGITS}g}"), self.low), self.high)


@dataclass(frozen=True)
class Categories:
    """Values without an order."""

    values: tuple[Any, ...]

    @property
    def probes(self) -> list[Any]:
        """All of them."""
        return list(self.values)

    def suggest(self, trial: Any, name: str) -> Any:
        """One of them, proposed by an optuna trial, which knows them by their place."""
        return self.values[trial.suggest_categorical(name, range(len(self.values)))]


Space = Mapping[str, Range | Categories]


def parse_space(texts: Sequence[str]) -> dict[str, str | list[Any]]:
    """``GROUP.OPTION=LOW..HIGH[:log]`` and ``GROUP.OPTION=A,B,...`` texts, as :class:`recbench.spec.options.Search`
    keeps them: option -> the range in its shortest form, or the list of categories.

    Raises:
        UsageError: another form, an option that occurs twice or may not be chosen, or a range or list with nothing to
            choose from.
    """
    space: dict[str, str | list[Any]] = {}
    for text in texts:
        target, equals, values = text.partition("=")
        if not (equals and values and (target == DECODER or all(target.partition(".")))):
            raise UsageError(f"--space {text!r} must read {_FORM}.")
        if target in space:
            raise UsageError(f"--space {target} occurs twice: name its range or its values once.")
        check_target("--space", target)
        if BETWEEN in values and "," not in values:
            space[target] = _range(target, values).text
        else:
            space[target] = [yaml_value(value, f"--space {target}") for value in values.split(",")]
            check_values("--space", target, space[target])
    return space


def space_of(space: Mapping[str, str | list[Any]]) -> Space:
    """What :func:`parse_space` returned, to sample from.

    Raises:
        UsageError: it is empty.
    """
    if not space:
        raise UsageError(f"There is nothing to sample: name options as in --space {_FORM}.")
    return {
        target: _range(target, values) if isinstance(values, str) else Categories(tuple(values))
        for target, values in space.items()
    }


def probes(space: Space) -> list[dict[str, Any]]:
    """Settings that together hold every end and every category of a space."""
    values = {target: found.probes for target, found in space.items()}
    return [
        {target: own[number % len(own)] for target, own in values.items()}
        for number in range(max(map(len, values.values())))
    ]


def _range(target: str, text: str) -> Range:
    low_text, _, rest = text.partition(BETWEEN)
    low, high = (yaml_value(end, f"--space {target}") for end in (low_text, rest.removesuffix(LOG)))
    where = f"--space {target}={text}"
    for end in (low, high):
        if isinstance(end, bool) or not isinstance(end, int | float) or not math.isfinite(end):
            raise UsageError(f"{where} must have a finite number on both sides of {BETWEEN}: {_FORM}.")
    if low >= high:
        raise UsageError(f"{where}: LOW must be less than HIGH.")
    log = rest.endswith(LOG)
    if log and low <= 0:
        raise UsageError(f"{where}: {LOG} needs LOW above 0.")
    return Range(low, high, log)
