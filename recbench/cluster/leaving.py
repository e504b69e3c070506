"""How a worker ends when told to, for instance by Slurm: its step writes a checkpoint, and another continues."""

from __future__ import annotations

import asyncio
import signal
import threading
import time
from typing import Any

from distributed import WorkerPlugin
from distributed.core import Status

from recbench.cluster.worker import building
from recbench.signals import asked, numbers

PATIENCE = 60.0  # seconds; Dask's nanny waits for ten


class Leaving(WorkerPlugin):
    """Asks the step that is being built to stop when the worker closes, and waits until it has."""

    name = "recbench-leaving"
    idempotent = True  # a second client of the same scheduler must not replace it, which would tear it down

    def setup(self, worker: Any) -> None:
        """Leave signals to the nanny, which closes the worker in good order; without one they end the process."""
        if worker.nanny is not None and threading.current_thread() is threading.main_thread():
            for number in numbers():
                signal.signal(number, _wait)  # not SIG_IGN, which torchrun's processes would inherit

    async def teardown(self, worker: Any) -> None:
        """Called by a worker that closes."""
        end = time.monotonic() + PATIENCE
        closing = (Status.closing, Status.closing_gracefully, Status.closed, Status.failed)
        while worker.status in closing and building() and time.monotonic() < end:
            asked.set()
            await asyncio.sleep(0.1)


def _wait(number: int, frame: Any) -> None:
    """The nanny has got the signal too."""
