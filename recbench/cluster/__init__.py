"""Steps built by the workers of a Dask cluster. A step's folder name is its task's key, so a shared step runs once."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Workers:
    """Which cluster.

    Attributes:
        count: worker processes of this machine; 0 with a scheduler.
        scheduler: address of a running one.
        gpus: GPUs of each worker of this machine.
    """

    count: int = 0
    scheduler: str | None = None
    gpus: int = 0
