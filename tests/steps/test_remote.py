"""Steps behind an fsspec address: another machine, here another folder of runs, finds them there."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from recbench.errors import DataError, RecbenchError, UsageError
from recbench.interfaces import SilentReporter
from recbench.steps.executor import Serial
from recbench.steps.remote import VARIABLE, RemoteStore, store_of
from recbench.steps.store import META, Store

fsspec = pytest.importorskip("fsspec")


@pytest.fixture(autouse=True)
def _empty() -> None:
    fsspec.filesystem("memory").store.clear()


@pytest.fixture(params=["memory", "file"])
def address(request: Any, tmp_path: Path) -> str:
    if request.param == "file":
        return f"file://{tmp_path}/remote"
    return "memory://bucket/steps"


def test_another_cache_finds_what_one_has_built(address: str, tmp_path: Path, plain: Callable[..., Any]) -> None:
    log: list[str] = []
    top = plain({"name": "top"}, {"data": plain({"name": "data"}, {}, log)}, log)
    assert not RemoteStore(tmp_path / "c", address).has(top.folder)
    first = Serial(RemoteStore(tmp_path / "a", address), SilentReporter())
    assert first.value(top) == ["{'name': 'top'}", "{'name': 'data'}"]
    before = [line for line in log if line.startswith("build")]
    other = RemoteStore(tmp_path / "b", f"{address}/")
    assert other.has(top.folder)
    assert not (tmp_path / "b" / top.folder).exists()
    second = Serial(other, SilentReporter())
    assert second.value(top) == first.value(top)
    assert [line for line in log if line.startswith("build")] == before
    assert second.built(top).reused
    assert Store(tmp_path / "b").find(top)  # a plain store from now on
    assert not list((tmp_path / "b" / ".partial").iterdir())


def test_a_step_counts_only_when_all_of_it_was_sent(address: str, tmp_path: Path, plain: Callable[..., Any]) -> None:
    step = plain({"name": "x"})
    store = RemoteStore(tmp_path / "a", address)
    Serial(store, SilentReporter()).run([step])
    files, base = fsspec.core.url_to_fs(address)
    files.rm(f"{base}/{step.folder}/{META}")
    assert RemoteStore(tmp_path / "b", address).find(step) is None


def test_what_a_step_says_about_itself_costs_no_more_than_that(
    address: str, tmp_path: Path, plain: Callable[..., Any]
) -> None:
    step = plain({"name": "x"})
    built = Serial(RemoteStore(tmp_path / "a", address), SilentReporter()).run([step])[step.folder]
    other = RemoteStore(tmp_path / "b", address)
    told = other.told(step.folder)
    assert told is not None
    assert (told.seconds, told.files, told.environment) == (built.seconds, {"file"}, built.environment)
    assert not (tmp_path / "b" / step.folder).exists()
    assert other.told(plain({"name": "y"}).folder) is None


def test_what_only_the_cache_has_is_sent_when_it_is_next_looked_for(
    address: str, tmp_path: Path, plain: Callable[..., Any]
) -> None:
    step = plain({"name": "x"})
    Serial(Store(tmp_path / "a"), SilentReporter()).run([step])
    assert RemoteStore(tmp_path / "a", address).find(step)
    assert RemoteStore(tmp_path / "b", address).find(step)


def test_a_damaged_step_is_not_taken(address: str, tmp_path: Path, plain: Callable[..., Any]) -> None:
    step = plain({"name": "x"})
    Serial(RemoteStore(tmp_path / "a", address), SilentReporter()).run([step])
    files, base = fsspec.core.url_to_fs(address)
    with files.open(f"{base}/{step.folder}/file", "wb") as file:
        file.write(b"something else")
    with pytest.raises(DataError, match="is damaged: remove it there and run again"):
        RemoteStore(tmp_path / "b", address).find(step)
    assert not (tmp_path / "b" / step.folder).exists()


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("nowhere://bucket", "nowhere"),
        ("s3://user:secret@bucket/x", "leave user and password out"),
    ],
)
def test_an_address_that_cannot_be_used(address: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=said) as found:
        RemoteStore(tmp_path, address)
    assert "secret" not in str(found.value)


def test_what_the_file_system_refuses_is_one_sentence(
    tmp_path: Path, plain: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    store = RemoteStore(tmp_path / "a", "memory://bucket/steps")

    def refuse(*_: Any, **__: Any) -> None:
        raise ConnectionError("the server\nis gone")

    monkeypatch.setattr(store._files, "put_file", refuse)
    with pytest.raises(RecbenchError, match="writing memory://bucket/steps failed with ConnectionError: the server"):
        Serial(store, SilentReporter()).run([plain({"name": "x"})])


def test_the_variable_chooses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert type(store_of(tmp_path)) is Store
    monkeypatch.setenv(VARIABLE, "memory://bucket/steps")
    assert isinstance(store_of(tmp_path), RemoteStore)
