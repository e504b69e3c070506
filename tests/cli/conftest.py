"""A tiny csv, and the command line in a folder of its own."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
from click.testing import CliRunner, Result

from recbench.cli import cli

TEXT = "--epochs 1 --train-samples 32 --set llm.hidden=32 --set llm.layers=1 --set llm.vocabulary=300"
TEXT += " --set evaluate.validation_cases=4 --set evaluate.cases=8 --set machine.threads=1"


def write_csv(path: Path, users: int = 40) -> Path:
    """Interactions of ``users`` users over 40 films, without ties in time within a user."""
    rows = ["user,item,timestamp,title"]
    for u in range(users):
        for i in range(14):
            item = (u * 3 + i * (1 + u % 3)) % 40
            rows.append(f"u{u},i{item},{1000 + 60 * i + u},Film &amp; {item}")
    path.write_text("\n".join(rows) + "\n")
    return path


def invoke(folder: Path, *args: str) -> Result:
    """``recbench ARGS`` in ``folder``."""
    before = Path.cwd()
    os.chdir(folder)
    try:
        return CliRunner().invoke(cli, [str(a) for a in args])
    finally:
        os.chdir(before)


@pytest.fixture
def call(tmp_path: Path) -> Callable[..., Result]:
    """``recbench`` in an empty folder that holds own.csv."""
    write_csv(tmp_path / "own.csv")
    return lambda *args: invoke(tmp_path, *args)


@pytest.fixture(scope="session")
def done(tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """A folder with finished runs: popularity on all cases and on a few, and a text model with two seeds."""
    folder = tmp_path_factory.mktemp("done")
    write_csv(folder / "own.csv")
    own = ["--dataset", "csv", "--data-dir", "own.csv", "--device", "cpu"]
    runs = {
        "popularity": ["run", "--model", "popularity", *own],
        "few": ["run", "--model", "popularity", *own, "--set", "evaluate.cases=8"],
        "text": ["run", "--model", "bigrec", "--loss", "lml", *own, "--seeds", "3,17", *TEXT.split()],
    }
    results = {name: invoke(folder, *args) for name, args in runs.items()}
    for result in results.values():
        assert result.exit_code == 0, result.output
    ids = {name: result.stdout.split()[1] for name, result in results.items()}
    return SimpleNamespace(folder=folder, results=results, ids=ids, args=runs, call=lambda *args: invoke(folder, *args))


@pytest.fixture(scope="session")
def tools() -> SimpleNamespace:
    """The helpers above, for tests with folders of their own."""
    return SimpleNamespace(invoke=invoke, write_csv=write_csv, text=TEXT.split())
