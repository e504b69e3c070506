"""The client's side: a cluster on this machine or an existing one, and the steps given to it."""

from __future__ import annotations

import contextlib
import importlib.util
import logging
import os
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from recbench import processes
from recbench.cluster import Workers
from recbench.cluster.worker import build, busy, named, stop, topic
from recbench.errors import RecbenchError, Stopped, UsageError
from recbench.files import digest, scratch
from recbench.interfaces import Reporter
from recbench.progress import duration
from recbench.spec.options import MachineOptions
from recbench.steps.step import Step
from recbench.steps.store import Store

PATIENCE = 60.0  # seconds for the checkpoints when a client is asked to stop
ARRIVAL = 120.0  # seconds for a first worker
DEATHS = 4  # of workers that build a step: a host that dies takes several with it, and the step is not at fault
TRIES = 2  # of a step, on different workers where there are several
_CONFIG = {
    "logging": {"distributed": "critical"},
    "distributed.scheduler.allowed-failures": DEATHS - 1,
    "distributed.worker.memory.terminate": False,
    "distributed.admin.tick.limit": "1h",  # importing torch holds the interpreter for seconds
    "distributed.comm.timeouts.connect": "20s",
}


class Cluster:
    """Gives steps to the workers of a cluster.

    Args:
        client: connected to the scheduler.
        store: that the workers share.
        reporter: told what the workers say.

    Attributes:
        built: seconds of the steps that were built, by folder name.
        known: folder names of the steps that are there, among those that anybody has asked about.
        running: how far the steps are that are being built, by folder name: title, and done of total.
    """

    def __init__(self, client: Any, store: Store, reporter: Reporter) -> None:
        from distributed import as_completed

        from recbench.cluster.leaving import Leaving

        self.client, self.store, self.reporter = client, store, reporter
        self.built: dict[str, float] = {}
        self.known: set[str] = set()
        self.running: dict[str, tuple[str, str]] = {}
        self._futures: dict[str, Any] = {}
        self._steps: dict[str, Step] = {}
        self._asked: dict[MachineOptions, Mapping[str, float]] = {}
        self._told: set[str] = set()  # that finished() has yielded
        self._unseen: set[str] = set()  # that a worker built where this process does not find it
        self._waiting = as_completed([], loop=client.loop)
        client.subscribe_topic(topic(client.id), self._said)
        client.register_plugin(Leaving())

    def submit(self, step: Step) -> str | None:
        """Have a step built, what it needs first; returns its key, or None if it is there.

        Raises:
            UsageError: no worker has what the step computes on.
        """
        return None if self._submit(step) is None else step.folder

    def _submit(self, step: Step) -> Any:
        if (known := self._futures.get(step.folder)) is not None:
            if known.status == "finished" and step.folder not in self._unseen:
                return None
            if step.folder in self._told:  # whoever asks now hears of it too
                self._told.discard(step.folder)
                self._waiting.add(known)
            return known
        if self.store.find(step) is not None:
            self.known |= {one.folder for one in step.closure()}
            return None
        needs = [future for need in step.needs.values() if (future := self._submit(need)) is not None]
        more = {"retries": TRIES - 1, "resources": self._resources(step)}
        future = self.client.submit(
            build, step, step.folder, self.store.place, self.client.id, *needs, key=self._key(step), **more
        )
        self._futures[step.folder], self._steps[step.folder] = future, step
        self._waiting.add(future)
        return future

    def finished(self) -> Iterator[str]:
        """The keys of all steps given to :meth:`submit`, each when it is finished or has failed."""
        for future in self._waiting:
            folder = future.key.partition("@")[0]
            self._told.add(folder)
            self.running.pop(folder, None)
            if future.status == "finished":
                seconds, reused = future.result()
                if not self._seen(folder):
                    self._unseen.add(folder)
                elif not reused:
                    self.built[folder] = seconds
                    self.reporter.message(f"{named(self._steps[folder])}: {duration(seconds)}")
                self.known.add(folder)
            yield folder

    def _key(self, step: Step) -> str:
        """A task's key: the step's, with the store and the client, which others of the same scheduler may not share."""
        root, address = self.store.place
        return f"{step.folder}@{digest([str(root), address, self.client.id])[:8]}"

    def _seen(self, folder: str) -> bool:
        """Whether this process sees what a worker has built; a network's file system may take a while."""
        for _ in range(50):
            if self.store.has(folder):
                return True
            time.sleep(0.2)
        return False

    def run(self, steps: Iterable[Step]) -> None:
        """Build what is missing of some steps.

        Raises:
            RecbenchError: of a step that failed; the others are finished first.
        """
        wanted = [key for step in steps if (key := self.submit(step)) is not None]
        for _ in self.finished():
            pass
        for key in wanted:
            if (problem := self.problem(key)) is not None:
                raise problem

    def problem(self, key: str) -> RecbenchError | None:
        """Why a step failed, twice; None if it did not."""
        future = self._futures[key]
        if key in self._unseen:
            return RecbenchError(
                f"{named(self._steps[key])}: a worker has built it, but not in {self.store.root}; every worker must "
                "see the same folder of runs, or use --store."
            )
        if future.status == "finished":
            return None
        for need in self._steps[key].needs.values():
            before = self._futures.get(need.folder)
            if before is not None and before.status == "error":
                return self.problem(need.folder)
        if future.status != "error":
            return RecbenchError(
                f"{named(self._steps[key])}: the scheduler is gone or has lost it; run the same command again."
            )
        error = future.exception()
        if type(error).__name__ == "KilledWorker":
            return RecbenchError(
                f"{named(self._steps[key])}: {error.allowed_failures + 1} workers died while they built it, perhaps "
                "because memory ran out."
            )
        if isinstance(error, RecbenchError):
            return error
        return RecbenchError(
            f"{named(self._steps[key])} failed with {type(error).__name__}: {' '.join(str(error).split())}"
        )

    def stop(self) -> None:
        """Have the workers write checkpoints of what they are at, and wait for that."""
        end = time.monotonic() + PATIENCE
        with contextlib.suppress(Exception):  # a scheduler that is gone
            self.client.run(stop, self.client.id, on_error="ignore")
            while time.monotonic() < end and True in self.client.run(busy, self.client.id, on_error="ignore").values():
                time.sleep(0.1)

    def _resources(self, step: Step) -> Mapping[str, float]:
        """What the step asks of a worker, among what workers say that they have; asked once for equal steps."""
        if step.machine is None:
            return {}
        if step.machine not in self._asked:
            self._asked[step.machine] = self._offered(step, step.machine)
        return self._asked[step.machine]

    def _offered(self, step: Step, machine: MachineOptions) -> Mapping[str, float]:
        asked = {"threads": float(machine.threads)}
        if machine.device == "cuda":
            asked["GPU"] = float(machine.processes)
        offered = [worker.get("resources", {}) for worker in self.client.scheduler_info(-1)["workers"].values()]
        named = {name for one in offered for name in one}
        if "GPU" in asked and "GPU" not in named:
            raise UsageError(
                f"{step.title} needs a GPU, and no worker has one: start workers with --gpus-per-worker 1, or those of "
                "your own scheduler with --resources GPU=1."
            )
        asked = {name: amount for name, amount in asked.items() if name in named}
        if offered and not any(all(one.get(n, 0) >= a for n, a in asked.items()) for one in offered):
            most = ", ".join(f"{n} {max(one.get(n, 0) for one in offered):g}" for n in sorted(asked))
            need = ", ".join(f"{n} {amount:g}" for n, amount in sorted(asked.items()))
            raise UsageError(
                f"{step.title} asks for {need}, more than any worker has ({most}): start fewer workers, or lower "
                "machine.threads."
            )
        return asked

    def _said(self, event: tuple[float, Mapping[str, Any]]) -> None:
        _, said = event
        if "text" in said:
            self.reporter.message(f"{said['title']}: {said['text']}")
            return
        values = "".join(f", {name} {value:.4g}" for name, value in said["values"].items())
        done = f"{said['done']:,}" + (f" of {said['total']:,}" if said["total"] else "")
        self.running[said["step"]] = (said["title"], f"{done}{values}")


