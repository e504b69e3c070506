"""What a user asks for: one model of the flags, whether they come from a command line, a file, a suite or Python."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from recbench.errors import UsageError, did_you_mean, short
from recbench.spec.options import Search, Tuning

BUDGET = {"epochs": "epochs", "train_samples": "samples", "batch_size": "batch_size"}
"""Flags that stand for an option of every model that the run trains, and the name of that option."""
SET = "set"
DECODER = "decoder"
"""The one flag that a grid may range over: a model is trained without its decoder, so all of them share it."""


def parse_seeds(value: Any) -> tuple[int, ...]:
    """The seeds that ``5`` (1 to 5), ``"3,17,42"``, ``"17,"`` or a list of numbers stands for.

    Raises:
        ValueError: anything else; says what is wrong.
    """
    if isinstance(value, str):
        pieces = [piece.strip() for piece in value.split(",")]
        if not all(piece.isdecimal() and len(piece) <= 10 for piece in pieces if piece) or not any(pieces):
            raise ValueError("it is neither a count such as 5 nor a list such as 3,17,42")
        numbers: Any = [int(piece) for piece in pieces if piece]
        value = numbers[0] if len(pieces) == 1 else numbers
    if isinstance(value, int) and not isinstance(value, bool):
        if value < 1:
            raise ValueError("the count must be at least 1")
        if value > 1000:
            raise ValueError(f"a count may be at most 1000 (the single seed {value} is written '{value},')")
        return tuple(range(1, value + 1))
    if not isinstance(value, Sequence) or not value or not all(type(number) is int for number in value):
        raise ValueError("it is neither a count nor a list of whole numbers")
    if min(value) < 0 or max(value) >= 2**32:
        raise ValueError("every seed must lie between 0 and 4294967295")
    if len(set(value)) < len(value):
        raise ValueError(f"seed {next(n for n in value if list(value).count(n) > 1)} occurs twice")
    return tuple(value)


def seeds_text(seeds: Sequence[int]) -> str:
    """Seeds as ``--seeds`` takes them."""
    if list(seeds) == list(range(1, len(seeds) + 1)):
        return str(len(seeds))
    return ",".join(map(str, seeds)) + ("," if len(seeds) == 1 else "")


_Count = Annotated[int, Field(ge=1, strict=True)]
_Word = Annotated[str, Field(min_length=1, strict=True)]


class Request(BaseModel):
    """What a user asks for, before anything is looked up; None means not said.

    Attributes:
        options: group -> option -> value, spelled ``set`` in files.
        tuning: how some of the options were chosen.
        origins: who said what, by dotted name (``loss``, ``set.loss.tau``), for messages and ``--dry-run``.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    model: _Word
    loss: _Word | None = None
    decoder: _Word | None = None
    identifier: _Word | None = None
    dataset: _Word = "ml-100k"
    data_dir: _Word | None = None
    llm: _Word = "tiny"
    preset: _Word | None = None
    device: Literal["auto", "cpu", "cuda"] = "auto"
    seeds: Annotated[tuple[int, ...], BeforeValidator(parse_seeds)] = (1,)
    epochs: _Count | None = None
    train_samples: Annotated[int, Field(ge=0, strict=True)] | None = None
    batch_size: _Count | None = None
    options: dict[str, dict[str, Any]] = Field(default_factory=dict, alias=SET)
    tuning: Tuning | Search | None = Field(None, exclude=True)
    origins: dict[str, str] = Field(default_factory=dict, exclude=True)

    def origin(self, name: str, default: str = "default") -> str:
        """Who said ``name``."""
        return self.origins.get(name, default)

    def with_options(self, values: Mapping[str, Any], origin: str) -> Request:
        """The request with options set, by ``GROUP.OPTION``, or with another ``decoder``.

        Raises:
            UsageError: a decoder's name is not text.
        """
        options = {group: dict(found) for group, found in self.options.items()}
        origins = dict(self.origins)
        changed: dict[str, Any] = {}
        for name, value in values.items():
            if name == DECODER:
                if not isinstance(value, str) or not value:
                    raise UsageError(
                        f"{opening(origin)}{name}={value!r} is not valid; name a decoder (recbench list decoders)."
                    )
                changed[name], origins[name] = value, origin
                continue
            group, _, option = name.partition(".")
            options.setdefault(group, {})[option] = value
            origins[f"{SET}.{name}"] = origin
        return self.model_copy(update={**changed, "options": options, "origins": origins})


