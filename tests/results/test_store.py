"""The store: finished or absent, built once, honest about a disk that refuses."""

from __future__ import annotations

import errno
import json
import multiprocessing
import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from recbench.errors import DataError, RecbenchError
from recbench.files import sweep_temporaries, write_atomic
from recbench.results import Store

KEY = {"dataset": "ml-100k", "seed": 1}


class Log:
    def __init__(self) -> None:
        self.lines: list[str] = []

    def message(self, text: str) -> None:
        self.lines.append(text)


def put(text: str = "x") -> Any:
    return lambda folder: (folder / "weights").write_text(text)


def visible(root: Path) -> list[str]:
    return sorted(path.name for path in root.glob("[!.]*"))


def test_a_stage_is_built_once_and_keeps_its_time(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    assert not store.has("model", KEY)
    first = store.stage("model", KEY, lambda folder: (time.sleep(0.05), put()(folder)))
    again = store.stage("model", {"seed": 1, "dataset": "ml-100k"}, lambda folder: pytest.fail("built twice"))
    assert (first.reused, again.reused) == (False, True)
    assert again.path == first.path
    assert again.seconds == first.seconds >= 0.05
    assert first.path.name.startswith("model-")
    assert (first.path / "weights").read_text() == "x"
    assert store.has("model", KEY)
    other = store.stage("model", {**KEY, "seed": 2}, put("y"))
    assert other.path != first.path
    assert visible(store.root) == sorted([first.path.name, other.path.name])


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError, SystemExit])
def test_an_interrupted_build_leaves_nothing(tmp_path: Path, error: type[BaseException]) -> None:
    def build(folder: Path) -> None:
        put()(folder)
        raise error("stop")

    store = Store(tmp_path)
    with pytest.raises(error):
        store.stage("model", KEY, build)
    assert visible(tmp_path) == []
    assert list((tmp_path / ".partial").iterdir()) == []
    assert not store.has("model", KEY)
    assert not store.stage("model", KEY, put()).reused


def test_rebuild_replaces_only_when_finished(tmp_path: Path) -> None:
    store = Store(tmp_path)
    path = store.stage("model", KEY, put("old")).path
    with pytest.raises(ValueError, match="no"):
        store.stage("model", KEY, lambda folder: (_ for _ in ()).throw(ValueError("no")), rebuild=True)
    assert (path / "weights").read_text() == "old"
    assert not store.stage("model", KEY, put("new"), rebuild=True).reused
    assert (path / "weights").read_text() == "new"
    assert list((tmp_path / ".partial").iterdir()) == []


def test_a_folder_made_from_another_key_or_damaged_is_named(tmp_path: Path) -> None:
    store = Store(tmp_path)
    path = store.stage("model", KEY, put()).path
    meta = json.loads((path / "key.json").read_text())
    (path / "key.json").write_text(json.dumps({**meta, "key": {"seed": 9}}))
    with pytest.raises(DataError, match=f"{path.name} was made from other settings"):
        store.stage("model", KEY, put())
    (path / "key.json").write_text("{")
    with pytest.raises(DataError, match=r"no readable key\.json"):
        store.has("model", KEY)


def build_slowly(root: Path, builds: Path, lines: Any) -> None:
    log = Log()

    def build(folder: Path) -> None:
        with builds.open("a") as file:
            file.write("built\n")
        time.sleep(0.5)
        put()(folder)

    Store(root).stage("model", KEY, build, log)
    lines.put(log.lines)


