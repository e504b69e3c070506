"""A folder with committed records of own data: one of ours, one external, and their page."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from recbench.cli import cli
from recbench.files import canonical, digest
from recbench.results import spec_hash

DATA = ("--dataset", "csv", "--data-dir", "own.csv", "--set", "evaluate.cases=12")


class Board:
    """The folder.

    Attributes:
        ours, theirs: the committed files.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ours, self.theirs = (next((folder / "boards/records").glob(f"own-{w}*")) for w in ("pop", "ext"))

    def call(self, *words: str) -> Result:
        """``recbench WORDS`` in the folder."""
        return invoke(self.folder, *words)

    def verify(self, *words: str) -> Result:
        """``recbench leaderboard verify`` of the committed records, with the data at hand."""
        where = ("--records", "boards/records", "--pages", "boards", "--data-dir", "own=own.csv")
        return self.call("leaderboard", "verify", *where, *words)

    def forge(self, path: Path, edit: Callable[[dict[str, Any]], None], rename: bool = False) -> Path:
        """Edit a record and compute its checksum anew; with ``rename`` its spec hash and its name too."""
        content = json.loads(path.read_text())
        del content["sha256"]
        edit(content)
        if rename:
            content["spec_hash"] = spec_hash(content["spec"])
            content["run"] = f"{content['run'].rpartition('-')[0]}-{content['spec_hash'][:8]}"
        forged = path.with_name(f"{content['run']}.json")
        path.unlink()
        forged.write_text(canonical({**content, "sha256": digest(content)}))
        return forged


def invoke(folder: Path, *words: str) -> Result:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        return CliRunner().invoke(cli, list(words))


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("board")
    rows = ["user,item,timestamp,title"]
    for u in range(20):
        for i in range(25):
            item = (u * 3 + i * (1 + u % 3)) % 40
            rows.append(f"u{u},i{item},{1000 + 60 * i + 40 * u},Film {item}")
    (folder / "own.csv").write_text("\n".join(rows) + "\n")
    draw, items = random.Random(3), [f"i{n}" for n in range(40)]
    lists = [f"{case},{seed},{item}" for case in range(12) for seed in (1, 2) for item in draw.sample(items, 10)]
    (folder / "lists.csv").write_text("case,seed,item\n" + "\n".join(lists) + "\n")
    for words in (
        ["run", "--model", "popularity", "--device", "cpu", *DATA],
        ["evaluate", "--rankings", "lists.csv", "--name", "Theirs", *DATA],
        ["leaderboard", "add", "own-pop", "own-ext", "--records", "boards/records"],
        ["leaderboard", "build", "--records", "boards/records", "--out", "boards"],
    ):
        done = invoke(folder, *words)
        assert done.exit_code == 0, done.output
    return folder


@pytest.fixture
def board(built: Path, tmp_path: Path) -> Board:
    shutil.copytree(built, tmp_path / "copy")
    return Board(tmp_path / "copy")