@contextmanager
def cluster(workers: Workers, store: Store, reporter: Reporter) -> Iterator[Cluster]:
    """Start or join a cluster.

    Raises:
        UsageError: Dask is not installed, no scheduler answers, or several processes were started.
    """
    if importlib.util.find_spec("distributed") is None:
        raise UsageError("--workers and --scheduler need Dask: pip install 'recbench-toolkit[cluster]'.")
    if processes.world() > 1:
        raise UsageError("--workers and --scheduler start the processes themselves: leave out torchrun.")
    import dask
    from distributed import Client

    _silence()
    with dask.config.set(_CONFIG), _scheduler(workers) as address:
        if workers.scheduler is not None:
            _check_address(workers.scheduler)
        try:
            client = Client(address, timeout=10, set_as_default=False)
        except (OSError, TimeoutError, ValueError) as error:
            raise UsageError(
                f"--scheduler {workers.scheduler}: no scheduler answers there; `dask scheduler` starts one."
            ) from error
        with client:
            if workers.scheduler is not None and not client.scheduler_info(-1)["workers"]:
                reporter.message(
                    f"waiting {ARRIVAL:.0f} seconds for a first worker: dask worker {workers.scheduler} --nthreads 1"
                )
            try:
                client.wait_for_workers(1, timeout=ARRIVAL)
            except TimeoutError:
                raise UsageError(f"no worker has joined the cluster within {ARRIVAL:.0f} seconds.") from None
            reporter.message(f"cluster: {_words(client)}")
            found = Cluster(client, store, reporter)
            try:
                yield found
            except (Stopped, KeyboardInterrupt):
                found.stop()
                raise


