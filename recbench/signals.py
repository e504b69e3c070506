"""The signals that ask a process to keep what it has and leave: SIGTERM, and SIGUSR1, Slurm's warning."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

NAMES = ("SIGTERM", "SIGUSR1")  # the second is unknown to Windows


class Signals:
    """Notes a signal, so that whoever works can leave in good order.

    Attributes:
        noted: whether one has come while the process was listening.
    """

    def __init__(self) -> None:
        self.noted = False

    @contextmanager
    def listening(self) -> Iterator[None]:
        """While the block runs the first signal is only noted; a second one does what it always did."""
        before: dict[int, Any] = {}

        def note(number: int, frame: Any) -> None:
            self.noted = True
            signal.signal(number, before[number])

        if threading.current_thread() is threading.main_thread():  # Python refuses it elsewhere
            for number in (getattr(signal, name) for name in NAMES if hasattr(signal, name)):
                before[number] = signal.getsignal(number) or signal.SIG_DFL
                signal.signal(number, note)
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
