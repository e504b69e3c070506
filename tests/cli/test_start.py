"""Starting up: fast, without torch, and the same by every door."""

from __future__ import annotations

import subprocess
import sys

import pytest

COUNT = """
import sys, resource
from recbench.cli import cli
try:
    cli.main({args!r}, prog_name="recbench")
except SystemExit as error:
    assert not error.code, error.code
usage = resource.getrusage(resource.RUSAGE_SELF)
heavy = {{"torch", "transformers", "numpy", "scipy", "rich", "pandas"}} & set(sys.modules)
print(usage.ru_utime + usage.ru_stime, ",".join(sorted(heavy)), file=sys.stderr)
"""


@pytest.mark.parametrize(
    "args", [["--help"], ["list"], ["list", "losses"], ["run", "--help"], ["describe", "loss", "msl"]]
)
def test_light_commands_load_nothing_heavy(args: list[str], tmp_path) -> None:
    runs = [
        subprocess.run(
            [sys.executable, "-c", COUNT.format(args=args)], capture_output=True, text=True, cwd=tmp_path, check=True
        ).stderr.split()
        for _ in range(2)  # the first may have to compile
    ]
    for _, *heavy in runs:
        # run --help imports the resolver, whose data module names numpy types; nothing may import torch
        assert "torch" not in "".join(heavy)
        assert args == ["run", "--help"] or not heavy
    assert min(float(run[0]) for run in runs) < 0.5


def test_python_m_is_the_same_command(tmp_path) -> None:
    found = subprocess.run(
        [sys.executable, "-m", "recbench", "--version"], capture_output=True, text=True, cwd=tmp_path, check=True
    )
    assert found.stdout.startswith("recbench, version ")


def test_no_command_prints_help_and_exits_2(call) -> None:
    result = call()
    assert result.exit_code == 2
    assert "leaderboard" in result.output
