"""Two runs at the same time against one alone, with the threads of OpenMP waiting as recbench tells them to and not.

    python benchmarks/together.py

Each run trains BIGRec with MSL on 1,000 windows of ml-100k with two threads, and ranks the test windows.
``GOMP_SPINCOUNT`` is how often libgomp's threads look for work before they sleep; its own default is 300,000. Takes
six to ten minutes on two idle cores. Writes TOGETHER.md.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from recbench.results.environment import environment

SETTINGS = {
    "recbench's": {},
    "libgomp's own": {"GOMP_SPINCOUNT": "300000"},
    "sleep at once": {"OMP_WAIT_POLICY": "PASSIVE"},
}
RUN = [
    *["run", "--model", "bigrec", "--loss", "msl", "--epochs", "1", "--train-samples", "1000", "--seeds", "1"],
    *["--device", "cpu", "--set", "machine.threads=2"],
]


def seconds(runs: int, variables: dict[str, str]) -> float:
    """Until the last of so many runs, started at the same moment, has ended."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("OMP_", "GOMP_"))}
    with tempfile.TemporaryDirectory() as folder:
        began = time.monotonic()
        started = [
            subprocess.Popen(
                [sys.executable, "-m", "recbench", *RUN, "--runs", f"{folder}/{number}"],
                env={**kept, **variables},
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            for number in range(runs)
        ]
        codes = [process.wait() for process in started]
        if any(codes):
            raise SystemExit("a run failed")
        return time.monotonic() - began


def main() -> None:
    rows = [f"| {name} | {seconds(1, setting):.0f} | {seconds(2, setting):.0f} |" for name, setting in SETTINGS.items()]
    lines = [
        "# Two runs at the same time",
        "",
        f"Made by `python benchmarks/together.py` on {environment('cpu', 2)['device']}: wall-clock seconds of a run of "
        "two threads, imports included, alone and with a second one beside it.",
        "",
        "| how threads wait | one run | two runs at the same time |",
        "| --- | ---: | ---: |",
        *rows,
    ]
    text = "\n".join(lines) + "\n"
    Path(__file__).with_name("TOGETHER.md").write_text(text)
    print(text)


if __name__ == "__main__":
    main()
