"""Kill a real command at random moments, run it again until it finishes, and compare with an undisturbed run.

    python tests/robustness/kills.py --kills 100
    python tests/robustness/kills.py --kills 1000 --minutes 30 --signals KILL,KILL,TERM,INT,HUP,USR1
    python tests/robustness/kills.py --kills 20 -- suite run smoke --dataset csv --data-dir own.csv
    python tests/robustness/kills.py --kills 50 --signals WORKER,CLIENT,KILL --suite

What follows ``--`` are words of recbench, to which ``--runs`` is added; without them a small text model is run, with
``--suite`` a small suite on two Dask workers. KILL goes to the command and all its children, CLIENT kills the command
alone (a cluster's scheduler lives in it), WORKER kills one of its Dask workers, any other signal goes to the command
alone. Exit code 1 means that a restart lost
or changed something; the sentences above the table say what.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from recbench.errors import RecbenchError
from recbench.files import sha256_file
from recbench.results import read
from recbench.steps.store import META, Store

SMALL = "run --model llara --loss msl --dataset csv --device cpu --seeds 2 --epochs 4 --train-samples 128"
SETS = (
    *("llm.hidden=32", "llm.layers=1", "llm.vocabulary=300", "evaluate.validation_cases=8", "evaluate.cases=16"),
    *("machine.threads=1", "train.checkpoint_minutes=0.003", "train.warmup_share=0.1"),
)
SUITE = """
title: Small
defaults:
  dataset: csv
  device: cpu
  epochs: 40
  set:
    machine: {threads: 1}
    train: {patience: 0, checkpoint_minutes: 0.003}
    evaluate: {validation_cases: 8, cases: 16}
    backbone: {hidden: 8, layers: 1, heads: 1, inner: 8}
cells:
  - {model: popularity, name: popular}
  - {model: sasrec, name: plain, seeds: 2}
  - {model: sasrec, name: tuned, seeds: 1, grid: {train.learning_rate: [0.001, 0.01]}}
