"""What was asked for, and the complete experiment it means."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from recbench.language.options import TINY


@dataclass(frozen=True)
class Request:
    """What the user asked for, before anything is looked up; None means not said."""

    model: str
    loss: str | None = None
    decoder: str | None = None
    dataset: str = "ml-100k"
    llm: str = TINY
    preset: str | None = None
    device: str = "cpu"
    device_origin: str = "--device"
    flags: Mapping[str, int | None] = field(default_factory=dict)
    flag_origins: Mapping[str, str] = field(default_factory=dict)
    dataset_options: Mapping[str, Any] = field(default_factory=dict)
    sets: Sequence[str] = ()
    config: Mapping[str, Any] = field(default_factory=dict)
    config_name: str = ""
    processes: int = 1
    tuning: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class RunSpec:
    """A complete experiment, but for its seeds: plain values, no path of the machine.

    Attributes:
        parts: ``{group: {"name": ..., "options": {...}}}`` for dataset, backbone, collaborative, loss, decoder and llm
            (those that apply), ``{group: {option: value}}`` for train, evaluate and machine; ``reference`` holds loss
            and train of a preference loss's starting point, ``teacher`` the parts of the recommender that the method
            learns from, ``tuning`` how options were chosen.
        origins: where each value comes from, by (group, option).
        places: paths on this machine: ``llm`` and the dataset's own.
        preset: the preset's name.
        signal: text or scores.
    """

    parts: Mapping[str, Any]
    origins: Mapping[tuple[str, str], str]
    places: Mapping[str, str]
    preset: str
    signal: str

    def spec_hash(self) -> str:
        """16 hex digits over the canonical parts."""
        return hashlib.sha256(canonical(self.parts).encode()).hexdigest()[:16]

    @property
    def llm(self) -> Mapping[str, Any] | None:
        """The language model's part: the recommender's own, or its teacher's."""
        found: Mapping[str, Any] | None = self.parts.get("llm") or self.parts.get("teacher", {}).get("llm")
        return found

    def teacher(self) -> RunSpec:
        """The teacher as an experiment of its own, on the same data and machine."""
        shared = {group: self.parts[group] for group in ("dataset", "evaluate", "machine")}
        return RunSpec({**shared, **self.parts["teacher"]}, {}, self.places, self.preset, "text")

    def with_llm_facts(self, **facts: Any) -> RunSpec:
        """:meth:`with_facts` for the language model, wherever it stands."""
        if "llm" in self.parts:
            return self.with_facts("llm", **facts)
        teacher = self.parts["teacher"]
        return self.with_facts("teacher", llm={**teacher["llm"], **facts})

    def with_facts(self, group: str, **facts: Any) -> RunSpec:
        """The same spec with what was measured about a part (checksums) added to it."""
        parts = {**self.parts, group: {**self.parts[group], **facts}}
        return RunSpec(parts, self.origins, self.places, self.preset, self.signal)


def canonical(value: Any) -> str:
    """One text for equal values, whatever their order."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
