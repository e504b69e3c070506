"""What a launch may not ask for is one sentence, before anything is computed."""

from __future__ import annotations

import os
import platform
import subprocess
import sys

import pytest

from recbench import planning, process
from recbench.errors import UsageError
from recbench.spec.request import Request


@pytest.mark.parametrize(("variable", "flag"), process.SHARDING.items())
def test_a_sharded_launch_is_refused(variable: str, flag: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(planning, "measured", lambda dataset: dataset)
    spec = planning.plan(Request(model="popularity", device="cpu")).spec
    monkeypatch.setenv(variable, "true")
    with pytest.raises(UsageError, match=f"^accelerate launch {flag}: recbench does not shard a model"):
        process.begin(spec)


def waiting(code: str, **variables: str) -> str:
    """What libgomp, OpenMP's library in torch's wheels, says of its settings when a fresh process loads it."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("OMP_", "GOMP_"))}
    environment |= {"OMP_DISPLAY_ENV": "VERBOSE", **variables}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    return done.stderr


BEGIN = """
from recbench.process import begin
from recbench.spec.options import MachineOptions
begin(MachineOptions(), trains=False)
import ctypes, importlib.util, pathlib
# what importing torch loads, which takes seconds
(library,) = (pathlib.Path(importlib.util.find_spec("torch").origin).parent / "lib").glob("libgomp*")
ctypes.CDLL(str(library))
"""


@pytest.mark.skipif(platform.system() != "Linux", reason="torch has libgomp on Linux only")
@pytest.mark.parametrize(
    ("variables", "changed"),
    [({}, True), ({"OMP_WAIT_POLICY": "ACTIVE"}, False), ({"GOMP_SPINCOUNT": "7"}, False)],
)
def test_waiting_threads_leave_the_cores_to_others(variables: dict[str, str], changed: bool) -> None:
    assert ("GOMP_SPINCOUNT = '1000'" in waiting(BEGIN, **variables)) == changed