"""
GOING_ON = 75  # the exit code of what a signal stopped and the same command goes on with
ENDS = {"KILL": {-9}, "TERM": {GOING_ON}, "HUP": {GOING_ON}, "USR1": {GOING_ON}, "INT": {130}}
ENDS |= {"CLIENT": {-9}, "WORKER": {0, 1}}  # 1: a step took too many workers down
TIMES = {"seconds", "started", "environment", "peak_memory_bytes", "reused", "command", "sha256"}
DURABLE = ("steps/*/step.json", "steps/.checkpoints/*/*.pt", "*/record.json", "suites/*.json")


@dataclass
class Tally:
    """What happened.

    Attributes:
        lost: by signal, the seconds of work that each one cost: since the last finished step, checkpoint or record, or
            since the command first said something; none where it had said nothing yet.
        startup: seconds until a command first said something.
        ends: how often each signal ended with each exit code.
        problems: sentences; none if all is well.
    """

    lost: dict[str, list[float]] = field(default_factory=dict)
    startup: list[float] = field(default_factory=list)
    ends: Counter[str] = field(default_factory=Counter)
    last_words: Counter[str] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)
    finished: int = 0
    undisturbed: float = 0.0

    @property
    def killed(self) -> int:
        """How many signals met a running command."""
        return sum(self.ends.values())


class Torture:
    """Runs of one command in folders below ``place``."""

    def __init__(self, words: list[str], place: Path, draws: random.Random, signals: list[str]) -> None:
        self.words, self.place, self.draws, self.signals = words, place, draws, signals
        self.tally = Tally()
        self.temporary = place / "tmp"
        self.temporary.mkdir(parents=True, exist_ok=True)
        self.log = place / "stderr.txt"

    def all(self, kills: int, minutes: float) -> Tally:
        """Kill so many times, or for so long; finish, and compare."""
        start = time.monotonic()
        with self._begun("undisturbed") as process:
            while not self.log.stat().st_size and process.poll() is None:
                time.sleep(0.01)
            self.tally.startup.append(time.monotonic() - start)
            assert process.wait() == 0, self.log.read_text()
        self.tally.undisturbed = time.monotonic() - start
        expected = outcome(self.place / "undisturbed")
        runs = self.place / "killed"
        while self.tally.killed < kills and time.monotonic() - start < 60 * minutes:
            if self._killed_once(runs):
                self._check_whole(runs)
            else:
                self._compare(runs, expected)
        if runs.exists():
            with self._begun("killed") as process:
                self._ended(process.wait(timeout=self._patience), {0}, "the last restart")
            self._compare(runs, expected)
        return self.tally

    @property
    def _patience(self) -> float:
        return 60 + 10 * self.tally.undisturbed

    @contextlib.contextmanager
    def _begun(self, runs: str) -> Iterator[subprocess.Popen[bytes]]:
        command = [sys.executable, "-m", "recbench", *self.words, "--runs", str(self.place / runs)]
        environment = {**os.environ, "TMPDIR": str(self.temporary)}
        with self.log.open("wb") as log:
            process = subprocess.Popen(command, stdout=log, stderr=log, env=environment, start_new_session=True)
        try:
            yield process
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)

    def _killed_once(self, runs: Path) -> bool:
        """Begin, wait for a random moment, send a signal; False if the command had finished.

        One moment in four counts from the start, the others from the first word: imports take most of a small run.
        """
        name = self.draws.choice(self.signals)
        startup = 0.0 if self.draws.random() < 0.25 else self.tally.startup[0]
        moment = self.draws.uniform(0, 1.1 * (self.tally.undisturbed - startup))
        with self._begun(runs.name) as process:
            start = time.time()
            spoke = None
            while time.time() - ((spoke or time.time()) if startup else start) < moment and process.poll() is None:
                spoke = spoke or (time.time() if self.log.stat().st_size else None)
                time.sleep(0.01)
            if process.poll() is not None:
                self._ended(process.returncode, {0}, "a restart")
                return False
            if spoke is None and name not in ("KILL", "CLIENT"):
                return True  # Python has only begun: nothing listens to signals yet
            self._send(process, name)
            now = time.time()
            try:
                code = process.wait(timeout=self._patience)
            except subprocess.TimeoutExpired:
                self.tally.problems.append(f"SIG{name} {now - start:.1f} s after the start: it did not end")
                return True
            if name == "WORKER":
                self._note(runs, name, code, now, spoke, start)
                return code != 0
            if not self._alone(process):
                self.tally.problems.append(f"SIG{name} {now - start:.1f} s after the start: its children go on")
            if code == 0:  # it was leaving anyway
                return False
            self._note(runs, name, code, now, spoke, start)
        return True

    def _send(self, process: subprocess.Popen[bytes], name: str) -> None:
        with contextlib.suppress(ProcessLookupError, psutil.NoSuchProcess):
            if name == "KILL":
                os.killpg(process.pid, signal.SIGKILL)
            elif name == "WORKER":
                children = psutil.Process(process.pid).children(recursive=True)
                if workers := [child for child in children if "spawn_main" in " ".join(child.cmdline())]:
                    self.draws.choice(workers).kill()
            else:
                process.send_signal(signal.SIGKILL if name == "CLIENT" else getattr(signal, f"SIG{name}"))

    def _alone(self, process: subprocess.Popen[bytes]) -> bool:
        """Whether the children of an ended command end soon too."""
        for _ in range(100):
            try:
                os.killpg(process.pid, 0)
            except ProcessLookupError:
                return True
            time.sleep(0.1)
        return False

    def _note(self, runs: Path, name: str, code: int, now: float, spoke: float | None, start: float) -> None:
        self._ended(code, ENDS[name], f"SIG{name}")
        kept = [path.stat().st_mtime for pattern in DURABLE for path in runs.glob(pattern)]
        if spoke is not None:
            since = max([spoke, *(moment for moment in kept if moment <= now)])
            self.tally.lost.setdefault(name, []).append(now - since)
            self.tally.startup.append(spoke - start)
        self.tally.ends[f"SIG{name} {code}"] += 1
        words = f"{self.tally.killed}: SIG{name} after {now - start:.1f} s, exit code {code}"
        print(words, file=sys.stderr, flush=True)
        if name not in ("KILL", "CLIENT"):
            last = (self.log.read_text().strip().splitlines() or [""])[-1]
            self.tally.last_words[" ".join("N" if word.strip(",:").isdigit() else word for word in last.split())] += 1

    def _ended(self, code: int, right: set[int], what: str) -> None:
        said = self.log.read_text(errors="replace")
        if code not in right:
            self.tally.problems.append(f"{what} ended with exit code {code}: {said.strip()[-300:]}")
        if "Traceback" in said:
            self.tally.problems.append(f"{what} printed a traceback: {said.strip()[-600:]}")

    def _check_whole(self, runs: Path) -> None:
        """What has a final name is complete at every moment."""
        store = Store(runs / "steps")
        try:
            for step in (runs / "steps").glob("[!.]*"):
                store.opened(step.name)
            for record in runs.glob("*/record.json"):
                read(record)
            for path in [*runs.glob("*/local.json"), *runs.glob("suites/*.json")]:
                json.loads(path.read_bytes())
        except (RecbenchError, ValueError) as error:
            self.tally.problems.append(f"half-written: {error}")

    def _compare(self, runs: Path, expected: dict[str, Any]) -> None:
        """The result must be the undisturbed one's, and nothing else may be left; the next round begins anew."""
        self.tally.finished += 1
        found = outcome(runs)
        for name in sorted(found.keys() | expected.keys()):
            if found.get(name) != expected.get(name):
                self.tally.problems.append(f"{name} is not the undisturbed run's")
        for path in [*leftovers(runs), *self.temporary.glob("recbench-*")]:
            self.tally.problems.append(f"left behind: {path.relative_to(self.place)}")
        shutil.rmtree(runs)


