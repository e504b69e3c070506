"""What a cluster costs: seconds a task, and how long the client takes to hand over thousands of steps.

    python benchmarks/cluster.py               200 cells of 5 seeds, then 1,000 cells, of steps that take no time
    python benchmarks/cluster.py --suite smoke a suite on 1 and on 2 workers, and whether their records are the same

Steps without work are what shows the cost of everything else: the store, the scheduler, and the events.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from recbench.cluster import Workers
from recbench.cluster.client import cluster
from recbench.interfaces import SilentReporter
from recbench.results import read
from recbench.steps.code import Code
from recbench.steps.executor import Serial
from recbench.steps.step import Step, Work
from recbench.steps.store import Store


class Idle(Step):
    """A step that writes one small file after some seconds."""

    kind = "idle"
    phase = "data"
    facts: Mapping[str, Any] = {}
    needs: Mapping[str, Step] = {}
    code = Code("0" * 16, {}, {})

    def __init__(self, name: str, seconds: float, *needs: Step) -> None:
        self.name, self.seconds = name, seconds
        self.facts, self.needs = {"name": name}, {step.title: step for step in needs}

    @property
    def title(self) -> str:
        """Its name."""
        return self.name

    def build(self, folder: Path, work: Work) -> None:
        """Wait."""
        time.sleep(self.seconds)
        (folder / "file").write_text(self.name)

    def load(self, folder: Path, work: Work, made: Any = None) -> None:
        """Nothing."""


def grid(cells: int, seeds: int, seconds: float) -> list[Step]:
    """The last steps of a suite: one data set, then a model and a ranking a seed of each cell."""
    data = Idle("data", 0)
    models = [Idle(f"model {cell} {seed}", seconds, data) for cell in range(cells) for seed in range(seeds)]
    return [Idle(f"rank {model.name}", 0, model) for model in models]


def timed(last: list[Step], workers: int | None) -> dict[str, float]:
    """Seconds to build some steps: handing them over, and in all; None builds in this process."""
    with tempfile.TemporaryDirectory() as folder:
        store, quiet = Store(Path(folder) / "steps"), SilentReporter()
        if workers is None:
            begun = time.perf_counter()
            Serial(store, quiet).run(last)
            return {"all": time.perf_counter() - begun}
        with cluster(Workers(workers), store, quiet) as found:
            begun = time.perf_counter()
            for step in last:
                found.submit(step)
            submitted = time.perf_counter() - begun
            found.run(last)
            return {"handed over": submitted, "all": time.perf_counter() - begun}


def suite(name: str) -> None:
    """A suite on 1 and 2 workers, and the ranks of both."""
    ranks = []
    for workers in (1, 2):
        with tempfile.TemporaryDirectory() as folder:
            command = [sys.executable, "-m", "recbench", "suite", "run", name, "--set", "machine.threads=1"]
            begun = time.perf_counter()
            done = subprocess.run(
                [*command, "--runs", folder, "--workers", str(workers)], capture_output=True, text=True, check=True
            )
            row = {"what": f"suite {name}", "workers": workers, "seconds": round(time.perf_counter() - begun)}
            row["said"] = next(line[8:].strip() for line in done.stderr.splitlines() if "steps built" in line)
            print(json.dumps(row), flush=True)
            records = sorted(Path(folder).glob("*/record.json"))
            ranks.append({read(path).run: [seed.ranks.tolist() for seed in read(path).seeds] for path in records})
    print(json.dumps({"what": f"suite {name}", "same ranks": ranks[0] == ranks[1], "cells": len(ranks[0])}))


def main() -> None:
    """Print a JSON object a line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--suite", metavar="NAME")
    if (asked := parser.parse_args()).suite:
        suite(asked.suite)
        return
    for name, cells, seeds in (("200 cells x 5 seeds", 200, 5), ("1,000 cells x 5 seeds", 1000, 5)):
        last = grid(cells, seeds, 0)
        steps = 1 + 2 * len(last)
        for workers in (None, 1, 2):
            found = {key: round(value, 2) for key, value in timed(last, workers).items()}
            each = round(1000 * found["all"] / steps, 2)
            print(
                json.dumps({"what": name, "steps": steps, "workers": workers, **found, "ms a step": each}), flush=True
            )


if __name__ == "__main__":
    main()
