"""What a worker does that is told to end, by Slurm for instance: its step writes a checkpoint, and another goes on."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from distributed import WorkerPlugin

from recbench.cluster.worker import building
from recbench.signals import asked

PATIENCE = 60.0  # seconds; Dask's nanny waits for ten


class Leaving(WorkerPlugin):
    """Asks the step that is being built to stop when the worker closes, and waits until it has."""

    name = "recbench-leaving"

    async def teardown(self, worker: Any) -> None:
        """Called by a worker that closes."""
        end = time.monotonic() + PATIENCE
        while building() and time.monotonic() < end:
            asked.set()
            await asyncio.sleep(0.1)
