"""A place where hostile inputs meet the command line, and what must hold whatever they are.

Each input must end within a minute, in an exit code and at most one kind of line: no traceback, no "bug", nothing that
it carries is executed, and no file appears outside the folders that the command was given.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from recbench.cli import cli

LIMIT = 60  # seconds
OWN = ["--dataset", "csv", "--data-dir", "own.csv", "--device", "cpu"]
POPULARITY = ["run", "--model", "popularity", *OWN, "--set", "evaluate.cases=8"]


def listing(folder: Path) -> dict[str, Any]:
    """What a folder holds, by path: content of files, targets of links."""
    found: dict[str, Any] = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_symlink():
            found[name] = os.readlink(path)
        else:
            found[name] = path.read_bytes() if path.is_file() else ""
    return found


@dataclass
class Place:
    """A folder to work in, one next to it that nothing may touch, and a file that hostile code would make."""

    work: Path
    outside: Path
    canary: Path

    def call(self, *words: object, refused: bool | None = None) -> Result:
        """``recbench WORDS`` in the folder; checks what must hold always.

        Args:
            words: of the command line.
            refused: whether the command must fail; None where both are right.
        """
        before, here = listing(self.outside), Path.cwd()
        os.chdir(self.work)
        late: list[int] = []

        def stop(number: int, frame: object) -> None:
            late.append(number)
            raise TimeoutError

        alarm = signal.signal(signal.SIGALRM, stop)
        signal.alarm(LIMIT)
        try:
            result = CliRunner().invoke(cli, [str(word) for word in words])
        finally:
            signal.alarm(0)
            signal.signal(signal.SIGALRM, alarm)
            os.chdir(here)
        assert not late, f"{words} took more than {LIMIT} s"
        assert not self.canary.exists(), f"{words} executed what its input carries"
        assert listing(self.outside) == before
        assert sorted(path.name for path in self.work.parent.iterdir()) == ["outside", "work"]
        check(result)
        if refused is not None:
            assert (result.exit_code != 0) == refused, result.output
        return result


def check(result: Any) -> None:
    """An exit code of ours, sentences of ours, and nothing half-written in them."""
    assert result.exit_code in (0, 1, 2), result.output
    for word in ("Traceback", "which is a bug", "an unexpected"):
        assert word not in result.output, result.output
    if result.exit_code:
        last = result.stderr.rstrip().splitlines()[-1]
        assert last.startswith("recbench: "), result.stderr
        assert len(last) < 2000, last[:200]


@pytest.fixture(scope="session")
def rows() -> list[str]:
    """The lines of a small csv file."""
    walks = [f"{u},{(u + i) % 40},{60 * i + u},The {(u + i) % 40}th Film" for u in range(40) for i in range(14)]
    return ["user,item,timestamp,title", *walks]


@pytest.fixture
def place(tmp_path: Path, rows: list[str]) -> Place:
    """An empty place with own.csv."""
    for name in ("work", "outside"):
        (tmp_path / name).mkdir()
    (tmp_path / "outside" / "secret").write_text("secret")
    (tmp_path / "work" / "own.csv").write_text("\n".join(rows) + "\n")
    return Place(tmp_path / "work", tmp_path / "outside", tmp_path / "outside" / "canary")


@pytest.fixture(scope="session")
def stored(tmp_path_factory: pytest.TempPathFactory, rows: list[str]) -> Path:
    """The runs folder of a finished run of popularity."""
    folder = tmp_path_factory.mktemp("stored")
    (folder / "own.csv").write_text("\n".join(rows) + "\n")
    here = Path.cwd()
    os.chdir(folder)
    try:
        result = CliRunner().invoke(cli, POPULARITY)
    finally:
        os.chdir(here)
    assert result.exit_code == 0, result.output
    return folder / "runs"


@pytest.fixture
def again(place: Place, stored: Path) -> Place:
    """A place in which popularity has run."""
    shutil.copytree(stored, place.work / "runs")
    return place


Damage = Callable[[Path, Path], None]


def _content(change: Callable[[bytes, random.Random], bytes]) -> Damage:
    def damage(path: Path, outside: Path) -> None:
        old = path.read_bytes()
        path.write_bytes(change(old, random.Random(len(old))))

    return damage


def _flipped(old: bytes, draws: random.Random) -> bytes:
    new = bytearray(old or b"\0")
    for _ in range(1 + len(new) // 200):
        new[draws.randrange(len(new))] ^= 1 << draws.randrange(8)
    return bytes(new)


def _replaced(make: Callable[[Path, Path], None]) -> Damage:
    def damage(path: Path, outside: Path) -> None:
        path.unlink()
        make(path, outside)

    return damage


def damages() -> dict[str, Damage]:
    """Ways to damage any file, by name."""
    return {
        "empty": _content(lambda old, _: b""),
        "one byte": _content(lambda old, _: old[:1]),
        "half": _content(lambda old, _: old[: len(old) // 2]),
        "without its end": _content(lambda old, _: old[:-3]),
        "flipped bits": _content(_flipped),
        "noise": _content(lambda old, draws: draws.randbytes(len(old))),
        "zeros": _content(lambda old, _: bytes(len(old))),
        "twice": _content(lambda old, _: old + old),
        "long": _content(lambda old, _: old + b" " * 100_000 + b"x"),
        "deep": _content(lambda old, _: b"[" * 100_000 + b"]" * 100_000),
        "null": _content(lambda old, _: b"null"),
        "surrogate": _content(lambda old, _: b'{"\\ud800": "\\udfff\\u0000"}'),
        "number": _content(lambda old, _: b'{"format": ' + b"9" * 5000 + b"}"),
        "gone": _replaced(lambda path, _: None),
        "folder": _replaced(lambda path, _: path.mkdir()),
        "pipe": _replaced(lambda path, _: os.mkfifo(path)),
        "link to itself": _replaced(lambda path, _: path.symlink_to(path.name)),
        "dangling link": _replaced(lambda path, outside: path.symlink_to(outside / "nothing")),
        "link outside": _replaced(lambda path, outside: path.symlink_to(outside / "secret")),
    }


QUICK = {"half", "flipped bits", "deep", "pipe", "link outside"}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """``damage`` takes every way in turn, a few of them under ``make test``."""
    if "damage" in metafunc.fixturenames:
        marks = {name: () if name in QUICK else (pytest.mark.torture,) for name in damages()}
        every = [pytest.param(one, id=name, marks=marks[name]) for name, one in damages().items()]
        metafunc.parametrize("damage", every)


@pytest.fixture(autouse=True)
def _plain_home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("HOME", str(tmp_path_factory.getbasetemp() / "home"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    yield
    assert not (tmp_path_factory.getbasetemp() / "home").exists()
