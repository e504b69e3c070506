"""What is known of a search's trials, as JSON: a pruned training leaves no step, only its validation scores."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from recbench.files import write_atomic
from recbench.tuning.grid import TRIALS, Trial

State = Literal["running", "complete", "pruned", "diverged"]


@dataclass
class Sampled:
    """One trial of a search.

    Attributes:
        values: option -> value.
        model: the folder name of the step that trains it.
        scores: the validation score of each epoch that its state rests on.
        state: what came of it.
        trial: its score on validation, for a complete one.
        problem: why it diverged.
    """

    values: Mapping[str, Any]
    model: str
    scores: list[float] = field(default_factory=list)
    state: State = "running"
    trial: Trial | None = None
    problem: str = ""

    def plain(self) -> dict[str, Any]:
        """As JSON values."""
        found: dict[str, Any] = {
            "values": dict(self.values),
            "state": self.state,
            "model": self.model,
            "epochs": list(self.scores),
        }
        if self.trial is not None:
            score = self.trial.score
            found |= {"score": float(score), "error": score.error if math.isfinite(score.error) else None}
        return found | ({"problem": self.problem} if self.problem else {})


@dataclass(frozen=True)
class Note:
    """What earlier searches saw of a training.

    Attributes:
        scores: of its first epochs.
        problem: why it diverged after them; empty if it did not, or if unknown.
    """

    scores: tuple[float, ...] = ()
    problem: str = ""


def write(path: Path, steps: Iterable[str], trials: Sequence[Mapping[str, Any]]) -> None:
    """Write the trials of a search, and the steps that they rest on."""
    content = {"steps": sorted(set(steps)), "trials": list(trials)}
    write_atomic(path, (json.dumps(content, indent=1, allow_nan=False) + "\n").encode())


def read(path: Path) -> list[dict[str, Any]]:
    """The trials that a file holds; none where it is missing, damaged or a grid's."""
    try:
        trials = json.loads(path.read_bytes())["trials"]
        return [trial for trial in trials if _readable(trial)]
    except (OSError, ValueError, KeyError, TypeError):
        return []


def known(runs: Path) -> dict[str, Note]:
    """Model step -> the most that any search in a folder of runs saw of its training.

    A step's name says everything that decides its training, its code included, so it does not matter which search.
    """
    found: dict[str, Note] = {}
    for path in sorted(runs.glob(f"*/{TRIALS}")):
        for trial in read(path):
            note, before = Note(tuple(trial["epochs"]), trial.get("problem", "")), found.get(trial["model"], Note())
            found[trial["model"]] = max(note, before, key=lambda one: (bool(one.problem), len(one.scores)))
    return found


def _readable(trial: Any) -> bool:
    return (
        isinstance(trial, dict)
        and isinstance(trial.get("model"), str)
        and isinstance(trial.get("problem", ""), str)
        and isinstance(trial.get("epochs"), list)
        and all(isinstance(score, int | float) for score in trial["epochs"])
    )
