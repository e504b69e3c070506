"""Fingerprints against what was changed, and the cache against every way in which it can be wrong."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from recbench.errors import DataError
from recbench.language import fingerprint as module
from recbench.language.fingerprint import fingerprint


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a large file, one in a subfolder, and a cache of its own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    folder = tmp_path / "model"
    (folder / "tokenizer").mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    (folder / "model.safetensors").write_bytes(bytes(3 << 20))
    (folder / "tokenizer" / "vocab.json").write_text("{}")
    monkeypatch.setattr(module, "SETTLED", -60.0)  # as if its files had been written long ago
    return folder


def cached(folder: Path) -> list[Path]:
    return list((folder.parent / "cache").rglob("*.json"))


def count(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of files whose content is read from now on."""
    read: list[str] = []
    real = module.sha256_file
    monkeypatch.setattr(module, "sha256_file", lambda file: (read.append(file.name), real(file))[1])
    return read


def flip(file: Path, at: int) -> None:
    """Change one byte and put the time of change back, as a copying tool would."""
    before = file.stat()
    with file.open("r+b") as stream:
        stream.seek(at)
        stream.write(b"x")
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))


@pytest.mark.parametrize("at", [0, 1_500_001, (3 << 20) - 1])
def test_one_byte_anywhere_counts_though_the_time_stays(model: Path, at: int) -> None:
    first = fingerprint(model)
    flip(model / "model.safetensors", at)
    assert fingerprint(model) != first


def test_what_counts(model: Path) -> None:
    first = fingerprint(model)
    (model / "tokenizer" / "vocab.json").write_text("[]")
    second = fingerprint(model)
    (model / "tokenizer").rename(model / "other")
    third = fingerprint(model)
    (model / "unheard-of.bin").write_text("")
    fourth = fingerprint(model)
    assert len({first, second, third, fourth}) == 4


def test_what_nobody_reads_does_not_count(model: Path) -> None:
    first = fingerprint(model)
    for name in ("README.md", "LICENSE", "LICENCE.txt", ".gitattributes", ".git/HEAD", ".cache/huggingface/x.metadata"):
        (model / name).parent.mkdir(parents=True, exist_ok=True)
        (model / name).write_text("changed")
    assert fingerprint(model) == first
    (model / "README_tokens.json").write_text("[]")
    assert fingerprint(model) != first


def test_a_copy_and_a_folder_of_links_have_the_same(model: Path, tmp_path: Path) -> None:
    """As a snapshot of the hub's cache, whose files are links; a link back to the folder itself ends there."""
    links = tmp_path / "links"
    links.mkdir()
    for name in ("config.json", "model.safetensors", "tokenizer"):
        (links / name).symlink_to(model / name)
    assert fingerprint(links) == fingerprint(model)
    (links / "again").symlink_to(links)
    assert fingerprint(links) == fingerprint(model)


def test_the_second_time_reads_no_large_file(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = fingerprint(model)
    assert len(cached(model)) == 1
    read = count(monkeypatch)
    assert fingerprint(model) == first
    assert read == ["config.json", "vocab.json"]


def test_a_file_changed_just_now_is_not_cached(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SETTLED", 60.0)
    fingerprint(model)
    assert not cached(model)


@pytest.mark.parametrize("content", ["", "{", "[]", "null", '{"state": 1}', "\0", "[" * 100_000])
def test_a_damaged_cache_is_ignored(model: Path, content: str) -> None:
    first = fingerprint(model)
    (place,) = cached(model)
    place.write_text(content)
    assert fingerprint(model) == first


def test_a_kept_digest_that_is_no_digest_is_ignored(model: Path) -> None:
    first = fingerprint(model)
    (place,) = cached(model)
    place.write_text(place.read_text().replace('"sha256":"', '"sha256":"../'))
    assert fingerprint(model) == first


def test_without_a_place_for_the_cache(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = fingerprint(model)
    monkeypatch.setenv("XDG_CACHE_HOME", str(model / "config.json"))  # no folder can be made below a file
    assert fingerprint(model) == first
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setattr(Path, "home", lambda: (_ for _ in ()).throw(RuntimeError("no home")))
    assert fingerprint(model) == first


def test_one_file(model: Path, tmp_path: Path) -> None:
    """A GGUF file: its content, not its name."""
    one, other = tmp_path / "one.gguf", tmp_path / "other.gguf"
    one.write_bytes(b"GGUF1")
    other.write_bytes(b"GGUF1")
    assert fingerprint(one) == fingerprint(other)
    other.write_bytes(b"GGUF2")
    assert fingerprint(one) != fingerprint(other)


def test_files_that_cannot_be_read(model: Path) -> None:
    (model / "gone.json").symlink_to(model / "nowhere")
    with pytest.raises(DataError, match=r"gone\.json cannot be read"):
        fingerprint(model)
    (model / "gone.json").unlink()
    os.mkfifo(model / "pipe")
    with pytest.raises(DataError, match="pipe is not a regular file"):
        fingerprint(model)
