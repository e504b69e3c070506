"""What names a stage in the store: everything that decides its content, and nothing else."""

from __future__ import annotations

from collections.abc import Mapping
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
        return {
            "data": self.data(),
            "backbone": {k: part[k] for k in ("name", "options", "loss", "train")},
            "selection": self._selection("scores"),
            "machine": self.spec.parts["machine"],
            "seed": seed if plugin.seeded else None,
            "code": self._code("backbone", part["name"]),
        }

    def text(self, seed: int) -> dict[str, Any]:
        """A tuned language model; no decoder but the one that selects its epoch."""
        parts = self.spec.parts
        return {
            "data": self.data(),
            **{k: parts[k] for k in ("backbone", "loss", "llm", "train", "machine")},
            "collaborative": self.scoring(parts["collaborative"], seed) if "collaborative" in parts else None,
            "selection": self._selection("text"),
            "seed": seed,
            "code": [self._code("backbone", parts["backbone"]["name"]), self._code("loss", parts["loss"]["name"])],
        }

    def model(self, seed: int) -> dict[str, Any]:
        """The experiment's own model."""
        parts = self.spec.parts
        if self.spec.signal == "text":
            return self.text(seed)
        part = {**parts["backbone"], "loss": parts.get("loss"), "train": parts.get("train")}
        return self.scoring(part, seed)

    def ranking(self, seed: int) -> dict[str, Any]:
        """The ranked test set."""
        parts = self.spec.parts
        return {
            "model": self.model(seed),
            "decoder": parts["decoder"],
            "evaluate": {k: v for k, v in parts["evaluate"].items() if k != "validation_cases"},
            "code": self._code("decoder", parts["decoder"]["name"]),
        }

    def all(self, seed: int) -> dict[str, tuple[str, dict[str, Any]]]:
        """What names the stages of one seed in the store: stage name to (kind, key), in the order they are built."""
        found = {"prepare": ("prepare", self.data())}
        if "collaborative" in self.spec.parts:
            found["collaborative"] = ("model", self.scoring(self.spec.parts["collaborative"], seed))
        return {**found, "model": ("model", self.model(seed)), "rank": ("ranking", self.ranking(seed))}

    def _selection(self, signal: str) -> dict[str, Any]:
        options = self.spec.parts["evaluate"]
        chosen = {k: options[k] for k in ("validation_cases", "history")}
        return {**chosen, "decoder": self._code("decoder", SELECTION[signal])}

    @staticmethod
    def _code(kind: str, name: str) -> dict[str, Any]:
        """What the method's code is: an edited method must not find what it made before."""
        found = {"from": registry.origin(kind, name), "sha256": registry.code(kind, name), "bench": bench_code()}
        return found if kind == "source" else {**found, "versions": versions()}


@cache
def bench_code() -> str:
    """sha256 over the parts of recbench that results depend on."""
    folder = Path(recbench.__file__).parent
    apart = ("cli", "leaderboard", "stats", "testing")
    files = [p for p in folder.rglob("*.py") if p.relative_to(folder).parts[0].removesuffix(".py") not in apart]
    return registry.digest(files)
