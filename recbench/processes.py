"""Running under ``torchrun`` or ``accelerate launch``: which process this is, and doing things once for all."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from datetime import timedelta
from typing import Any, TypeVar

T = TypeVar("T")


def world() -> int:
    """How many processes share this run."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def is_main() -> bool:
    """Whether this process writes results and messages."""
    return number() == 0


def number() -> int:
    """Which of the processes this one is, from 0."""
    return int(os.environ.get("RANK", "0"))


def join(device: str) -> None:
    """Let the processes find each other; nothing to do for one."""
    if world() > 1:
        from accelerate import PartialState
        from accelerate.utils import InitProcessGroupKwargs

        # the others wait while the first one builds what they do not share, which may take hours
        patience = InitProcessGroupKwargs(timeout=timedelta(days=2)).to_kwargs()
        PartialState(cpu=device == "cpu", **patience)


def once(action: Callable[[], Any]) -> Any:
    """Run ``action`` on the main process; every process gets its (picklable) result, or its error."""
    if world() == 1:
        return action()
    import torch

    box: list[Any] = [None, None]
    if is_main():
        try:
            box[0] = action()
        except Exception as error:  # handed to every process, which would otherwise wait for ever
            box[1] = error
    torch.distributed.broadcast_object_list(box)
    if box[1] is not None:
        raise box[1]
    return box[0]


def gathered(value: T) -> list[T]:
    """The (picklable) value of every process, in their order, on every process."""
    if world() == 1:
        return [value]
    import torch

    found: list[Any] = [None] * world()
    torch.distributed.all_gather_object(found, value)
    return found


def lost(error: BaseException) -> bool:
    """Whether an error, or one behind it, says that another process of this run is gone."""
    torch = sys.modules.get("torch")
    if world() == 1 or torch is None:
        return False
    found: BaseException | None = error
    while found is not None:
        # gloo has no error of its own; its sentences begin with the place in its source
        if isinstance(found, torch.distributed.DistError) or "gloo/transport" in str(found):
            return True
        found = found.__cause__ or found.__context__
    return False


def leave() -> None:
    """Shut down cleanly: a process that just exits can take the others down."""
    if world() > 1:
        import torch

        if torch.distributed.is_initialized():
            torch.distributed.barrier()
            torch.distributed.destroy_process_group()