def outcome(runs: Path) -> dict[str, Any]:
    """Everything that must be bit-identical, by name: records without times, and every file of every step."""
    found: dict[str, Any] = {}
    for path in runs.glob("*/record.json"):
        found[path.parent.name] = _timeless(json.loads(path.read_bytes()))
    for path in sorted((runs / "steps").glob("[!.]*/**/*")):
        name = path.relative_to(runs).as_posix()
        if path.name == "report.json":
            found[name] = _timeless(json.loads(path.read_bytes()))
        elif path.is_file() and path.name != META:
            found[name] = sha256_file(path)
    return found


def _timeless(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _timeless(one) for name, one in value.items() if name not in TIMES}
    return [_timeless(one) for one in value] if isinstance(value, list) else value


def leftovers(runs: Path) -> list[Path]:
    """What killed processes left and a sweep should have removed."""
    hidden = (".partial", ".live", ".checkpoints")
    return [*runs.rglob("*.recbench-tmp"), *(path for name in hidden for path in (runs / "steps" / name).glob("*"))]


def small(place: Path) -> list[str]:
    """The words of a small run on data of its own."""
    walks = [f"{u},{(u + i) % 40},{60 * i + u},The {(u + i) % 40}th Film" for u in range(40) for i in range(14)]
    (place / "own.csv").write_text("\n".join(["user,item,timestamp,title", *walks]) + "\n")
    return [*SMALL.split(), "--data-dir", str(place / "own.csv"), *(word for s in SETS for word in ("--set", s))]


def suite(place: Path) -> list[str]:
    """The words of a small suite on two workers."""
    small(place)
    (place / "small.yaml").write_text(SUITE)
    return ["suite", "run", str(place / "small.yaml"), "--data-dir", str(place / "own.csv"), "--workers", "2"]


def told(tally: Tally) -> dict[str, Any]:
    """The figures."""
    startup = tally.startup
    return {
        "kills": tally.killed,
        "finished": tally.finished,
        "undisturbed_s": round(tally.undisturbed, 1),
        "lost_median_s": {name: round(statistics.median(lost), 2) for name, lost in sorted(tally.lost.items())},
        "lost_worst_s": {name: round(max(lost), 2) for name, lost in sorted(tally.lost.items())},
        "startup_median_s": round(statistics.median(startup), 2) if startup else None,
        "ends": dict(sorted(tally.ends.items())),
        "last_words": dict(tally.last_words.most_common()),
        "problems": len(tally.problems),
    }


def main() -> int:
    """See the module."""
    parser = argparse.ArgumentParser(description="Kill a recbench command at random moments and compare.")
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--minutes", type=float, default=float("inf"), help="stop earlier")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--signals", default="KILL", help="of KILL,TERM,INT,HUP,USR1,CLIENT,WORKER")
    parser.add_argument("--suite", action="store_true", help="kill a small suite on two Dask workers")
    parser.add_argument("words", nargs="*", help="of recbench, after --")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="torture-") as name:
        place = Path(name)
        words = asked.words or (suite if asked.suite else small)(place)
        torture = Torture(words, place, random.Random(asked.seed), asked.signals.upper().split(","))
        tally = torture.all(asked.kills, asked.minutes)
    for sentence in tally.problems:
        print(sentence)
    print(json.dumps(told(tally), indent=1))
    return 1 if tally.problems else 0


if __name__ == "__main__":
    sys.exit(main())
