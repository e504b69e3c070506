"""The store: finished or absent, built once, checked on use, honest about a disk that refuses."""

from __future__ import annotations

import errno
import json
import multiprocessing
import os
import shutil
import signal
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from recbench.errors import DataError, RecbenchError
from recbench.files import sweep_temporaries, write_atomic
from recbench.steps.code import Code
from recbench.steps.step import Step
from recbench.steps.store import Store


class Model(Step):
    """Facts, and nothing else; processes of their own can make it too."""

    kind = "model"
    phase = "training"
    title = "make a model"
    facts: Mapping[str, Any] = {}
    needs: Mapping[str, Step] = {}
    code = Code("0" * 16, {}, {})

    def __init__(self, facts: Mapping[str, Any]) -> None:
        self.facts = facts

    def build(self, folder: Path, work: Any) -> None: ...

    def load(self, folder: Path, work: Any, made: Any = None) -> None: ...


ONE = Model({"dataset": "ml-100k", "seed": 1})
TWO = Model({"dataset": "ml-100k", "seed": 2})


class Log:
    def __init__(self) -> None:
        self.lines: list[str] = []

    def message(self, text: str) -> None:
        self.lines.append(text)


def put(text: str = "x") -> Any:
    return lambda folder: (folder / "weights").write_text(text)


def visible(root: Path) -> list[str]:
    return sorted(path.name for path in root.glob("[!.]*"))


def partial(root: Path) -> list[Path]:
    return sorted((root / ".partial").glob("*"))


def test_a_step_is_built_once_and_keeps_its_time(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    assert store.find(ONE) is None
    first = store.build(ONE, lambda folder: (time.sleep(0.05), put()(folder)))
    again = store.build(Model({"seed": 1, "dataset": "ml-100k"}), lambda folder: pytest.fail("built twice"))
    assert (first.reused, again.reused) == (False, True)
    assert again.path == first.path == store.root / ONE.folder
    assert again.seconds == first.seconds >= 0.05
    assert (first.path / "weights").read_text() == "x"
    found = store.find(ONE)
    assert found
    assert found == store.opened(ONE.folder) == Store(store.root).find(ONE)
    other = store.build(TWO, put("y"))
    assert other.path != first.path
    assert visible(store.root) == sorted([first.path.name, other.path.name])


def test_whoever_builds_is_told_first(tmp_path: Path) -> None:
    said: list[bool] = []
    Store(tmp_path).build(ONE, lambda folder: said.append(len(said) == 1), announce=said.append)
    Store(tmp_path).build(ONE, put(), announce=said.append)
    assert said == [True, True, False]


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError, SystemExit])
def test_an_interrupted_build_leaves_nothing(tmp_path: Path, error: type[BaseException]) -> None:
    def build(folder: Path) -> None:
        put()(folder)
        raise error("stop")

    store = Store(tmp_path)
    with pytest.raises(error):
        store.build(ONE, build)
    assert visible(tmp_path) == []
    assert partial(tmp_path) == []
    assert store.find(ONE) is None
    assert not store.build(ONE, put()).reused


@pytest.mark.parametrize("more", [False, True])
def test_a_store_that_disappears_while_a_step_is_built(tmp_path: Path, more: bool) -> None:
    """Also where the rest of the step could be written: a step must not be kept without what came before."""

    def build(folder: Path) -> None:
        put()(folder)
        shutil.rmtree(tmp_path / "store")
        (tmp_path / "other").mkdir()  # so that no inode is given away again
        if more:
            folder.mkdir(parents=True)
        (folder / "report").write_text("y")

    with pytest.raises(RecbenchError, match=r"was removed or moved away while .* run the same command again"):
        Store(tmp_path / "store").build(ONE, build)
    assert visible(tmp_path / "store") == []
    assert not Store(tmp_path / "store").build(ONE, put()).reused


def test_rebuild_replaces_only_when_finished(tmp_path: Path) -> None:
    store = Store(tmp_path)
    path = store.build(ONE, put("old")).path
    with pytest.raises(ValueError, match="no"):
        store.build(ONE, lambda folder: (_ for _ in ()).throw(ValueError("no")), rebuild=True)
    assert (path / "weights").read_text() == "old"
    assert not store.build(ONE, put("new"), rebuild=True).reused
    assert (path / "weights").read_text() == "new"
    assert partial(tmp_path) == []
    assert store.find(ONE)


# ---- what is stored is checked (attack A6) ----------------------------------------------------------------------


def zero(one: Path, two: Path) -> None:
    size = (one / "weights").stat().st_size
    (one / "weights").write_bytes(bytes(size))


def swap_files(one: Path, two: Path) -> None:
    (one / "weights").rename(one / "x")
    (two / "weights").rename(one / "weights")
    (one / "x").rename(two / "weights")


