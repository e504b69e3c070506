"""The wheels hold what they must, and work unpacked in an empty folder, away from the clone.

A wheel of pure Python is installed by unpacking it. ``-S`` switches the site module off, and with it the editable
install's path file: the process sees the unpacked wheels and, behind them, the installed dependencies.
"""

import os
import subprocess
import sys
import tomllib
import zipfile
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
pytestmark = pytest.mark.skipif(find_spec("hatchling") is None, reason="hatchling is not installed: make test")


def build(project: Path, folder: Path) -> Path:
    """The wheel of ``project``, built without a network."""
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    done = subprocess.run(command, cwd=project, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (wheel,) = folder.glob("*.whl")
    return wheel


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    return zipfile.ZipFile(build(ROOT, tmp_path_factory.mktemp("wheel")))


@pytest.fixture(scope="module")
def unpacked(wheel: zipfile.ZipFile, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Both wheels, unpacked."""
    site = tmp_path_factory.mktemp("site")
    wheel.extractall(site)
    with zipfile.ZipFile(build(ROOT / "plugins" / "recbench-focal", tmp_path_factory.mktemp("focal"))) as focal:
        focal.extractall(site)
    return site


def recbench(unpacked: Path, folder: Path, *words: str, code: str = "") -> str:
    """Standard output of the ``recbench`` command of the unpacked wheels, run in ``folder``."""
    # the installed dependencies, which another environment may lend to this one
    paths = [str(unpacked), *(path for path in sys.path if path.endswith("site-packages"))]
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
    environment["PYTHONPATH"] = os.pathsep.join(paths)
    code = code or "from recbench.cli import main; main()"
    command = [sys.executable, "-S", "-P", "-c", code, *words]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_wheel_holds_both_packages_and_the_data_registry(wheel: zipfile.ZipFile) -> None:
    names = wheel.namelist()
    assert {"recbench/datasets.yaml", "recbench/language/models.yaml"} <= set(names)
    assert "recbench/site/assets/site.css" in names
    assert {"recbench/py.typed", "recbench_plugins/py.typed"} <= set(names)  # type checkers read its annotations
    assert wheel.read("recbench/datasets.yaml") == (ROOT / "datasets.yaml").read_bytes()
    assert any(name.endswith("licenses/LICENSE") for name in names)
    tops = {name.split("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"recbench", "recbench_plugins"}
    sources = [*ROOT.glob("recbench/**/*.py"), *ROOT.glob("plugins/recbench_plugins/**/*.py")]
    sources += [*ROOT.glob("recbench/scaffold/templates/*"), *ROOT.glob("recbench/site/assets/script/*.js")]
    expected = {path.relative_to(ROOT).as_posix().removeprefix("plugins/") for path in sources}
    assert expected <= set(names)


def test_every_entry_point_names_a_file_of_the_wheel(wheel: zipfile.ZipFile) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    (listed,) = (wheel.read(name).decode() for name in wheel.namelist() if name.endswith("entry_points.txt"))
    for group, entries in project["entry-points"].items():
        assert f"[{group}]" in listed
        for name, target in entries.items():
            assert f"{name} = {target}" in listed
            module = target.partition(":")[0].replace(".", "/")
            assert {f"{module}.py", f"{module}/__init__.py"} & set(wheel.namelist())


def test_constraints_satisfy_every_requirement() -> None:
    packaging = pytest.importorskip("packaging.requirements")
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pins = dict(line.split("==") for line in lines if "==" in line and not line.startswith("#"))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    wanted = [*project["dependencies"], *extras["dev"], *extras["docs"], *extras["gguf"], *extras["recbole"]]
    for text in wanted:
        requirement = packaging.Requirement(text)
        name = requirement.name.lower().replace("_", "-")
        assert name in pins, f"constraints.txt does not pin {name}"
        assert requirement.specifier.contains(pins[name]), f"constraints.txt pins {name}=={pins[name]}, not {text}"


def test_unpacked_elsewhere_it_finds_itself(unpacked: Path, tmp_path: Path) -> None:
    code = (
        "import recbench, recbench_plugins; from recbench.data.catalog import datasets, registry_file; "
        "print(recbench.__file__, recbench_plugins.__file__, registry_file(), sep='\\n'); assert datasets()"
    )
    for line in recbench(unpacked, tmp_path, code=code).splitlines():
        assert Path(line).is_relative_to(unpacked)


def test_unpacked_elsewhere_a_third_partys_loss_is_installed(unpacked: Path, tmp_path: Path) -> None:
    listed = recbench(unpacked, tmp_path, "list", "losses")
    assert {"focal", "lml", "msl"} <= set(listed.split())
    planned = recbench(
        unpacked, tmp_path, "run", "--model", "bigrec", "--loss", "focal", "--set", "loss.gamma=1", "--dry-run"
    )
    assert "focal" in planned
    assert "gamma" in planned
    code = "from recbench import registry as r; print(r.get('loss', 'focal').implementation, r.origin('loss', 'focal'))"
    assert "recbench_focal.Focal" in recbench(unpacked, tmp_path, code=code)


def test_unpacked_elsewhere_metrics_and_slices_are_installed(unpacked: Path, tmp_path: Path) -> None:
    for kind, known in (("metrics", {"NDCG", "MAP", "coverage"}), ("slices", {"cold", "cold_last", "head", "history"})):
        listed = recbench(unpacked, tmp_path, "list", kind)
        assert known <= {line.split()[0] for line in listed.splitlines()}
        assert "BROKEN" not in listed


def test_unpacked_elsewhere_the_suites_are_there(unpacked: Path, tmp_path: Path) -> None:
    listed = recbench(unpacked, tmp_path, "suite", "list")
    assert {"smoke", "table3", "table5", "table6"} <= set(listed.split())


def test_unpacked_elsewhere_it_runs(unpacked: Path, tmp_path: Path) -> None:
    rows = [f"u{u},i{(u + 3 * n) % 10},{100 * u + n},Title {(u + 3 * n) % 10}" for u in range(20) for n in range(8)]
    (tmp_path / "mine.csv").write_text("\n".join(["user,item,timestamp,title", *rows]) + "\n")
    recbench(unpacked, tmp_path, "run", "--model", "popularity", "--dataset", "csv", "--data-dir", "mine.csv")
    (record,) = (tmp_path / "runs").glob("*/record.json")
    code = (
        "import sys, recbench; assert 'torch' not in sys.modules; run = recbench.open_run(sys.argv[1]); "
        "lists = run.load().recommend([['Title 3', 'i4']], k=3); split = recbench.datasets.load('csv', 'mine.csv'); "
        "print(recbench.__file__, len(lists[0]), len(split.catalog), 'NDCG@10' in run.metrics(), sep='\\n')"
    )
    place, *found = recbench(unpacked, tmp_path, str(record.parent), code=code).splitlines()
    assert Path(place).is_relative_to(unpacked)
    assert found == ["3", "10", "True"]
