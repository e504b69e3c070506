"""Run by ``test_shared.py``: several processes rank together, and each writes down what it saw."""

from __future__ import annotations

import json
import os
import signal
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from recbench import processes
from recbench.errors import RecbenchError, Stopped
from recbench.interfaces import Checkpoints, SilentReporter
from recbench.search import checked
from recbench.search.chunks import Task, prompt_order, ranked
from recbench.testing import tiny_split, tiny_text_model
from recbench.types import Ranking
from recbench_plugins.decoders.grounding import Grounding, GroundingOptions


def task() -> tuple[Task, list[int]]:
    """Grounding with its invalid titles on a random model, three cases a chunk; and the first user of each call."""
    torch.manual_seed(0)
    torch.set_num_threads(1)
    model, cases, calls = tiny_text_model(), tiny_split().test.histories(), []
    decoder = Grounding(GroundingOptions(batch_size=3))

    def rank(part: Any, reporter: Any) -> Ranking:
        calls.append(len(part))
        return decoder.rank(model, part, 5, True, reporter)

    def check(found: Ranking, rows: Any) -> Ranking:
        return checked(found, cases.take(rows), 5, len(tiny_split().catalog), True, "it", rows)

    return Task(cases, prompt_order(model, cases), 3, 5, rank, check), calls


def seen(found: Ranking) -> dict[str, Any]:
    return {
        "items": found.items.tolist(),
        "scores": found.scores.astype(float).tolist(),
        "invalid": [found.invalid_share, found.generated],
    }


def main(out: Path) -> None:
    processes.join("cpu")
    mine, chosen = processes.number(), 1
    whole, calls = task()
    result = {"ranking": seen(ranked(whole, SilentReporter(), shared=True)), "calls": len(calls)}

    def failing(part: Any, reporter: Any) -> Ranking:
        if mine == chosen:
            raise RecbenchError("this decoder fails in one process")
        return whole.rank(part, reporter)

    try:
        ranked(replace(whole, rank=failing), SilentReporter(), shared=True)
    except RecbenchError as error:
        result["error"] = str(error)

    asked = []

    def stopping(part: Any, reporter: Any) -> Ranking:
        asked.append(part)
        if mine == chosen and len(asked) == 2:
            os.kill(os.getpid(), signal.SIGTERM)
        return whole.rank(part, reporter)

    place = Checkpoints(out / "ranking-0123", 60.0)
    try:
        ranked(replace(whole, rank=stopping), SilentReporter(), place, shared=True)
    except Stopped as error:
        result["stopped"] = str(error)
    calls.clear()
    result["again"] = seen(ranked(whole, SilentReporter(), replace(place, begun=0), shared=True))
    result["calls again"] = len(calls)
    (out / f"{mine}.json").write_text(json.dumps(result))
    processes.leave()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
