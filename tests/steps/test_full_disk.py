"""A store on a disk that refuses: one sentence, and nothing half-written."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import pytest

from recbench.errors import RecbenchError
from recbench.files import write_atomic
from recbench.steps.store import Store
from stored_models import ONE, partial, put, visible


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
