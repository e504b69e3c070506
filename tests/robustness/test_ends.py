"""However a command ends, it says why in one sentence and leaves nothing behind."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import pytest

from recbench import registry
from recbench.cli.group import _guarded
from recbench.cli.signals import stopping
from recbench.errors import RecbenchError, Stopped, UsageError
from recbench.files import explained, read_json, read_regular, scratch, sweep_scratch
from recbench.memory import ran_out
from recbench.signals import numbers
from recbench.tuning import settings

DEAD = 2**22 + 1  # more than any process number


@pytest.mark.parametrize("name", [signal.Signals(number).name for number in numbers()])
def test_a_signal_stops_and_a_second_one_would_end_at_once(name: str, capfd: pytest.CaptureFixture[str]) -> None:
    number = getattr(signal, name)
    before = signal.signal(number, signal.SIG_DFL)
    seen: list[Any] = []

    def action() -> None:
        try:
            os.kill(os.getpid(), number)
            time.sleep(5)
        finally:
            seen.append(signal.getsignal(number))

    try:
        assert _guarded(action) == 75
    finally:
        signal.signal(number, before)
    assert seen == [signal.SIG_DFL]
    assert capfd.readouterr().err == f"recbench: stopped by {name}: run the same command again to continue.\n"


def test_what_nohup_ignores_stays_ignored() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with stopping():
            os.kill(os.getpid(), signal.SIGHUP)
            assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


class Foreign(BaseException):
    """Somebody's own."""


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (SystemExit(0), "a plugin or library called sys.exit(0), where it should raise an error."),
        (Foreign("x"), "an unexpected Foreign (x), which is a bug: RECBENCH_DEBUG=1 shows where."),
        (MemoryError(), "memory ran out; make the model, the batches or the data smaller, or use a machine with more."),
        (RecbenchError("a\n\x1b[31m\u202eb"), "a \N{REPLACEMENT CHARACTER}[31m\N{REPLACEMENT CHARACTER}b"),
    ],
)
def test_whatever_is_raised_ends_in_one_sentence(
    error: BaseException, sentence: str, capfd: pytest.CaptureFixture[str]
) -> None:
    def action() -> None:
        raise error

    assert _guarded(action) == 1
    assert capfd.readouterr().err == f"recbench: {sentence}\n"


def test_memory_that_ran_out_is_recognised() -> None:
    assert ran_out(RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried"))
    assert ran_out(RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB"))
    assert not ran_out(RuntimeError("shapes do not fit"))
    with pytest.raises(RecbenchError, match=r"^building x failed: memory ran out"), explained("building x"):
        raise MemoryError


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("Error while serializing: I/O error: File too large (os error 27)", "file too large"),
        ("No space left on device (os error 28)", "no space is left"),
        (os.strerror(errno.EFBIG), "file too large"),
        (os.strerror(errno.ENOSPC), "no space is left"),
    ],
)
def test_the_systems_refusals_inside_a_librarys_error(text: str, said: str) -> None:
    with pytest.raises(RecbenchError, match=f"^building x failed: {said}"), explained("building x"):
        raise Exception(text)


def test_temporary_folders_of_killed_processes_are_swept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    names = [f"recbench-{socket.gethostname()}.{DEAD}.abc", f"recbench-elsewhere.{DEAD}.abc", "recbench-other"]
    for name in names:
        (tmp_path / name / "inside").mkdir(parents=True)
    with scratch() as mine:
        sweep_scratch()
        assert mine.is_dir()
        assert sorted(path.name for path in tmp_path.iterdir()) == sorted([mine.name, *names[1:]])
    assert not mine.exists()


def test_a_pipe_or_device_is_not_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", Path("/dev/zero"), tmp_path):
        with pytest.raises(OSError, match=r"not a regular file|Is a directory"):
            read_regular(path)
    (tmp_path / "deep").write_text("[" * 100_000)
    with pytest.raises(ValueError, match="nested too deeply"):
        read_json(tmp_path / "deep")


