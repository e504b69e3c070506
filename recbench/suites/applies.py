"""Which options a cell's method has: a suite's default for all cells may not mean anything to one of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from recbench import registry
from recbench.errors import RecbenchError
from recbench.interfaces import Options
from recbench.interfaces.identifiers import TITLE
from recbench.spec.llm import options_of
from recbench.spec.options import EvaluateOptions, MachineOptions, TrainBudget
from recbench.spec.request import Request

Known = dict[str, type[Options] | None]
"""Options by group; None where any option may be meant."""


def groups(request: Request) -> Known:
    """The groups that a request's run has, as ``recbench run`` will find them.

    Raises:
        RecbenchError: a name is unknown, or a plugin is broken.
    """
    backbone = registry.get("backbone", request.model)
    decoder = registry.get("decoder", request.decoder or backbone.default_decoder)
    found: Known = {
        "dataset": None,
        "backbone": backbone.options,
        "decoder": decoder.options,
        "evaluate": EvaluateOptions,
        "machine": MachineOptions,
    }
    mixed = _required(decoder.options, request.options.get("decoder", {}))
    if backbone.signal == "text":
        found["llm"] = options_of(request.llm)
        naming = registry.get("identifier", request.identifier or TITLE).options
        found["identifier"] = naming
        mixed = {**mixed, **_required(naming, request.options.get("identifier", {}))}
    if "teacher" in backbone.requires:
        found["teacher"] = None
    wanted = {**mixed, **backbone.requires}
    if "collaborative" in wanted:
        name = str(request.options.get("backbone", {}).get("collaborative", wanted["collaborative"]))
        inner = registry.get("backbone", name)
        found["collaborative"] = inner.options
        if inner.default_loss or inner.trained:
            found["collaborative_train"] = TrainBudget
    if backbone.trained:
        found["train"] = TrainBudget
    if name := request.loss or backbone.default_loss:
        loss = registry.get("loss", name)
        found |= {"loss": loss.options, "train": TrainBudget}
        if loss.after:
            found |= {"reference": registry.get("loss", loss.after).options, "reference_train": TrainBudget}
    return found


def without_effect(request: Request, defaults: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Those of ``defaults`` (by group and option) that the request's run does not have, as ``GROUP.OPTION``.

    Nothing where the request names something unknown: its run will say so.
    """
    try:
        known = groups(request)
    except RecbenchError:
        return []
    return [
        f"{group}.{option}"
        for group, given in defaults.items()
        for option in given
        if group not in known or ((options := known[group]) is not None and option not in options.model_fields)
    ]


def reads_titles(request: Request) -> bool:
    """Whether the request's run has a language model, its own or its teacher's; unknown names have one."""
    try:
        known = groups(request)
    except RecbenchError:
        return True
    return "llm" in known or "teacher" in known


def _required(options: type[Options], given: Mapping[str, Any]) -> Mapping[str, str]:
    try:
        return options(**{k: v for k, v in given.items() if k in options.model_fields}).requires()
    except ValidationError:  # the run will say so
        return {}
