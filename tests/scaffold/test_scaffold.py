"""What ``recbench plugin new`` writes: for every kind a package that installs and passes its own tests at once."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from recbench import registry
from recbench.cli import cli
from recbench.interfaces import KINDS
from recbench.scaffold import USES

NAMES = {kind: f"my-{kind}_2" for kind in KINDS} | {"metric": "Mine", "loss": "loss"}


def called(*words: str | Path) -> Result:
    return CliRunner().invoke(cli, ["plugin", "new", *map(str, words)])


@pytest.mark.skipif(find_spec("hatchling") is None, reason="hatchling is not installed: make test")
def test_every_kind_installs_and_passes_its_own_tests(tmp_path: Path) -> None:
    for kind, name in NAMES.items():
        result = called(kind, name, "--dir", tmp_path)
        assert result.exit_code == 0, result.output
        assert result.stdout.count(str(tmp_path)) == 6  # four files, and two commands
        assert f"  {USES[kind].format(name)}\n" in result.stdout
    packages = sorted(tmp_path.glob("recbench-*"))
    assert len(packages) == len(KINDS)
    site = tmp_path / "site"
    pip = [sys.executable, "-m", "pip", "install", "-q", "--disable-pip-version-check", "--no-index"]
    pip += ["--no-deps", "--no-build-isolation", "--target", str(site), *map(str, packages)]
    done = subprocess.run(pip, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    shipped = {path.name for path in site.glob("*.py")}
    assert shipped == {f"{package.name.replace('-', '_')}.py" for package in packages}, "and not the tests"

    environment = {**os.environ, "PYTHONPATH": str(site)}
    tests = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", "--rootdir", "."]
    tests += [package.name for package in packages]
    done = subprocess.run(tests, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-1000:]
    passed = re.search(r"(\d+) passed", done.stdout)
    assert passed is not None
    assert int(passed[1]) > 60

    ruff = [sys.executable, "-m", "ruff", "check", "--isolated", "--line-length", "120", "--select", "E,F,I,B,UP"]
    done = subprocess.run([*ruff, *packages], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    for package in packages:
        header = (package / f"{package.name.replace('-', '_')}.py").read_text()
        assert re.search(r'^""".*^Paper: .*^Known differences', header, re.MULTILINE | re.DOTALL)
        assert "$" not in "".join(path.read_text() for path in package.iterdir())


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("loss", "msl"), "The loss name 'msl' is claimed by recbench-toolkit "),
        (("source", "ml-100k"), "The source name 'ml-100k' is claimed by recbench-toolkit "),
        (("decoder", "toolkit"), "The distribution recbench-toolkit"),
        (("decoder", "plugins"), "A module recbench_plugins can be imported"),
        (("losss", "mine"), "recbench has no kind 'losss': did you mean 'loss'?"),
        (("loss", "a/../b"), "'a/../b' cannot name a loss: use at most 40 letters"),
        (("loss", "2nd"), "'2nd' cannot name a loss"),
        (("loss", "mine-"), "'mine-' cannot name a loss"),
        (("loss", "x" * 41), "cannot name a loss"),
        (("loss", "é"), "cannot name a loss"),
        (("identifier", "é"), "cannot name an identifier"),
    ],
)
def test_what_cannot_be_used_is_refused(words: tuple[str, str], said: str, tmp_path: Path) -> None:
    result = called(*words, "--dir", tmp_path)
    assert said in result.stderr
    assert result.exit_code == 2
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    (tmp_path / "recbench-mine").mkdir()
    (tmp_path / "recbench-mine" / "kept").write_text("yes")
    result = called("loss", "mine", "--dir", tmp_path)
    assert "recbench-mine already exists: remove it, or choose another name or --dir." in result.stderr
    assert [path.name for path in tmp_path.rglob("*")] == ["recbench-mine", "kept"]
    assert "nowhere is not a folder" in called("loss", "mine", "--dir", tmp_path / "nowhere").stderr


def test_a_name_of_another_kind_is_free(tmp_path: Path) -> None:
    assert "topk" in registry.names("decoder")
    assert called("loss", "topk", "--dir", tmp_path).exit_code == 0


@pytest.mark.parametrize("name", ["none", "Loss", "loss-plugin", "options"])
def test_a_class_takes_no_name_that_means_something_else(name: str, tmp_path: Path) -> None:
    assert called("loss", name, "--dir", tmp_path).exit_code == 0
    (module,) = tmp_path.glob("recbench-*/recbench_*.py")
    names: dict[str, object] = {"__name__": "written"}
    exec(compile(module.read_text(), "written", "exec"), names)
    assert names["plugin"].implementation.__name__.endswith("Method")  # type: ignore[attr-defined]
