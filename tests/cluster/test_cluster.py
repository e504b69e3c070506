"""Steps on a Dask cluster whose workers are threads of this process: what runs, how often, and what fails."""

from __future__ import annotations

import pickle
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from recbench.cluster import worker
from recbench.cluster.client import Cluster
from recbench.errors import RecbenchError, Stopped, UsageError
from recbench.interfaces import SilentReporter
from recbench.signals import Signals, asked
from recbench.spec.options import MachineOptions
from recbench.steps.code import Code
from recbench.steps.executor import Serial
from recbench.steps.remote import RemoteStore
from recbench.steps.step import Step, Work
from recbench.steps.store import Store

distributed = pytest.importorskip("distributed")
BUILT: list[str] = []
FAILURES: dict[str, int] = {}
LOCK = threading.Lock()


class Counted(Step):
    """A step that notes when it is built, and fails as often as ``FAILURES`` says."""

    kind = "counted"
    phase = "data"
    code = Code("0" * 16, {}, {})

    def __init__(
        self,
        name: str,
        *needs: Step,
        machine: MachineOptions | None = None,
        error: Any = None,
        seconds: float = 0,
        words: str = "",
    ) -> None:
        self.name, self.before, self.wants, self.error, self.seconds = name, needs, machine, error, seconds
        self.words = words

    @property
    def title(self) -> str:
        return f"make {self.name}"

    @property
    def facts(self) -> Mapping[str, Any]:
        return {"name": self.name}

    @cached_property
    def needs(self) -> Mapping[str, Step]:
        return {step.name: step for step in self.before}

    @property
    def machine(self) -> MachineOptions | None:
        return self.wants

    def build(self, folder: Path, work: Work) -> None:
        with LOCK:
            BUILT.append(self.name)
            FAILURES[self.name] = left = FAILURES.get(self.name, 0) - 1
        work.reporter.message(self.words)
        time.sleep(self.seconds)
        if left >= 0:
            raise self.error or RecbenchError(f"{self.name} failed")
        (folder / "file").write_text(self.name)

    def load(self, folder: Path, work: Work, made: Any = None) -> str:
        return (folder / "file").read_text()


@pytest.fixture(scope="module")
def client() -> Iterator[Any]:
    found = distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=False, dashboard_address=None, resources={"threads": 1}
    )
    with found, distributed.Client(found, set_as_default=False) as client:
        yield client


@pytest.fixture
def own(client: Any, tmp_path: Path) -> SimpleNamespace:
    BUILT.clear()
    FAILURES.clear()
    store = Store(tmp_path / "steps")
    return SimpleNamespace(cluster=Cluster(client, store, SilentReporter()), store=store)


def test_a_shared_step_runs_once_and_needs_come_first(own: Any, tmp_path: Path) -> None:
    data = Counted(f"data of {tmp_path}")
    middle = [Counted(f"{name} of {tmp_path}", data) for name in "ab"]
    last = [Counted(f"{name} of {tmp_path}", *middle) for name in "cde"]
    own.cluster.run(last)
    assert sorted(BUILT) == sorted(step.name for step in (data, *middle, *last))
    assert BUILT[0] == data.name
    assert set(BUILT[1:3]) == {step.name for step in middle}
    assert all(own.store.find(step) for step in (data, *middle, *last))
    assert len(own.cluster.built) == 6
    own.cluster.run(last)
    assert len(BUILT) == 6


def test_what_is_there_needs_nothing_before_it(own: Any, tmp_path: Path) -> None:
    step = Counted(f"top of {tmp_path}", Counted(f"data of {tmp_path}"))
    own.cluster.run([step])
    (own.store.root / step.needs[f"data of {tmp_path}"].folder).rename(tmp_path / "gone")
    other = Cluster(own.cluster.client, own.store, SilentReporter())
    assert other.submit(Counted(f"top of {tmp_path}", Counted(f"data of {tmp_path}"))) is None


def test_a_step_may_fail_once(own: Any, tmp_path: Path) -> None:
    FAILURES[f"shaky of {tmp_path}"] = 1
    own.cluster.run([Counted(f"shaky of {tmp_path}")])
    assert [f"shaky of {tmp_path}"] * 2 == BUILT


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (None, "bad of .* failed"),
        (ZeroDivisionError("in a plugin"), r"make bad of .* \[.{6}\] failed with ZeroDivisionError: in a plugin"),
        (SystemExit(3), "called sys.exit"),
    ],
)
def test_a_step_that_fails_twice_fails_what_needs_it_and_nothing_else(
    own: Any, tmp_path: Path, error: Any, said: str
) -> None:
    FAILURES[f"bad of {tmp_path}"] = 9
    bad = Counted(f"bad of {tmp_path}", error=error)
    after, other = Counted(f"after of {tmp_path}", bad), Counted(f"other of {tmp_path}")
    with pytest.raises(RecbenchError, match=said):
        own.cluster.run([after, other])
    assert BUILT.count(bad.name) == 2
    assert after.name not in BUILT
    assert own.store.find(other)
    assert not list((own.store.root / ".partial").iterdir())


def test_a_worker_with_other_code_says_so(own: Any, tmp_path: Path) -> None:
    step = Counted("x")
    with pytest.raises(RecbenchError, match="install the same version"):
        worker.build(step, "counted-0000000000000000", (own.store.root, None), "client")


