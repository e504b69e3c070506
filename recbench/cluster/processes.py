"""``torchrun -m recbench.cluster.processes FILE``: one of the processes that build a step together."""

from __future__ import annotations

import sys
import threading
import time
from pathlib import Path

import psutil

from recbench import processes
from recbench.cluster.worker import SAYS
from recbench.errors import RecbenchError, Stopped
from recbench.interfaces import SilentReporter
from recbench.process import begin
from recbench.signals import asked
from recbench.steps.executor import Serial
from recbench.steps.remote import opened


class Lines(SilentReporter):
    """Messages as lines that the worker passes on; one process speaks for all."""

    def message(self, text: str) -> None:
        """Print it."""
        if processes.is_main():
            print(f"{SAYS}{text}", file=sys.stderr, flush=True)


def main(file: str) -> int:
    """Build the step that ``file`` holds; returns the exit code."""
    import cloudpickle

    step, store, worker = cloudpickle.loads(Path(file).read_bytes())
    threading.Thread(target=_watch, args=(worker,), daemon=True).start()
    try:
        begin(step.machine)
        Serial(opened(*store), Lines()).run([step])
        processes.leave()
    except (RecbenchError, Stopped) as error:
        if processes.is_main():
            print(f"recbench: {error}", file=sys.stderr)
        return error.exit_code
    return 0


def _watch(worker: int) -> None:
    """Once the worker that started torchrun is gone, stop: another one is given the step, and waits for its lock."""
    try:
        found = psutil.Process(worker)
        while found.is_running() and found.status() != psutil.STATUS_ZOMBIE:
            time.sleep(1)
    except psutil.NoSuchProcess:
        pass
    asked.set()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