def test_a_grid_has_an_end() -> None:
    assert len(settings({"loss.tau": list(range(1000))})) == 1000
    with pytest.raises(UsageError, match="9,000,000 settings"):
        settings({"loss.tau": list(range(3000)), "loss.eta": list(range(3000))})


# ---- plugins ------------------------------------------------------------------------------------------------------

DESCRIPTOR = """
from recbench.interfaces import BackbonePlugin, Options
from recbench_plugins.backbones.popularity import plugin as ours

class Odd(BackbonePlugin):
    @property
    def signal(self):
        raise SystemExit(0)

plugin = Odd(implementation=ours.implementation, options=ours.options, summary="x", default_decoder="topk")
"""
SOURCE = """
import sys
from recbench.interfaces import DataSource, Options, SourcePlugin

class Bad(DataSource[Options]):
    def inputs(self):
        sys.exit(0)
    def prepare(self, reporter):
        raise KeyError

plugin = SourcePlugin(implementation=Bad, summary="x")
"""


@pytest.fixture
def install(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Any:
    """``install(name, group, module)``: a distribution of one module and one entry point."""
    folder = tmp_path_factory.mktemp("installed")

    def put(name: str, group: str, module: str) -> None:
        info = folder / f"{name}-0.1.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 0.1\n")
        (info / "entry_points.txt").write_text(f"[recbench.{group}]\n{name} = {name}:plugin\n")
        (folder / f"{name}.py").write_text(module)

    monkeypatch.syspath_prepend(folder)
    registry._installed.cache_clear()
    yield put
    registry._installed.cache_clear()


def test_a_descriptor_that_exits_when_it_is_looked_at(install: Any, place: Any) -> None:
    install("odd_descriptor", "backbones", DESCRIPTOR)
    listed = place.call("list", "backbones", refused=False).stdout
    assert "odd_descriptor  BROKEN: Backbone 'odd_descriptor' of odd_descriptor 0.1" in listed
    assert "sasrec" in listed


def test_a_source_that_exits_before_it_is_prepared(install: Any, place: Any) -> None:
    install("bad_source", "sources", SOURCE)
    result = place.call("run", "--model", "popularity", "--dataset", "bad_source", refused=True)
    assert "Source 'bad_source' of bad_source 0.1 called sys.exit(0)" in result.stderr
    assert not (place.work / "runs").exists()


def test_a_summary_that_writes_to_the_terminal() -> None:
    from recbench_plugins.backbones.popularity import plugin

    with pytest.raises(TypeError, match="summary must be one line of text"):
        type(plugin)(implementation=plugin.implementation, summary="x\x1b[31m", default_decoder="topk")


def test_a_plugin_that_fails_while_its_model_is_loaded(again: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its own step is there already, so that none is being built."""
    from recbench_plugins.backbones import popularity

    # its globals must be the plugin's: they tell whose code it is
    source = "def restore(self, split, state):\n    raise KeyError('counts')\n"
    namespace = {"__name__": popularity.__name__}
    exec(compile(source, popularity.__file__, "exec"), namespace)
    monkeypatch.setattr(registry.get("backbone", "popularity").implementation, "restore", namespace["restore"])
    shutil.rmtree(next((again.work / "runs").glob("own-*")))
    shutil.rmtree(next((again.work / "runs" / "steps").glob("ranking-*")))
    words = ["--dataset", "csv", "--data-dir", "own.csv", "--device", "cpu", "--set", "evaluate.cases=8"]
    result = again.call("run", "--model", "popularity", *words, refused=True)
    assert "Backbone 'popularity' of recbench-toolkit" in result.stderr


def test_stopped_is_not_swallowed_by_blame() -> None:
    with pytest.raises(Stopped), registry.blamed([]):
        raise Stopped("x")


@pytest.mark.torture
def test_kills_in_a_row() -> None:
    """A few kills and signals; ``make torture`` follows with many more."""
    kills = Path(__file__).with_name("kills.py")
    words = ["--kills", "8", "--signals", "KILL,KILL,TERM,INT,HUP,USR1"]
    done = subprocess.run([sys.executable, str(kills), *words], capture_output=True, text=True, timeout=1800)
    assert done.returncode == 0, done.stdout
