"""A store that several processes use: each step is built once, and a kill loses nothing finished."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import time
from pathlib import Path
from typing import Any

from recbench.files import sweep_temporaries, write_atomic
from recbench.steps.store import Store
from stored_models import ONE, TWO, Log, partial, put, visible


def build_slowly(root: Path, builds: Path, lines: Any) -> None:
    log = Log()

    def build(folder: Path) -> None:
        with builds.open("a") as file:
            file.write("built\n")
        time.sleep(0.5)
        put()(folder)

    Store(root).build(ONE, build, log)
    lines.put(log.lines)


SPAWN = multiprocessing.get_context("spawn")


def test_two_processes_build_once_and_one_says_that_it_waits(tmp_path: Path) -> None:
    lines = SPAWN.Queue()
    arguments = (tmp_path / "s", tmp_path / "builds", lines)
    processes = [SPAWN.Process(target=build_slowly, args=arguments) for _ in range(2)]
    for process in processes:
        process.start()
    said = [lines.get(timeout=60), lines.get(timeout=60)]
    for process in processes:
        process.join(timeout=60)
        assert process.exitcode == 0
    assert (tmp_path / "builds").read_text() == "built\n"
    assert len(visible(tmp_path / "s")) == 1
    waits = [line for part in said for line in part]
    assert all("waiting for another process that is building model-" in line for line in waits)


def hang(root: Path) -> None:
    def build(folder: Path) -> None:
        put()(folder)
        time.sleep(60)

    Store(root).build(ONE, build)


def started(target: Any, root: Path, sign: str) -> Any:
    """A process that runs ``target`` and has written ``sign`` under the root."""
    process = SPAWN.Process(target=target, args=(root,))
    process.start()
    deadline = time.monotonic() + 60
    while not list(root.glob(sign)) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert list(root.glob(sign))
    return process


def test_kill_leaves_an_orphan_that_the_next_sweep_removes_and_a_live_build_stays(tmp_path: Path) -> None:
    store = Store(tmp_path)
    assert store.sweep() == []
    assert list(tmp_path.iterdir()) == []  # sweeping makes nothing
    process = started(hang, tmp_path, ".partial/*/weights")
    assert store.sweep() == []  # it is alive
    process.kill()
    process.join()
    assert visible(tmp_path) == []
    assert len(store.sweep()) == 1
    assert partial(tmp_path) == []
    assert not store.build(ONE, put()).reused


def test_another_hosts_build_is_never_swept(tmp_path: Path) -> None:
    """Locks may be local to a host, and what lives there is known there alone."""
    theirs = tmp_path / ".partial" / f"{ONE.folder}@another.host@{os.getpid() + 1}"
    live = tmp_path / ".live" / f"abc@another.host@{os.getpid() + 1}.json"
    for place in (theirs, live.parent):
        place.mkdir(parents=True)
    live.write_text('{"steps": []}')
    dead = tmp_path / ".partial" / f"{ONE.folder}@{os.uname().nodename}@{2**31 - 1}"
    unnamed = tmp_path / ".partial" / "model-of-an-older-recbench"
    for place in (dead, unnamed):
        place.mkdir()
    assert sorted(Store(tmp_path).sweep()) == sorted([dead, unnamed])
    assert partial(tmp_path) == [theirs]
    assert live.exists()


def test_waiting_is_reported(tmp_path: Path) -> None:
    process = started(hang, tmp_path, ".partial/*/weights")

    class KillOnMessage(Log):
        def message(self, text: str) -> None:
            super().message(text)
            process.kill()

    log = KillOnMessage()
    assert not Store(tmp_path).build(ONE, put("mine"), log).reused  # the dead one's leftovers are replaced
    assert len(log.lines) == 1
    assert "waiting for another process that is building model-" in log.lines[0]
    process.join()


def rebuild_and_die(root: Path) -> None:
    """Die between the two renames: the old step is moved away, the new one not yet in its place."""
    move = os.replace

    def replace(source: Any, target: Any) -> None:
        if Path(target) == root / ONE.folder:
            os.kill(os.getpid(), signal.SIGKILL)
        move(source, target)

    os.replace = replace  # type: ignore[assignment]
    Store(root).build(ONE, put("new"), rebuild=True)


def test_a_kill_between_the_two_renames_loses_nothing(tmp_path: Path) -> None:
    """Attack C18."""
    store = Store(tmp_path)
    store.build(ONE, put("old"))
    process = SPAWN.Process(target=rebuild_and_die, args=(tmp_path,))
    process.start()
    process.join(timeout=60)
    assert process.exitcode == -signal.SIGKILL
    assert store.find(ONE) is None
    assert len(partial(tmp_path)) == 2
    assert len(store.sweep()) == 1  # the new one, which was not finished
    assert (tmp_path / ONE.folder / "weights").read_text() == "old"
    assert Store(tmp_path).find(ONE)
    assert partial(tmp_path) == []


def use(root: Path) -> None:
    with Store(root).using([ONE]):
        (root / "using").write_text("")
        time.sleep(60)


def test_what_a_process_uses_is_known_until_it_ends(tmp_path: Path) -> None:
    store, live = Store(tmp_path), tmp_path / ".live"
    with store.using([ONE, TWO]), store.using([TWO]):
        assert len(list(live.iterdir())) == 2
        store.sweep()
        names = [json.loads(path.read_text())["steps"] for path in live.iterdir()]
        assert sorted(map(len, names)) == [1, 2]
    assert list(live.iterdir()) == []
    process = started(use, tmp_path, "using")
    store.sweep()
    assert len(list(live.iterdir())) == 1
    process.kill()
    process.join()
    store.sweep()
    assert list(live.iterdir()) == []


def write_and_die(path: Path) -> None:
    os.replace = lambda *_: os.kill(os.getpid(), signal.SIGKILL)  # type: ignore[assignment]
    write_atomic(path, b"half")


def test_a_killed_write_keeps_the_old_file_and_is_swept(tmp_path: Path) -> None:
    target = tmp_path / "r.json"
    write_atomic(target, b"old")
    process = SPAWN.Process(target=write_and_die, args=(target,))
    process.start()
    process.join(timeout=60)
    assert process.exitcode == -signal.SIGKILL
    assert target.read_bytes() == b"old"
    assert len(list(tmp_path.iterdir())) == 2
    live = tmp_path / f".abc.{os.uname().nodename}.{os.getpid()}.recbench-tmp"
    live.write_bytes(b"")
    assert len(sweep_temporaries(tmp_path)) == 1
    assert sorted(os.listdir(tmp_path)) == sorted(["r.json", live.name])