def _check_address(address: str) -> None:
    """Dask tries an address without a port for 20 seconds, and then prints a traceback.

    Raises:
        UsageError: it is not an address.
    """
    from distributed.comm.addressing import parse_address, parse_host_port

    try:
        parse_host_port(parse_address(address)[1])
    except ValueError as error:
        raise UsageError(f"--scheduler {address} is not an address such as tcp://HOST:8786.") from error


def _check_gpus(workers: Workers) -> None:
    """Refuse more GPUs than there are: a worker without its GPU would compute on the CPU."""
    import torch

    if (needed := workers.count * workers.gpus) > (there := torch.cuda.device_count()):
        raise UsageError(
            f"--workers {workers.count} --gpus-per-worker {workers.gpus} needs {needed} GPUs, and this machine has "
            f"{there}."
        )


def _silence() -> None:
    """Dask logs tracebacks of what this module turns into sentences; each of its loggers has its own level."""
    for name in ["distributed", *logging.root.manager.loggerDict]:
        if name.partition(".")[0] == "distributed":
            logging.getLogger(name).setLevel(logging.CRITICAL)


@contextmanager
def _scheduler(workers: Workers) -> Iterator[Any]:
    """The address of an existing scheduler, or a new cluster on this machine."""
    if workers.scheduler is not None:
        yield workers.scheduler
        return
    from distributed import Nanny, Scheduler, SpecCluster

    if workers.gpus:
        _check_gpus(workers)
    bokeh = importlib.util.find_spec("bokeh") is not None
    board = {"dashboard_address": ":0" if bokeh else None, "dashboard": bokeh}
    with scratch() as folder:
        options = {"host": "127.0.0.1", "port": 0, **board}
        each = {number: {"cls": Nanny, "options": _worker(workers, number, folder)} for number in range(workers.count)}
        with SpecCluster(each, {"cls": Scheduler, "options": options}, silence_logs=logging.CRITICAL) as found:
            yield found


def _worker(workers: Workers, number: int, folder: Path) -> dict[str, Any]:
    """A worker process of this machine: one step at a time, its share of the threads, and its own GPUs."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    threads = max(cores // workers.count, 1)
    environment = {name: str(threads) for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")}
    resources = {"threads": float(threads)}
    if workers.gpus:
        first = number * workers.gpus
        environment["CUDA_VISIBLE_DEVICES"] = ",".join(str(first + n) for n in range(workers.gpus))
        resources["GPU"] = float(workers.gpus)
    return {
        "host": "127.0.0.1",
        "nthreads": 1,
        "memory_limit": 0,
        "local_directory": str(folder),
        "resources": resources,
        "env": environment,
        "dashboard": False,
        "silence_logs": logging.CRITICAL,
    }


def _words(client: Any) -> str:
    """What the cluster is, and where its dashboard is."""
    count = len(client.scheduler_info(-1)["workers"])
    words = f"{count} worker{'s' * (count != 1)}"
    if importlib.util.find_spec("bokeh") is not None and client.dashboard_link:
        words += f", dashboard at {client.dashboard_link}"
    return words