def test_a_worker_that_does_not_see_the_store_says_so(own: Any, tmp_path: Path) -> None:
    step = Counted("x", Counted("y"))
    with pytest.raises(RecbenchError, match="every worker must see the same folder of runs"):
        worker.build(step, step.folder, (tmp_path / "elsewhere", None), "client")


def test_a_second_client_disturbs_nobody_and_shares_what_is_built(own: Any, tmp_path: Path) -> None:
    step = Counted(f"slow of {tmp_path}", seconds=1.0)
    assert own.cluster.submit(step) == step.folder
    time.sleep(0.3)
    with distributed.Client(own.cluster.client.cluster, set_as_default=False) as second:
        other = Cluster(second, own.store, SilentReporter())
        assert not asked.is_set()
        other.run([step])
        own.cluster.run([step])
    assert [step.name] == BUILT


def test_a_client_hears_of_its_own_steps_alone(own: Any, tmp_path: Path) -> None:
    said: list[str] = []
    reporter = SilentReporter()
    reporter.message = said.append  # type: ignore[method-assign]
    with distributed.Client(own.cluster.client.cluster, set_as_default=False) as second:
        mine = Cluster(second, own.store, reporter)
        own.cluster.run([Counted(f"theirs of {tmp_path}", words="of theirs")])
        mine.run([Counted(f"mine of {tmp_path}", words="of mine")])
        end = time.monotonic() + 10
        while not any("of mine" in text for text in said) and time.monotonic() < end:
            time.sleep(0.02)
    assert any("of mine" in text for text in said)
    assert not any("of theirs" in text for text in said)


def test_a_step_that_was_stopped_goes_to_another_worker_and_has_not_failed(own: Any, tmp_path: Path) -> None:
    FAILURES[f"moved of {tmp_path}"] = 3  # more than a step may fail
    own.cluster.run([Counted(f"moved of {tmp_path}", error=Stopped("this worker leaves"))])
    assert [f"moved of {tmp_path}"] * 4 == BUILT


def test_a_worker_of_several_threads_is_refused(tmp_path: Path) -> None:
    several = distributed.LocalCluster(n_workers=1, threads_per_worker=2, processes=False, dashboard_address=None)
    with several, distributed.Client(several, set_as_default=False) as client:
        alone = Cluster(client, Store(tmp_path / "steps"), SilentReporter())
        with pytest.raises(RecbenchError, match="--nthreads 1"):
            alone.run([Counted("x")])


def test_a_step_built_in_another_place_is_no_result(own: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Cluster, "_seen", lambda self, folder: False)
    with pytest.raises(RecbenchError, match="every worker must see the same folder of runs"):
        own.cluster.run([Counted(f"elsewhere of {tmp_path}")])


def test_a_step_that_failed_for_one_cell_is_told_to_the_next(own: Any, tmp_path: Path) -> None:
    FAILURES[f"bad of {tmp_path}"] = 9
    bad = Counted(f"bad of {tmp_path}")
    for last in (bad, Counted(f"after of {tmp_path}", bad)):
        with pytest.raises(RecbenchError, match=r"bad of .* failed"):
            own.cluster.run([last])
    assert BUILT.count(bad.name) == 2


def test_a_client_that_has_left_gets_nothing_built(own: Any) -> None:
    worker.stop("gone")
    step = Counted("x")
    with pytest.raises(Stopped):
        worker.build(step, step.folder, (own.store.root, None), "gone")
    assert BUILT == []


def test_a_host_without_the_clients_folder_has_a_cache_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    address, step = f"file://{tmp_path}/remote", Counted("x")
    found = worker._store(Path("/proc/not/here"), address)
    Serial(found, SilentReporter()).run([step])
    assert found.root.is_relative_to(tmp_path / "cache")
    assert RemoteStore(tmp_path / "client", address).find(step)


class Endless(Counted):
    """A step that is at work until it is asked to stop."""

    def build(self, folder: Path, work: Work) -> None:
        signals = Signals()
        with signals.listening():
            while not signals.noted:
                time.sleep(0.05)
        raise Stopped("stopped")


def test_processes_whose_worker_is_killed_stop_themselves(tmp_path: Path) -> None:
    parent = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    step, store = Endless("x", machine=MachineOptions(device="cpu", threads=1)), Store(tmp_path / "steps")
    (file := tmp_path / "step").write_bytes(pickle.dumps((step, store.place, parent.pid)))
    command = [sys.executable, "-m", "recbench.cluster.processes", str(file)]
    child = subprocess.Popen(command, cwd=Path(__file__).parents[2], stderr=subprocess.PIPE)
    try:
        while not list(store.root.glob(".partial/*")):
            assert child.poll() is None
            time.sleep(0.05)
        parent.kill()
        parent.wait()
        assert child.wait(timeout=30) == Stopped.exit_code
    finally:
        child.kill()


@pytest.mark.parametrize(
    ("machine", "said"),
    [
        (MachineOptions(device="cuda"), "needs a GPU, and no worker has one"),
        (MachineOptions(threads=2), r"asks for threads 2, more than any worker has \(threads 1\)"),
    ],
)
def test_what_no_worker_has_is_refused_at_once(own: Any, machine: MachineOptions, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        own.cluster.submit(Counted("x", machine=machine))


def test_a_step_travels_without_what_was_computed(own: Any) -> None:
    step = Counted("x", Counted("y"))
    assert step.key
    state: Callable[[], dict[str, Any]] = step.__getstate__
    assert state().keys() == {"name", "before", "wants", "error", "seconds", "words"}