FLAGS = tuple(name for name in Request.model_fields if name not in ("options", "tuning", "origins"))
"""The flags by name."""


def opening(origin: str) -> str:
    """The start of a message about something that ``origin`` says: ``--set ``, or ``experiment.yaml, line 3: ``."""
    return f"{origin} " if origin.startswith("--") else f"{origin}: "


@dataclass(frozen=True)
class Layer:
    """What one place says.

    Attributes:
        values: flags by name, options under ``set``; None takes back what an earlier layer said.
        origin: a dotted name to words for this place (``--loss``; ``experiment.yaml, line 3``).
    """

    values: Mapping[str, Any]
    origin: Callable[[str], str]


def combine(layers: Iterable[Layer]) -> Request:
    """One request of several layers, the later ones over the earlier ones.

    A budget flag of a later layer replaces the option of the same name that an earlier one set.

    Raises:
        UsageError: an unknown key, a value of the wrong kind, or no model; names the place.
    """
    values: dict[str, Any] = {}
    options: dict[str, dict[str, Any]] = {}
    origins: dict[str, str] = {}
    for layer in layers:
        for key, value in layer.values.items():
            name = key.replace("-", "_") if isinstance(key, str) else key
            if name == SET:
                continue
            if name not in FLAGS:
                raise UsageError(
                    f"{layer.origin(str(key))}: unknown key {short(str(key))}; {did_you_mean(str(key), (*FLAGS, SET))}"
                )
            if value is None:
                values.pop(name, None)
                origins.pop(name, None)
                continue
            values[name], origins[name] = value, layer.origin(key)
            if name in BUDGET:
                options.get("train", {}).pop(BUDGET[name], None)
        _merge(layer, options, origins)
    if "model" not in values:
        raise UsageError("--model is missing: name a backbone, such as --model llara (recbench list backbones).")
    try:
        return Request.model_validate({**values, SET: options, "origins": origins})
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        name = str(first["loc"][0])
        problem = first["msg"].removeprefix("Value error, ")
        problem = problem[:1].lower() + problem[1:]
        origin, value = origins.get(name, name), values.get(name)
        said = f"{origin} {value}" if origin.startswith("--") else f"{origin}: {name}={value!r}"
        raise UsageError(f"{said} is not valid; {problem}.") from None


def _merge(layer: Layer, options: dict[str, dict[str, Any]], origins: dict[str, str]) -> None:
    groups = layer.values.get(SET) or {}
    if not isinstance(groups, Mapping):
        raise UsageError(f"{layer.origin(SET)}: 'set' must hold {{group: {{option: value}}}}.")
    for group, given in groups.items():
        if given is None:
            options.pop(group, None)
            continue
        if not isinstance(given, Mapping) or not all(isinstance(option, str) for option in given):
            start, dot, option = str(group).partition(".")
            wanted = f"{start}: {{{option}: {given}}}" if dot else "group: {option: value}"
            raise UsageError(f"{layer.origin(f'{SET}.{group}')}: 'set' must hold {{{wanted}}}.")
        for option, value in given.items():
            name = f"{SET}.{group}.{option}"
            if value is None and option in options.get(group, {}):
                del options[group][option]
                origins.pop(name, None)
                continue
            options.setdefault(str(group), {})[option] = value
            origins[name] = layer.origin(name)