def swap_folders(one: Path, two: Path) -> None:
    one.rename(one.with_name("x"))
    two.rename(one)
    one.with_name("x").rename(two)


def edit_key(one: Path, two: Path) -> None:
    meta = json.loads((one / "step.json").read_text())
    meta["facts"]["seed"] = 9
    (one / "step.json").write_text(json.dumps(meta))


def garbage(one: Path, two: Path) -> None:
    (one / "step.json").write_text("{")


def deep(one: Path, two: Path) -> None:
    (one / "step.json").write_text("[" * 100_000)


def older(one: Path, two: Path) -> None:
    meta = json.loads((one / "step.json").read_text())
    (one / "step.json").write_text(json.dumps({**meta, "format": 1}))


DAMAGE = [
    (zero, "weights is not the file that was stored"),
    (swap_files, "weights is not the file that was stored"),
    (swap_folders, "was made from other settings than its name says"),
    (edit_key, "was made from other settings than its name says"),
    (garbage, r"has no readable step\.json"),
    (deep, r"has no readable step\.json"),
    (older, "was made by another version of recbench"),
    (lambda one, two: (one / "weights").unlink(), "weights is missing"),
    (lambda one, two: (one / "more").write_text("x"), "more is not the file that was stored"),
]


@pytest.mark.parametrize(("damage", "says"), DAMAGE, ids=lambda part: getattr(part, "__name__", ""))
def test_damage_is_found_in_the_same_process_and_in_the_next(tmp_path: Path, damage: Any, says: str) -> None:
    store = Store(tmp_path)
    one, two = (store.build(step, put(f"the weights of seed {step.facts['seed']}")).path for step in (ONE, TWO))
    assert store.find(ONE)
    time.sleep(0.01)  # a file system's clock
    damage(one, two)
    for looked in (store, Store(tmp_path)):
        with pytest.raises(DataError, match=f"{says}.*remove the folder and run again") as refusal:
            looked.find(ONE)
        with pytest.raises(DataError, match=says):
            looked.opened(ONE.folder)
        with pytest.raises(DataError, match=says):
            looked.build(ONE, put())
        assert "\n" not in str(refusal.value)
    assert not Store(tmp_path).build(ONE, put("new"), rebuild=True).reused  # --again mends it
    assert Store(tmp_path).find(ONE)


# ---- several processes ------------------------------------------------------------------------------------------


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


# ---- a system that refuses --------------------------------------------------------------------------------------


def full(*_: object, **__: object) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_full_disk_is_one_sentence_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store(tmp_path / "s")
    with pytest.raises(
        RecbenchError, match=r"building model-\w+ in .* failed: no space is left on the device"
    ) as caught:
        store.build(ONE, full)
    assert "\n" not in str(caught.value)

    def library(_: Path) -> None:  # how safetensors words it
        raise RuntimeError("Error while serializing: I/O error: No space left on device (os error 28)")

    with pytest.raises(RecbenchError, match="no space is left"):
        store.build(ONE, library)
    target = tmp_path / "out" / "r.json"
    write_atomic(target, b"old")
    for function in ("replace", "fsync"):
        with monkeypatch.context() as patch:
            patch.setattr(os, function, full)
            with pytest.raises(RecbenchError, match=r"cannot write .*r\.json: no space is left"):
                write_atomic(target, b"new")
        assert target.read_bytes() == b"old"
        assert os.listdir(target.parent) == ["r.json"]
    assert visible(store.root) == []
    assert partial(store.root) == []


def test_a_full_disk_at_the_rename_keeps_the_old_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store, move = Store(tmp_path), os.replace
    store.build(ONE, put("old"))

    def replace(source: Any, target: Any) -> None:
        if Path(target) == tmp_path / ONE.folder and not str(source).endswith(".old"):
            full()
        move(source, target)

    monkeypatch.setattr(os, "replace", replace)
    with pytest.raises(RecbenchError, match="no space is left"):
        store.build(ONE, put("new"), rebuild=True)
    assert (tmp_path / ONE.folder / "weights").read_text() == "old"
    assert partial(tmp_path) == []


def test_an_unwritable_place_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(RecbenchError, match=r"cannot write /proc/recbench/r\.json: "):
        write_atomic(Path("/proc/recbench/r.json"), b"x")
    with pytest.raises(RecbenchError, match=r"building model-\w+ in /proc/recbench failed: /proc/recbench"):
        Store(Path("/proc/recbench")).build(ONE, put())
    (tmp_path / "file").write_text("")
    with pytest.raises(RecbenchError, match="not a directory"):
        Store(tmp_path / "file").build(ONE, put())


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
