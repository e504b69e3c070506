"""``recbench run --dry-run``: the resolved spec, where each value comes from, what is stored, and how long it takes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from recbench.cli.text import columns
from recbench.description import run_id
from recbench.planning import Plan
from recbench.progress import duration
from recbench.spec.model import LanguageModel, Method, Recommender, path_options
from recbench.spec.request import Request
from recbench.steps.estimate import Estimates, Outlook
from recbench.steps.graph import graph, seeds_of
from recbench.steps.remote import store_of


def describe_plan(plan: Plan, request: Request, runs: Path) -> str:
    """The plan as text; reads the store in ``runs``, writes nothing."""
    spec = plan.spec
    seeds = seeds_of(spec, request.seeds)
    preset = request.origin("preset") if request.preset else "default"
    head = [
        ("run", run_id(spec)),
        ("spec hash", spec.spec_hash()),
        ("preset", f"{plan.preset}  ({preset})"),
        ("seeds", f"{', '.join(map(str, seeds))}  ({request.origin('seeds')})"),
    ]
    lines = [columns(head), _Printed(plan, request).text()]
    estimates = Estimates(store_of(runs))
    graphs = {seed: graph(spec, seed) for seed in seeds}
    outlooks = {look.step.folder: look for look in estimates.outlook(steps.ranked for steps in graphs.values())}
    words = [
        (f"seed {seed}", ", ".join(f"{role} {outlooks[step.folder].state}" for role, step in steps.steps.items()))
        for seed, steps in graphs.items()
    ]
    notes = [f"note: {note}" for note in plan.notes]
    return "\n".join([*lines, "steps\n" + columns(words, "  "), *notes, _estimate(list(outlooks.values()))])


def _estimate(outlooks: list[Outlook]) -> str:
    total = sum(look.seconds for look in outlooks)
    if not total:
        return "estimated time: nothing to compute"
    kinds = {look.measured for look in outlooks if look.seconds}
    words = {True: "finished steps of the same kind in the store", False: "a rough rate for two CPU cores"}
    return f"estimated time: about {duration(total)} (from {' and '.join(words[kind] for kind in sorted(kinds))})"


class _Printed:
    """The parts of a spec as lines of option, value and origin."""

    def __init__(self, plan: Plan, request: Request) -> None:
        self.plan, self.request = plan, request

    def text(self) -> str:
        """Every part."""
        spec, own = self.plan.spec, self.plan.spec.recommender
        parts = [self._part("dataset", spec.dataset, "dataset"), *self._recommender(own, "")]
        parts += [self._options("evaluate", spec.evaluate.model_dump(mode="json"))]
        parts += [self._options("machine", spec.machine.model_dump(mode="json"))]
        if spec.tuning is not None:
            parts.append(self._options("tuning", spec.tuning.model_dump(mode="json")))
        return "\n".join(parts)

    def _recommender(self, own: Recommender, within: str) -> list[str]:
        flags = {"backbone": "model", "loss": "loss", "decoder": "decoder"} if not within else {}
        parts = []
        for group in ("backbone", "decoder", "loss"):
            method = getattr(own, group)
            if method is not None:
                parts.append(self._part(f"{within}{group}", method, flags.get(group, "")))
        if own.llm is not None and within != "reference.":
            parts.append(self._part(f"{within}identifier", own.naming, "" if within else "identifier"))
            parts.append(self._llm(own.llm, within))
        if own.collaborative is not None and within != "reference.":
            parts += self._inner("collaborative", own.collaborative, within)
        if own.reference is not None:
            parts += self._inner("reference", own.reference, within)
        if own.teacher is not None:
            parts += self._recommender(own.teacher, "teacher.")
        if own.train is not None:
            parts.append(self._options(f"{within}train", own.train.model_dump(mode="json")))
        return parts

    def _inner(self, role: str, part: Recommender, within: str) -> list[str]:
        """A collaborative model or a reference: one method, and its budget in a separate group."""
        method: Method | None = part.backbone if role == "collaborative" else part.loss
        found = [] if method is None else [self._part(f"{within}{role}", method, "")]
        if part.train is not None:
            found.append(self._options(f"{within}{role}_train", part.train.model_dump(mode="json")))
        return found

    def _part(self, group: str, method: Method, flag: str) -> str:
        origin = self.request.origin(flag) if flag else self._origin(group, "") or "default"
        if origin == "default" and flag in ("loss", "decoder"):
            origin = f"default of {self.plan.spec.recommender.backbone.name}"
        rows = [("name", method.name, origin)]
        rows += [(option, path, self._origin(group, option)) for option, path in method.paths.items()]
        said, places = method.options.model_dump(mode="json"), path_options(type(method.options))
        rows += self._rows(group, {option: value for option, value in said.items() if option not in places})
        rows += [(f"sha256 {name}", digest[:16], "measured") for name, digest in method.files.items()]
        return f"{group}\n{columns(rows, '  ')}"

    def _llm(self, llm: LanguageModel, within: str) -> str:
        rows = [("name", llm.called, self.request.origin("llm"))]
        rows += [("place", llm.place, self.request.origin("llm"))] if not llm.tiny else []
        rows += self._rows(f"{within}llm", llm.plain()["options"])
        facts = {"fingerprint": llm.fingerprint, "commit": llm.commit}
        rows += [(name, value[:16], "measured") for name, value in facts.items() if value]
        return f"{within}llm\n{columns(rows, '  ')}"

    def _options(self, group: str, values: Mapping[str, Any]) -> str:
        return f"{group}\n{columns(self._rows(group, values), '  ')}"

    def _rows(self, group: str, values: Mapping[str, Any]) -> list[tuple[str, str, str]]:
        return [(option, _value(value), self._origin(group, option) or "default") for option, value in values.items()]

    def _origin(self, group: str, option: str) -> str:
        outer, dot, inner = group.partition(".")
        key = (outer, ".".join(part for part in (inner, option) if part)) if dot else (group, option)
        return self.plan.origins.get(key, "")


def _value(value: Any) -> str:
    return "''" if value == "" else json.dumps(value) if isinstance(value, list | dict) else str(value)
