"""Shell completion: the printed script is the shell's, and what it asks for is answered."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest


def called(*words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, **variables}
    command = [sys.executable, "-m", "recbench", *words]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("typed", "answers"),
    [
        ("recbench plug", ["plugin"]),
        ("recbench plugin c", ["check"]),
        ("recbench run --mo", ["--model"]),
        ("recbench no_such", []),
    ],
)
def test_commands_and_flags_are_completed(typed: str, answers: list[str]) -> None:
    count = str(len(typed.split()) - 1)
    done = called(_RECBENCH_COMPLETE="bash_complete", COMP_WORDS=typed, COMP_CWORD=count)
    assert done.returncode == 0
    assert done.stderr == ""
    assert [line.partition(",")[2] for line in done.stdout.split()] == answers


@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash")
def test_bash_itself_completes(tmp_path: Path) -> None:
    place = tmp_path / "recbench"
    place.write_text(f'#!/bin/sh\nexec {sys.executable} -m recbench "$@"\n')
    place.chmod(0o755)
    script = called("completion", "bash")
    assert script.returncode == 0
    asks = 'COMP_WORDS=(recbench lead); COMP_CWORD=1; _recbench_completion recbench; printf "%s\\n" "${COMPREPLY[@]}"'
    (tmp_path / "script").write_text(f"{script.stdout}\n{asks}\n")
    environment = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    done = subprocess.run(
        ["bash", str(tmp_path / "script")], env=environment, capture_output=True, text=True, check=False
    )
    assert done.stdout.split() == ["leaderboard"], done.stderr


def test_shells() -> None:
    for shell, word in (("zsh", "#compdef recbench"), ("fish", "complete --no-files --command recbench")):
        assert word in called("completion", shell).stdout
    wrong = called("completion", "zhs")
    assert wrong.returncode == 2
    assert "There is no completion for 'zhs': did you mean 'zsh'?" in wrong.stderr
