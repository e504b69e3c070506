"""The store: finished or absent, built once, checked on use, honest about a disk that refuses."""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path
from typing import Any

import pytest

from recbench.errors import DataError, RecbenchError
from recbench.steps.store import Store
from stored_models import ONE, TWO, Model, partial, put, visible


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
