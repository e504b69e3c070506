"""What names a stage in the store: everything that decides its content, and nothing else."""

from __future__ import annotations

import hashlib
import importlib.util
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import recbench
from recbench import registry
from recbench.config import RunSpec
from recbench.results.environment import versions

SELECTION = {"text": "constrained_beam", "scores": "topk"}
"""Decoder that ranks the validation sample, whatever ranks the test set: one trained model serves every decoder."""


@dataclass(frozen=True)
class Keys:
    """The keys of one experiment's stages, as JSON values."""

    spec: RunSpec

    def data(self) -> dict[str, Any]:
        """The prepared data: options, checksums of the raw files, code."""
        data = self.spec.parts["dataset"]
        return {"dataset": data, "code": self._code("source", data["source"])}

    def scoring(self, part: Mapping[str, Any], seed: int) -> dict[str, Any]:
        """A scoring model, whether it stands alone or behind collaborative tokens: both share one artefact."""
        plugin = registry.get("backbone", part["name"])
        key = {
            "data": self.data(),
            "backbone": {k: part[k] for k in ("name", "options", "loss", "train")},
            "selection": self._selection("scores"),
            "machine": self.spec.parts["machine"],
            "seed": seed if plugin.seeded else None,
            "code": [self._code("backbone", part["name"])],
        }
        if part["loss"]:
            key["code"].append(self._code("loss", part["loss"]["name"]))
        if "teacher" in plugin.requires:
            key["lessons"] = self.lessons(seed)
        return key

    def lessons(self, seed: int) -> dict[str, Any]:
        """What the experiment's model takes from its teacher: no option that only says what it makes of it."""
        teacher, part = self.spec.teacher(), self.spec.parts["backbone"]
        return {
            "teacher": Keys(teacher).model(seed),
            "decoder": teacher.parts["decoder"],
            "mixes": Keys(teacher).mixes(seed),
            "backbone": {"name": part["name"], "options": _first_options(part)},
            "samples": self.spec.parts["train"]["samples"],
            "code": [
                self._code("backbone", part["name"]),
                self._code("decoder", teacher.parts["decoder"]["name"]),
            ],
        }

    def learned(self, seed: int) -> dict[str, Any]:
        """What a text backbone trains before the language model."""
        parts = self.spec.parts
        return {
            "data": self.data(),
            "backbone": {"name": parts["backbone"]["name"], "options": _first_options(parts["backbone"])},
            **{k: parts[k] for k in ("llm", "machine")},
            "samples": self._first["train"]["samples"],
            "collaborative": self._shown(seed),
            "seed": seed,
            "code": self._code("backbone", parts["backbone"]["name"]),
        }

    def tuned(self, seed: int, loss: Mapping[str, Any], train: Mapping[str, Any]) -> dict[str, Any]:
        """A language model tuned by ``loss``; no decoder but the one that selects its epoch."""
        parts = self.spec.parts
        key = {
            "data": self.data(),
            **{k: parts[k] for k in ("backbone", "llm", "machine")},
            "loss": loss,
            "train": train,
            "collaborative": self._shown(seed),
            "selection": self._selection("text"),
            "seed": seed,
            "code": [self._code("backbone", parts["backbone"]["name"]), self._code("loss", loss["name"])],
        }
        if registry.get("backbone", parts["backbone"]["name"]).learns:
            key["learned"] = self.learned(seed)
        return key

    def reference(self, seed: int) -> dict[str, Any]:
        """The starting point of a preference loss: the very model that its own loss gives when run by itself."""
        return self.tuned(seed, self._first["loss"], self._first["train"])

    def model(self, seed: int) -> dict[str, Any]:
        """The experiment's own model."""
        parts = self.spec.parts
        if self.spec.signal == "scores":
            return self.scoring(self.part(), seed)
        key = self.tuned(seed, parts["loss"], parts["train"])
        return {**key, "reference": self.reference(seed)} if "reference" in parts else key

    def part(self) -> dict[str, Any]:
        """The experiment's own scoring model, as :meth:`scoring` takes it."""
        parts = self.spec.parts
        return {**parts["backbone"], "loss": parts.get("loss"), "train": parts.get("train")}

    def ranking(self, seed: int) -> dict[str, Any]:
        """The ranked test set."""
        parts = self.spec.parts
        key = {
            "model": self.model(seed),
            "decoder": parts["decoder"],
            "evaluate": {k: v for k, v in parts["evaluate"].items() if k != "validation_cases"},
            "code": self._code("decoder", parts["decoder"]["name"]),
        }
        mixed = self.mixes(seed)
        return {**key, "mixes": mixed} if mixed else key

    def all(self, seed: int) -> dict[str, tuple[str, dict[str, Any]]]:
        """What names the stages of one seed in the store: stage name to (kind, key), in the order they are built."""
        parts = self.spec.parts
        found: dict[str, tuple[str, dict[str, Any]]] = {"prepare": ("prepare", self.data())}
        if "teacher" in parts:
            inner = Keys(self.spec.teacher()).all(seed)
            found |= {f"teacher {name}": stage for name, stage in inner.items() if name not in ("prepare", "rank")}
            found["lessons"] = ("lessons", self.lessons(seed))
        if "collaborative" in parts:
            found["collaborative"] = ("model", self.scoring(parts["collaborative"], seed))
        if registry.get("backbone", parts["backbone"]["name"]).learns:
            found["learned"] = ("learned", self.learned(seed))
        if "reference" in parts:
            found["reference"] = ("model", self.reference(seed))
        return {**found, "model": ("model", self.model(seed)), "rank": ("ranking", self.ranking(seed))}

    @property
    def _first(self) -> Mapping[str, Any]:
        """Loss and budget of the language model's first tuning."""
        parts = self.spec.parts
        first: Mapping[str, Any] = parts.get("reference") or {"loss": parts.get("loss"), "train": parts["train"]}
        return first

    def _shown(self, seed: int) -> dict[str, Any] | None:
        """The collaborative model that stands in the prompt, if one does."""
        parts = self.spec.parts
        shows = "collaborative" in registry.get("backbone", parts["backbone"]["name"]).requires
        return self.scoring(parts["collaborative"], seed) if shows else None

    def mixes(self, seed: int) -> dict[str, Any] | None:
        """The collaborative model that only the decoder reads."""
        parts = self.spec.parts
        options = registry.get("decoder", parts["decoder"]["name"]).options(**parts["decoder"]["options"])
        return self.scoring(parts["collaborative"], seed) if "collaborative" in options.requires() else None

    def _selection(self, signal: str) -> dict[str, Any]:
        options = self.spec.parts["evaluate"]
        chosen = {k: options[k] for k in ("validation_cases", "history")}
        return {**chosen, "decoder": self._code("decoder", SELECTION[signal])}

    @staticmethod
    def _code(kind: str, name: str) -> dict[str, Any]:
        """What the method's code is: an edited method must not find what it made before."""
        found = {"from": registry.origin(kind, name), "sha256": _package(kind, name), "bench": bench_code()}
        return found if kind == "source" else {**found, "versions": versions()}


def _first_options(part: Mapping[str, Any]) -> dict[str, Any]:
    """The options that decide what a backbone asks of its teacher, or learns before the language model."""
    later = registry.get("backbone", part["name"]).options.later
    return {name: value for name, value in part["options"].items() if name not in later}


@cache
def bench_code() -> str:
    """sha256 over the parts of recbench that results depend on."""
    folder = Path(recbench.__file__).parent
    apart = ("cli", "leaderboard", "stats", "testing", "diagnose", "suites")
    files = [p for p in folder.rglob("*.py") if p.relative_to(folder).parts[0].removesuffix(".py") not in apart]
    return digest(files)


@cache
def _package(kind: str, name: str) -> str:
    top = registry.get(kind, name).implementation.__module__.partition(".")[0]
    found = importlib.util.find_spec(top)
    assert found is not None
    folders = [Path(place) for place in found.submodule_search_locations or ()]
    return digest([p for folder in folders for p in folder.rglob("*.py")] or [Path(str(found.origin))])


def digest(files: Iterable[Path]) -> str:
    """sha256 over names and contents of source files."""
    sha = hashlib.sha256()
    for path in sorted(files):
        sha.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return sha.hexdigest()
