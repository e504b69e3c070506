"""Processes that begin with recbench's libraries loaded: importing them takes a dozen seconds."""

from __future__ import annotations

import atexit
import gc
import multiprocessing
import os
import runpy
import shutil
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

LIBRARIES = ["transformers.trainer", "peft", "scipy.stats", "recbench.cli.run", "recbench.sequential.network"]
"""What takes long to import; none of them starts a thread, so that a process may fork."""
FORK = multiprocessing.get_context("forkserver")
FORK.set_forkserver_preload(LIBRARIES)


@cache
def _said() -> str:
    """Where this process's children write; made by the parent only, as they import this module too."""
    return tempfile.mkdtemp(prefix="children-")


@atexit.register
def _end() -> None:
    """After a failed test: multiprocessing would wait for what still runs."""
    for child in multiprocessing.active_children():
        child.kill()
    if _said.cache_info().currsize:
        shutil.rmtree(_said(), ignore_errors=True)


class Child:
    """``recbench WORDS``, as by subprocess.Popen.

    Args:
        words: after ``recbench``.
        folder: where it runs.
        environment: variables besides those of this process.
        script: a file to run instead of recbench.
    """

    def __init__(
        self,
        *words: str,
        folder: Path,
        environment: Mapping[str, str] | None = None,
        script: Path | None = None,
    ) -> None:
        descriptor, place = tempfile.mkstemp(dir=_said())
        os.close(descriptor)
        self._stderr = Path(place)
        variables = {**os.environ, **(environment or {})}
        self._process = FORK.Process(target=_run, args=(words, str(folder), variables, place, script))
        self._process.start()
        assert self._process.pid is not None
        self.pid: int = self._process.pid

    @property
    def stderr(self) -> str:
        """What it has written so far."""
        return self._stderr.read_text()

    def poll(self) -> int | None:
        """Its exit code, or minus the signal that ended it; None while it runs."""
        return self._process.exitcode

    def wait(self, seconds: float = 240) -> int:
        """Its exit code, once it has ended."""
        self._process.join(seconds)
        code = self.poll()
        if code is None:
            self._process.kill()
        assert code is not None, f"still running after {seconds} seconds: {self.stderr}"
        return code

    def until(self, there: Callable[[], Any]) -> None:
        """Wait for something that it does before it ends."""
        end = time.monotonic() + 240
        while not there():
            ended, late = self.poll() is not None, time.monotonic() > end
            if late:
                self._process.kill()
            assert there() or not (ended or late), self.stderr
            time.sleep(0.01)

    def send_signal(self, number: int) -> None:
        """As kill does."""
        if self.poll() is None:
            os.kill(self.pid, number)


def finished(*words: str, folder: Path) -> Child:
    """``recbench WORDS`` to a good end."""
    child = Child(*words, folder=folder)
    assert child.wait(300) == 0, child.stderr
    return child


def several(number: int, *words: str, folder: Path, script: Path | None = None) -> list[Child]:
    """Processes that find each other, as torchrun starts them; torchrun would also end those that are left."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    group = {"WORLD_SIZE": str(number), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    ranks = [{**group, "RANK": str(rank), "LOCAL_RANK": str(rank)} for rank in range(number)]
    return [Child(*words, folder=folder, environment=rank, script=script) for rank in ranks]


def _run(words: tuple[str, ...], folder: str, variables: Mapping[str, str], stderr: str, script: Path | None) -> None:
    """The process's only task: what ``python -m recbench WORDS`` does, or ``python SCRIPT WORDS``."""
    for path, descriptor in ((os.devnull, 1), (stderr, 2)):
        os.dup2(os.open(path, os.O_WRONLY | os.O_APPEND), descriptor)
    gc.freeze()  # each training collects garbage, and would look through all that is loaded
    os.environ.clear()
    os.environ.update(variables)
    os.chdir(folder)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background inherits an ignored Ctrl-C
    sys.argv[:] = ["recbench", *words]
    try:
        if script is None:
            runpy.run_module("recbench", run_name="__main__", alter_sys=True)
        else:
            runpy.run_path(str(script), run_name="__main__")
    finally:
        sys.stdout.flush()
        atexit._run_exitfuncs()
