"""What a worker does: build one step in the store that all of the cluster shares."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from functools import cache
from pathlib import Path
from typing import Any

from recbench.errors import RecbenchError, Stopped
from recbench.files import digest, scratch
from recbench.language.fingerprint import cache_folder
from recbench.process import begin
from recbench.signals import asked
from recbench.steps.executor import Serial
from recbench.steps.remote import opened
from recbench.steps.step import Step
from recbench.steps.store import Store

SAYS = "recbench says: "
"""Begins the lines of progress of several processes that build a step together."""
EVERY = 2.0  # seconds between two events about what is done
_clients: set[str] = set()  # whose step is being built
_ended: set[str] = set()  # clients that have left
_last: list[Serial] = []  # of this process's last step: what it made may be what the next one needs


def build(step: Step, folder: str, store: tuple[Path, str | None], client: str, *needs: Any) -> tuple[float, bool]:
    """Build a step; a task of the cluster.

    Args:
        step: what to build; its needs are in the store.
        folder: its folder's name as the client knows it.
        store: its folder, the same on every host; or the client's folder and the address behind it, in which case a
            host without the folder keeps its own cache.
        client: whose task it is.
        needs: results of the tasks that had to come first.

    Returns:
        Its seconds, and whether it was there already.

    Raises:
        RecbenchError: of the step; or this worker runs other code, or sees another store.
        Stopped: the client leaves; what is under way has written a checkpoint.
    """
    place = f"worker on {socket.gethostname()}"
    try:
        asked.clear()
        _clients.add(client)
        if client in _ended:  # after it is known who is at work: an order to stop may come at any moment
            raise Stopped("the client has left")
        _alone(place)
        if step.folder != folder:
            raise RecbenchError(
                f"the {place} would build {step.folder} instead of {folder}: install the same version of "
                "recbench, its plugins and its libraries everywhere."
            )
        found = _store(*store)
        for need in step.needs.values():
            if found.find(need) is None:
                raise RecbenchError(
                    f"the {place} does not find {need.folder} in {found.root}: every worker must see the same folder "
                    "of runs, or use --store."
                )
        events = Events(step, client)
        several = step.machine is not None and step.machine.processes > 1
        return _torchrun(step, store, events) if several else _here(step, found, events)
    except SystemExit as error:  # of a plugin; Dask would take it for an order to leave
        raise RecbenchError(f"{step.title}: its code called sys.exit({error.code!r}).") from None
    except Stopped:
        if client in _ended:
            raise
        raise _elsewhere() from None  # this worker leaves: not a failure of the step's
    finally:
        _clients.discard(client)


@cache
def _store(root: Path, address: str | None) -> Store:
    """One a process: it remembers which files it has checked.

    Raises:
        RecbenchError: this host has neither the folder nor a home, and needs a cache for an address.
    """
    if address is not None and not root.is_dir():
        own = cache_folder()
        if own is None:
            raise RecbenchError(
                f"the worker on {socket.gethostname()} has no place for steps fetched from {address}: set "
                "XDG_CACHE_HOME there."
            )
        root = own / "steps" / digest(address)[:16]
    return opened(root, address)


def _alone(place: str) -> None:
    """Refuse a worker that runs several tasks at once: they would share the generators and torch's settings."""
    from distributed import get_worker

    with contextlib.suppress(ValueError):  # outside a worker
        if (threads := get_worker().state.nthreads) > 1:
            raise RecbenchError(
                f"the {place} runs {threads} tasks at once, and a step needs its own process: start Dask's workers "
                "with --nthreads 1 --resources threads=N."
            )


def _elsewhere() -> Exception:
    """The exception that makes the scheduler give a task to another worker, without counting it as a failure."""
    from distributed import Reschedule

    return Reschedule()


def stop(client: str) -> None:
    """Have this worker's step write a checkpoint and end, if it is this client's; begin none of its others."""
    _ended.add(client)
    if client in _clients:
        asked.set()


def building() -> bool:
    """Whether this worker is at a step."""
    return bool(_clients)


def busy(client: str) -> bool:
    """Whether this worker is at a step of this client's."""
    return client in _clients


def _here(step: Step, store: Store, events: Events) -> tuple[float, bool]:
    if step.machine is not None:
        begin(step.machine)
    executor = Serial(store, events)
    if _last:
        executor.adopt(_last.pop(), step)
    with store.using([step, *step.needs.values()]):
        built = executor.run([step])[step.folder]
    _last[:] = [executor]
    return built.seconds, built.reused


def _torchrun(step: Step, store: tuple[Path, str | None], events: Events) -> tuple[float, bool]:
    """Build it by several processes on this host, as torchrun starts them."""
    import cloudpickle

    assert step.machine is not None
    _last.clear()  # what this process has on a GPU
    with scratch() as folder:
        (place := folder / "step").write_bytes(cloudpickle.dumps((step, _store(*store).place, os.getpid())))
        command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node"]
        command += [str(step.machine.processes), "-m", "recbench.cluster.processes", str(place)]
        process = subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, start_new_session=True
        )
        watcher = threading.Thread(target=_pass_on, args=(process,), daemon=True)
        watcher.start()
        try:
            said = _listened(process, events)
            code = process.wait()
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
    built = _store(*store).find(step)
    if built is None and asked.is_set():
        raise Stopped(said or "stopped")
    if built is None:
        raise RecbenchError(said or f"{step.title}: torchrun ended with exit code {code}.")
    return built.seconds, False


def _pass_on(process: subprocess.Popen[str]) -> None:
    """Once this worker is asked to stop, ask torchrun's processes; torchrun itself would kill them."""
    import psutil

    while process.poll() is None:
        if asked.wait(0.2):
            with contextlib.suppress(psutil.NoSuchProcess):
                for child in psutil.Process(process.pid).children():
                    child.send_signal(signal.SIGUSR1)
            return


def _listened(process: subprocess.Popen[str], events: Events) -> str:
    """Pass on what the processes say; returns the sentence with which they failed, empty if there is none."""
    said = ""
    assert process.stderr is not None
    for line in process.stderr:
        if line.startswith(SAYS):
            events.message(line.removeprefix(SAYS).strip())
        elif line.startswith("recbench: "):
            said = line.removeprefix("recbench: ").strip()
    return said


def topic(client: str) -> str:
    """Under which a client hears of its steps; others of the same scheduler have their own."""
    return f"recbench {client}"


def named(step: Step) -> str:
    """A step's title with the beginning of its key: two cells may have steps of one title."""
    return f"{step.title} [{step.key[:6]}]"


class Events:
    """Sends a step's progress to the client, as events of the cluster."""

    def __init__(self, step: Step, client: str) -> None:
        from distributed import get_worker

        self._worker, self._step, self._topic, self._sent = get_worker(), step, topic(client), 0.0

    def begin(self, name: str, total: int | None = None) -> None:
        """Something new begins."""

    def advance(self, done: int, total: int | None = None, **values: float) -> None:
        """Send it, but not too often."""
        now = time.monotonic()
        if now - self._sent >= EVERY:
            self._sent = now
            self._send(done=done, total=total, values={name: float(value) for name, value in values.items()})

    def end(self) -> None:
        """It is finished."""

    def message(self, text: str) -> None:
        """Send it."""
        self._send(text=text)

    def _send(self, **event: Any) -> None:
        with contextlib.suppress(Exception):  # the scheduler may be gone; the step continues, or is asked to stop
            self._worker.log_event(self._topic, {"step": self._step.folder, "title": named(self._step), **event})
