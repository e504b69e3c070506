"""``torchrun -m recbench.cluster.processes FILE``: one of the processes that build a step together."""

from __future__ import annotations

import sys
from pathlib import Path

from recbench import processes
from recbench.errors import RecbenchError, Stopped
from recbench.interfaces import SilentReporter
from recbench.process import begin
from recbench.steps.executor import Serial
from recbench.steps.remote import opened


def main(file: str) -> int:
    """Build the step that ``file`` holds; returns the exit code."""
    import cloudpickle

    step, store = cloudpickle.loads(Path(file).read_bytes())
    try:
        begin(step.machine)
        Serial(opened(*store), SilentReporter()).run([step])
        processes.leave()
    except (RecbenchError, Stopped) as error:
        if processes.is_main():
            print(f"recbench: {error}", file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