def test_two_processes_build_once_and_one_says_that_it_waits(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    lines = context.Queue()
    processes = [
        context.Process(target=build_slowly, args=(tmp_path / "s", tmp_path / "builds", lines)) for _ in range(2)
    ]
    for process in processes:
        process.start()
    said = [lines.get(timeout=30), lines.get(timeout=30)]
    for process in processes:
        process.join(timeout=30)
        assert process.exitcode == 0
    assert (tmp_path / "builds").read_text() == "built\n"
    assert len(visible(tmp_path / "s")) == 1
    waits = [line for part in said for line in part]
    assert all("waiting for another process" in line for line in waits)


def hang(root: Path) -> None:
    def build(folder: Path) -> None:
        put()(folder)
        time.sleep(60)

    Store(root).stage("model", KEY, build)


def test_kill_leaves_an_orphan_that_the_next_sweep_removes_and_a_live_build_stays(tmp_path: Path) -> None:
    store = Store(tmp_path)
    assert store.sweep() == []
    assert list(tmp_path.iterdir()) == []  # sweeping makes nothing
    process = multiprocessing.get_context("spawn").Process(target=hang, args=(tmp_path,))
    process.start()
    deadline = time.monotonic() + 30
    while not list(tmp_path.glob(".partial/*/weights")) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert store.sweep() == []  # it is alive
    assert process.pid is not None
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    assert visible(tmp_path) == []
    assert len(store.sweep()) == 1
    assert list((tmp_path / ".partial").iterdir()) == []
    assert not store.stage("model", KEY, put()).reused


def test_waiting_is_reported(tmp_path: Path) -> None:
    process = multiprocessing.get_context("spawn").Process(target=hang, args=(tmp_path,))
    process.start()
    deadline = time.monotonic() + 30
    while not list(tmp_path.glob(".partial/*/weights")) and time.monotonic() < deadline:
        time.sleep(0.02)

    class KillOnMessage(Log):
        def message(self, text: str) -> None:
            super().message(text)
            process.kill()

    log = KillOnMessage()
    assert not Store(tmp_path).stage("model", KEY, put("mine"), log).reused  # the dead one's leftovers are replaced
    assert len(log.lines) == 1
    assert "waiting for another process that is building model-" in log.lines[0]
    process.join()


def full(*_: object, **__: object) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_full_disk_is_one_sentence_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store(tmp_path / "s")
    with pytest.raises(
        RecbenchError, match=r"building model-\w+ in .* failed: no space is left on the device"
    ) as caught:
        store.stage("model", KEY, full)
    assert "\n" not in str(caught.value)

    def library(_: Path) -> None:  # how safetensors words it
        raise RuntimeError("Error while serializing: I/O error: No space left on device (os error 28)")

    with pytest.raises(RecbenchError, match="no space is left"):
        store.stage("model", KEY, library)
    target = tmp_path / "out" / "r.json"
    write_atomic(target, b"old")
    for function in ("replace", "fsync"):
        with monkeypatch.context() as patch:
            patch.setattr(os, function, full)
            with pytest.raises(RecbenchError, match=r"cannot write .*r\.json: no space is left"):  # fmt: skip
                write_atomic(target, b"new")
        assert target.read_bytes() == b"old"
        assert os.listdir(target.parent) == ["r.json"]
    assert visible(store.root) == []


def test_an_unwritable_place_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(RecbenchError, match=r"cannot write /proc/recbench/r\.json: "):
        write_atomic(Path("/proc/recbench/r.json"), b"x")
    with pytest.raises(RecbenchError, match=r"building model-\w+ in /proc/recbench failed: /proc/recbench"):
        Store(Path("/proc/recbench")).stage("model", KEY, put())
    (tmp_path / "file").write_text("")
    with pytest.raises(RecbenchError, match="not a directory"):
        Store(tmp_path / "file").stage("model", KEY, put())


def write_and_die(path: Path) -> None:
    os.replace = lambda *_: os.kill(os.getpid(), signal.SIGKILL)  # type: ignore[assignment]
    write_atomic(path, b"half")


def test_a_killed_write_keeps_the_old_file_and_is_swept(tmp_path: Path) -> None:
    target = tmp_path / "r.json"
    write_atomic(target, b"old")
    process = multiprocessing.get_context("spawn").Process(target=write_and_die, args=(target,))
    process.start()
    process.join(timeout=30)
    assert process.exitcode == -signal.SIGKILL
    assert target.read_bytes() == b"old"
    assert len(list(tmp_path.iterdir())) == 2
    live = tmp_path / f".abc.{os.uname().nodename}.{os.getpid()}.recbench-tmp"
    live.write_bytes(b"")
    assert len(sweep_temporaries(tmp_path)) == 1
    assert sorted(os.listdir(tmp_path)) == sorted(["r.json", live.name])
