"""Option values in layers: who said what last, and a sentence for what cannot be."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from pydantic import ValidationError

from recbench.errors import UsageError, did_you_mean
from recbench.interfaces import Options
from recbench.spec.request import SET, Request, opening

O = TypeVar("O", bound=Options)  # noqa: E741 - the conventional short name for a type variable
Origins = dict[tuple[str, str], str]


class Layers:
    """Lays what a request says over the defaults, and remembers where each value came from.

    Args:
        request: whose options are used.
        within: the group whose options these are, for a teacher: ``teacher``.

    Attributes:
        origins: who said what, by (group, option).
    """

    def __init__(self, request: Request, within: str = "") -> None:
        self.request, self.within = request, within
        self.origins: Origins = {}
        self.known: set[str] = set()

    def options(self, group: str, model: type[O], layers: Sequence[tuple[str, Mapping[str, Any]]] = ()) -> O:
        """The validated options of a group: the request's over ``layers``, the later of which win.

        Raises:
            UsageError: an option that does not exist, or a value that it cannot have; names who said it.
        """
        self.known.add(group)
        given = self.request.options.get(group, {})
        said = [(self._origin(group, option), {option: value}) for option, value in given.items()]
        values: dict[str, Any] = {}
        origins: dict[str, str] = {}
        for origin, layer in [*layers, *said]:
            for option, value in layer.items():
                if option not in model.model_fields:
                    known = model.model_fields
                    hint = did_you_mean(option, known) if known else f"the {group} of this run has no options"
                    raise UsageError(f"{opening(origin)}{group}.{option} does not exist; {hint}")
                values[option], origins[option] = value, origin
        try:
            found = model.model_validate(values)
        except ValidationError as error:
            raise _refused(group, values, origins, error) from None
        for option in model.model_fields:
            self.origins[group, option] = origins.get(option, "default")
        return found

    def raw(self, group: str) -> dict[str, Any]:
        """What was said about a group whose options are not known here (a teacher's)."""
        self.known.add(group)
        return dict(self.request.options.get(group, {}))

    def finish(self) -> None:
        """Refuse options of groups that this run does not have.

        Raises:
            UsageError: there are some.
        """
        for group, values in self.request.options.items():
            if group not in self.known:
                option = next(iter(values), "")
                start = opening(self._origin(group, option))
                groups = ", ".join(map(repr, sorted(self.known)))
                raise UsageError(
                    f"{start}{group}.{option} does not apply, since this run has no group {group!r}, only {groups}."
                )

    def _origin(self, group: str, option: str) -> str:
        return self.request.origin(f"{SET}.{group}.{option}", "--set")


def _refused(group: str, values: Mapping[str, Any], origins: Mapping[str, str], error: ValidationError) -> UsageError:
    first = error.errors(include_url=False)[0]
    message = first["msg"].removeprefix("Value error, ").rstrip(".")
    message += "." * (not message.endswith("?"))
    if not first["loc"]:  # options that are fine alone and not together
        return UsageError(f"The options of {group} do not fit together: {message}")
    option = str(first["loc"][0])
    where = origins.get(option, "default")
    message = message[:1].lower() + message[1:]
    return UsageError(f"{opening(where)}{group}.{option}={values.get(option)!r} is not valid; {message}")
