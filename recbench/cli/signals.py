"""Signals that ask a command to end: it shuts down cleanly and says so."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from recbench import processes
from recbench.errors import Stopped
from recbench.signals import numbers


def leave() -> None:
    """The result is known and the process about to end: a signal must no longer change its exit code."""
    for number in [*numbers(), signal.SIGINT]:
        if signal.getsignal(number) in (signal.SIG_DFL, signal.default_int_handler):
            signal.signal(number, signal.SIG_IGN)


@contextmanager
def stopping() -> Iterator[None]:
    """While the block runs, the first such signal raises :class:`Stopped`; a second one ends the process at once.

    A training listens itself, since it writes a checkpoint first. What the caller ignores stays ignored (nohup), and
    processes that share a run are left to their launcher: one of them may wait for the others where no signal is seen.
    """
    mine = []

    def stop(number: int, frame: Any) -> None:
        signal.signal(number, signal.SIG_DFL)
        raise Stopped(f"stopped by {signal.Signals(number).name}: run the same command again to continue.")

    if processes.world() == 1 and threading.current_thread() is threading.main_thread():
        mine = [number for number in numbers() if signal.getsignal(number) == signal.SIG_DFL]
    for number in mine:
        signal.signal(number, stop)
    try:
        yield
    finally:
        for number in mine:
            signal.signal(number, signal.SIG_DFL)
