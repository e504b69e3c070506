"""Starting up: fast, without a deep-learning library, and the same however it is started."""

from __future__ import annotations

import subprocess
import sys
from types import SimpleNamespace

import pytest

COUNT = """
import sys, resource
from recbench.cli import cli
try:
    cli.main(sys.argv[1:], prog_name="recbench")
except SystemExit as error:
    assert not error.code, error.code
usage = resource.getrusage(resource.RUSAGE_SELF)
loaded = {"torch", "transformers", "peft", "trl", "numpy", "scipy", "rich", "pandas"} & set(sys.modules)
print("spent", usage.ru_utime + usage.ru_stime, *sorted(loaded), file=sys.stderr)
"""
ARRAYS = {"numpy", "scipy"}
BARE = """
import resource
import click, numpy, pydantic, yaml
usage = resource.getrusage(resource.RUSAGE_SELF)
print("spent", usage.ru_utime + usage.ru_stime)
"""
COMMANDS = {  # words -> the libraries that it may load, and its CPU time over that of the imports of BARE
    "--help": (set(), 1),
    "list": ({"numpy"}, 6),  # of the metrics
    "list losses": (set(), 3),
    "describe loss msl": (set(), 3),
    "llm list": (set(), 3),
    "run --help": ({"numpy"}, 4),
    "run --dry-run --model sasrec --dataset csv --data-dir own.csv": (ARRAYS, 16),
    "suite plan two.yaml": (ARRAYS, 16),
    "store": (ARRAYS, 16),
    "table": (ARRAYS, 16),
    "compare {text} {few}": (ARRAYS, 18),
    "leaderboard build --check --records boards/records --out boards": (ARRAYS, 16),
}


def spent(words: str, folder: object) -> tuple[float, set[str]]:
    """Seconds of CPU of ``recbench WORDS`` in a fresh process, and the libraries that it loaded."""
    done = subprocess.run(
        [sys.executable, "-c", COUNT, *words.split()], capture_output=True, text=True, cwd=folder, check=True
    )
    seconds, *found = done.stderr.rpartition("spent")[2].split()
    return float(seconds), set(found)


def bare() -> float:
    """Seconds of CPU that the plainest imports take on this machine now: others may be using it."""
    done = subprocess.run([sys.executable, "-c", BARE], capture_output=True, text=True, check=True)
    return float(done.stdout.split()[1])


@pytest.fixture(scope="module")
def boards(done: SimpleNamespace) -> SimpleNamespace:
    """The finished runs with a suite and pages."""
    (done.folder / "two.yaml").write_text(
        "defaults: {dataset: csv, data_dir: own.csv}\ncells: [{model: bigrec, loss: msl}, {model: popularity}]\n"
    )
    for words in (["add", done.ids["few"]], ["build", "--out", "boards"]):
        built = done.call("leaderboard", *words, "--records", "boards/records")
        assert built.exit_code == 0, built.output
    return done


@pytest.mark.parametrize("words", COMMANDS)
def test_looking_and_planning_are_light(words: str, boards: SimpleNamespace) -> None:
    allowed, most = COMMANDS[words]
    for _ in range(3):  # the first may compile, and others may be using this machine
        seconds, loaded = spent(words.format(**boards.ids), boards.folder)
        assert loaded <= allowed
        if (ratio := seconds / bare()) < most:
            return
    pytest.fail(f"it takes {ratio:.0f} times the plainest imports, and {most} at most were expected")


def test_python_m_is_the_same_command(tmp_path) -> None:
    found = subprocess.run(
        [sys.executable, "-m", "recbench", "--version"], capture_output=True, text=True, cwd=tmp_path, check=True
    )
    assert found.stdout.startswith("recbench, version ")


def test_no_command_prints_help_and_exits_2(call) -> None:
    result = call()
    assert result.exit_code == 2
    assert "leaderboard" in result.output


def test_a_closed_pipe_ends_a_command_quietly() -> None:
    done = subprocess.Popen(
        [sys.executable, "-m", "recbench", "list"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert done.stdout is not None
    assert done.stderr is not None
    done.stdout.close()  # as head does once it has its lines
    assert done.stderr.read() == ""
    assert done.wait() == 141  # as SIGPIPE in a shell
