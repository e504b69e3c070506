"""The signals that ask a process to save its work and exit: SIGTERM, SIGHUP, and SIGUSR1, Slurm's warning."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

asked = threading.Event()
"""Set by what asks this process to stop in another way, such as a cluster that closes."""


def numbers() -> list[int]:
    """The signals of this system; Windows knows the first alone."""
    return [getattr(signal, name) for name in ("SIGTERM", "SIGHUP", "SIGUSR1") if hasattr(signal, name)]


class Signals:
    """Notes a signal, so that the work can end in good order."""

    def __init__(self) -> None:
        self._came = self._listens = False

    @property
    def noted(self) -> bool:
        """Whether one has come while the process was listening, or it is listening and :data:`asked` is set."""
        return self._came or (self._listens and asked.is_set())

    @contextmanager
    def listening(self) -> Iterator[None]:
        """While the block runs the first signal is only noted; a second one does what it always did."""
        before: dict[int, Any] = {}

        def note(number: int, frame: Any) -> None:
            self._came = True
            signal.signal(number, before[number])

        if threading.current_thread() is threading.main_thread():  # Python refuses it elsewhere
            for number in numbers():
                before[number] = signal.getsignal(number) or signal.SIG_DFL
                if before[number] != signal.SIG_IGN:  # nohup's
                    signal.signal(number, note)
        self._listens = True
        try:
            yield
        finally:
            self._listens = False
            for number, handler in before.items():
                signal.signal(number, handler)
