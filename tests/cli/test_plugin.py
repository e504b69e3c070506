"""``recbench plugin list``: who registers what, and what cannot be used."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from click.testing import CliRunner

import recbench
from recbench import registry
from recbench.cli import cli

ROOT = Path(__file__).resolve().parents[2]
GOOD = """
from pydantic import Field
from recbench.interfaces import MetricPlugin, Options, RankMetric

class MineOptions(Options):
    a: int = Field(1, description="a")
    b: int = Field(1, description="b")

class Mine(RankMetric[MineOptions]):
    def values(self, ranks, depth):
        return ranks

plugin = MetricPlugin(implementation=Mine, summary="mine", options=MineOptions)
"""


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """``install(name, entry_points)``: a distribution whose modules are in the folder already."""

    def put(name: str, entry_points: str) -> None:
        info = tmp_path / f"{name}-0.1.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 0.1\n")
        (info / "entry_points.txt").write_text(entry_points)

    monkeypatch.syspath_prepend(tmp_path)
    registry._installed.cache_clear()
    yield put
    registry._installed.cache_clear()


def listed(*words: str) -> list[str]:
    result = CliRunner().invoke(cli, ["plugin", "list", *words])
    assert result.exit_code == 0, result.output
    return [" ".join(line.split()) for line in result.stdout.splitlines()]


def test_every_entry_point_is_listed_with_its_file() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    lines = listed()
    assert f"recbench-toolkit {recbench.__version__}:" in lines
    for kind, group in registry.GROUPS.items():
        for name, value in project["entry-points"][group].items():
            (line,) = (line for line in lines if line.startswith(f"{kind} {name} "))
            place = line.split()[-1]
            assert (ROOT / "plugins" / place).is_file()
            assert place.removesuffix(".py").removesuffix("/__init__").replace("/", ".") == value.partition(":")[0]
    assert "loss msl 10 " in next(line for line in lines if line.startswith("loss msl"))


def test_options_claims_and_faults_are_told(install, tmp_path: Path) -> None:
    package = tmp_path / "theirs_package"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "mine.py").write_text(GOOD)
    (package / "broken.py").write_text("raise RuntimeError('no GPU')")
    install("one", "[recbench.metrics]\nmine = theirs_package.mine:plugin\ntwin = theirs_package.mine:plugin\n")
    install("two", "[recbench.metrics]\ntwin = theirs_package:plugin\nbad = theirs_package.broken:plugin\n")
    install("three", "[recbench.metrics]\ngone = no_such_package.mine:plugin\n[recbench.metric]\nx = y:z\n")
    lines = listed("metric")
    one, two, three = (lines[lines.index(f"{name} 0.1:") + 2 :] for name in ("one", "two", "three"))
    assert one[:2] == ["metric mine 2 theirs_package/mine.py", "metric twin CLAIMED TWICE theirs_package/mine.py"]
    assert two[0] == "metric bad BROKEN theirs_package/broken.py"
    assert two[1] == "metric twin CLAIMED TWICE theirs_package/__init__.py"
    assert three[0] == "metric gone BROKEN no module no_such_package.mine"
    notes = "\n".join(lines)
    assert notes.count("The metric name 'twin' is claimed by one and two: uninstall one of them.") == 1
    assert "cannot be imported from theirs_package.broken:plugin (RuntimeError: no GPU)" in notes
    assert (
        "'x' of three is in the group 'recbench.metric', which does not exist: did you mean 'recbench.metrics'?"
        in notes
    )
    assert not any(line.startswith("loss ") for line in lines)


def test_an_unknown_kind_is_refused() -> None:
    result = CliRunner().invoke(cli, ["plugin", "list", "losses"])
    assert result.exit_code == 2
    assert "recbench has no kind 'losses': did you mean 'loss'?" in result.stderr
