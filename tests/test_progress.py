"""Progress in a log and on a terminal."""

from __future__ import annotations

import io
import os
import re
import subprocess
import sys
from types import SimpleNamespace

import pytest

from recbench import progress
from recbench.cli.text import columns
from recbench.progress import duration


def test_log_lines_come_at_most_every_few_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: clock[0])
    stream = io.StringIO()
    log = progress.LogReporter(stream)
    log.begin("train x", 100)
    for step in range(1, 101):
        clock[0] += 0.25
        log.advance(step, 100, loss=2.5)
    log.message("epoch 1 of 1")
    log.begin("rank", 10)
    log.close()
    lines = [line[9:] for line in stream.getvalue().splitlines()]
    assert lines == [
        "train x",
        "  20 of 100, loss 2.5, 20 s left",
        "  40 of 100, loss 2.5, 15 s left",
        "  60 of 100, loss 2.5, 10 s left",
        "  80 of 100, loss 2.5, 5.0 s left",
        "  100 of 100, loss 2.5, 0.0 s left",
        "  epoch 1 of 1",
        "  train x: 100 of 100, 25 s",
        "rank",
    ]


def test_what_has_no_name_is_not_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: clock[0])
    stream = io.StringIO()
    log = progress.LogReporter(stream)
    clock[0] = 60.0
    log.advance(1, 1)
    assert stream.getvalue() == ""


def test_bar_keeps_messages(capsys: pytest.CaptureFixture[str]) -> None:
    bar = progress.BarReporter()
    bar.begin("train [x]", 2)
    bar.advance(1, 2, loss=1.0)
    bar.advance(2, 2, loss=1.0)
    bar.message("epoch [1] of 1")
    bar.close()
    err = capsys.readouterr().err
    assert "epoch [1] of 1" in err
    assert "train [x]: 2 of 2" in err


def test_other_processes_are_silent(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("RANK", "1")
    with progress.reporter() as found:
        found.begin("x")
        found.message("y")
    assert capsys.readouterr().err == ""


def test_text() -> None:
    assert columns([("a", "bb"), ("ccc", "d")], " ") == " a    bb\n ccc  d"
    assert [duration(s) for s in (2.04, 40, 120, 7200)] == ["2.0 s", "40 s", "2 min", "2.0 h"]


def test_a_notebook_is_one_only_where_a_kernel_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ipykernel", SimpleNamespace())  # jupyter_client imports it anywhere
    for shell, there in ((None, False), (SimpleNamespace(), False), (SimpleNamespace(kernel=object()), True)):
        monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda shell=shell: shell))
        assert progress._in_notebook() is there


PTY = """
import pty, os, sys
code = '''
from recbench.cli.outcome import _print_table
from recbench.progress import BarReporter
bar = BarReporter()
bar.begin("train", 3)
bar.advance(2, loss=1.5)
bar._bar.refresh()
bar.message("a message")
bar.close()
_print_table([("run", "mine")])
'''
pty.spawn([sys.executable, "-c", code])
"""


def test_no_color_is_honoured() -> None:
    """On a terminal bars have colours, unless NO_COLOR asks for none."""
    shown = {}
    for wanted in ("", "1"):
        environment = {**os.environ, "TERM": "xterm-256color", "NO_COLOR": wanted}
        environment.pop("FORCE_COLOR", None)
        done = subprocess.run(
            [sys.executable, "-c", PTY], env=environment, stdin=subprocess.DEVNULL, capture_output=True, check=True
        )
        text = done.stdout.decode()
        assert "a message" in text
        assert "mine" in text
        shown[wanted] = re.findall(r"\x1b\[[0-9;]*m", text)
    colour = re.compile(r"[\[;](?:3[0-8]|4[0-8]|9[0-7])(?=[;m])")
    assert any(colour.search(code) for code in shown[""])
    assert not any(colour.search(code) for code in shown["1"])
