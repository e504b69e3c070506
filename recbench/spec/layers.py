"""Option values in layers: who said what last, and a sentence for what cannot be."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import yaml
from pydantic import ValidationError

from recbench.errors import UsageError, did_you_mean
from recbench.interfaces import Options

if TYPE_CHECKING:
    from recbench.config.spec import Request


class Layers:
    """Collects a group's values from all layers and remembers where each came from."""

    def __init__(self, request: Request) -> None:
        self.origins: dict[tuple[str, str], str] = {}
        self.config: dict[str, dict[str, Any]] = {g: dict(v) for g, v in request.config.get("set", {}).items()}
        self.config_name = request.config_name
        self.sets: dict[str, dict[str, Any]] = {}
        for text in request.sets:
            target, equals, value = text.partition("=")
            group, dot, option = target.partition(".")
            if not (equals and dot and group and option):
                raise UsageError(f"--set {text!r} must read GROUP.OPTION=VALUE, such as loss.tau=2.")
            try:
                self.sets.setdefault(group, {})[option] = yaml.safe_load(value) if value else ""
            except yaml.YAMLError as error:
                raise UsageError(f"--set {text!r}: the value is no YAML ({str(error).splitlines()[0]}).") from error
        self.known: set[str] = set()

    def options(
        self,
        group: str,
        model: type[Options],
        layers: Sequence[tuple[str, Mapping[str, Any]]],
        flags: Sequence[tuple[str, Mapping[str, Any]]] = (),
    ) -> dict[str, Any]:
        """The validated options of one group as plain values; the configuration file lies between layers and flags."""
        self.known.add(group)
        values: dict[str, Any] = {}
        said: dict[str, str] = {}
        for origin, layer in [
            *layers,
            (self.config_name, self.config.get(group, {})),
            *flags,
            ("--set", self.sets.get(group, {})),
        ]:
            for option, value in layer.items():
                if option not in model.model_fields:
                    where = f"{origin} " if origin.startswith("--") else f"{origin}: "
                    known = model.model_fields
                    hint = did_you_mean(option, known) if known else f"the {group} of this run has no options"
                    raise UsageError(f"{where}{group}.{option} does not exist: {hint}")
                values[option], said[option] = value, origin
        try:
            found = model.model_validate(values).model_dump(mode="json")
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            option = str(first["loc"][0]) if first["loc"] else group
            message = first["msg"].removeprefix("Value error, ")
            if not first["loc"]:  # options that are fine alone and not together
                raise UsageError(f"The options of {group} do not fit together: {message}.") from None
            raise UsageError(
                f"{said.get(option, 'default')}: {group}.{option}={values.get(option)!r} is not valid: {message}."
            ) from None
        for option in found:
            self.origins[group, option] = said.get(option, "default")
        return found

    def raw(self, group: str) -> dict[str, Any]:
        """What was said about a group whose options are not known here (a teacher's), the last word last."""
        self.known.add(group)
        return {**self.config.get(group, {}), **self.sets.get(group, {})}

    def finish(self) -> None:
        """Refuse values for groups that this run does not have."""
        for origin, given in (("--set", self.sets), (self.config_name, self.config)):
            for group, values in given.items():
                if group not in self.known:
                    option = next(iter(values), "")
                    raise UsageError(
                        f"{origin} {group}.{option}: this run has no group {group!r}, "
                        f"only {', '.join(map(repr, sorted(self.known)))}."
                    )
