"""Makes this process ready for an experiment: device, other processes, threads, repeatable algorithms."""

from __future__ import annotations

import ctypes
import os
import platform

from recbench import processes
from recbench.errors import UsageError
from recbench.spec.options import MachineOptions

# what accelerate launch sets; on a CPU accelerate silently ignores it
SHARDING = {"ACCELERATE_USE_FSDP": "--use_fsdp", "ACCELERATE_USE_DEEPSPEED": "--use_deepspeed"}


def begin(machine: MachineOptions, trains: bool = True) -> None:
    """Prepare this process for steps.

    Args:
        machine: what they compute on.
        trains: whether they train; counting items needs no torch, which takes seconds to import.

    Raises:
        UsageError: the device or the number of processes is not what the machine options say, or the launch asks for
            what recbench does not do.
    """
    _environment()
    for variable, flag in SHARDING.items():
        if os.environ.get(variable, "false").lower() == "true":
            raise UsageError(
                f"accelerate launch {flag}: recbench does not shard a model, every process holds a whole one; launch "
                "without it (llm.bits=4 makes a large model smaller)."
            )
    if machine.device == "cuda":
        import torch

        if not torch.cuda.is_available():
            raise UsageError("--device cuda: torch sees no CUDA device here; use --device cpu.")
    if machine.processes != processes.world():
        raise UsageError(
            f"machine.processes={machine.processes} but {processes.world()} started: torchrun starts more."
        )
    if machine.threads > (cores := 4 * (os.cpu_count() or 1)):
        raise UsageError(f"machine.threads={machine.threads}: this machine takes {cores} threads at most.")
    processes.join(machine.device)
    if trains:
        _libraries(machine)


def _environment() -> None:
    # read by libraries when they are first imported or used
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    os.environ.setdefault("TQDM_DISABLE", "1")  # progress goes through the reporter
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    if "OMP_WAIT_POLICY" not in os.environ:
        # libgomp's waiting threads spin for milliseconds: two runs on the same cores are then four times slower
        os.environ.setdefault("GOMP_SPINCOUNT", "1000")
    if platform.system() == "Linux" and platform.libc_ver()[0] == "glibc":
        # By default glibc returns every tensor of more than 128 KiB to the system and faults it in again.
        libc = ctypes.CDLL("libc.so.6")
        for parameter, value in ((-3, 1 << 30), (-1, (1 << 31) - 1), (-2, 1 << 26)):  # mmap, trim, top pad
            libc.mallopt(parameter, value)


def _libraries(machine: MachineOptions) -> None:
    import torch
    import transformers

    torch.set_num_threads(max(machine.threads // processes.world(), 1))
    # a debugging aid that costs a pass over every new tensor
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    torch.use_deterministic_algorithms(True, warn_only=machine.device != "cpu")
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
