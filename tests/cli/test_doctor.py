"""``recbench doctor``: what is there, what is missing, what is broken, and what mends it."""

from __future__ import annotations

import os
from importlib import metadata
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from packaging.requirements import Requirement

import recbench
from recbench import doctor, registry
from recbench.cli import cli
from recbench.doctor import Finding, examine


def called(runs: Path) -> Result:
    return CliRunner().invoke(cli, ["doctor", "--runs", str(runs)])


def by_name(runs: Path) -> dict[str, Finding]:
    return {one.what: one for one in examine(runs)}


def test_a_good_installation(tmp_path: Path) -> None:
    result = called(tmp_path)
    assert result.exit_code == 0, result.output
    assert result.stdout.splitlines()[-1] == "recbench can run"
    found = by_name(tmp_path)
    assert found["recbench"].found.startswith(recbench.__version__)
    assert f"numpy {metadata.version('numpy')}" in found["libraries"].found
    assert "checksums as published" in found["data ml-100k"].found
    count = sum(len(registry.names(kind)) for kind in registry.GROUPS)
    assert found["plugins"].found.startswith(f"{count}, of ")
    assert "tiny" in found["language models"].found


def test_the_store_is_measured(tmp_path: Path) -> None:
    assert by_name(tmp_path)["store"].found.startswith(f"{tmp_path / 'steps'}: empty, ")
    (tmp_path / "steps" / "one").mkdir(parents=True)
    (tmp_path / "steps" / "one" / "file").write_bytes(b"x" * 2_500_000)
    assert "steps: 2.5 MB in 1 files, " in by_name(tmp_path)["store"].found
    assert [path.name for path in tmp_path.rglob("*")] == ["steps", "one", "file"], "nothing is left behind"


def test_a_store_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(**_: object) -> None:
        raise PermissionError(13, "Permission denied", str(tmp_path))

    monkeypatch.setattr(doctor.tempfile, "TemporaryFile", refused)
    result = called(tmp_path)
    assert result.exit_code == 1
    assert "the folder cannot be written to" in result.stdout
    assert result.stdout.splitlines()[-1] == "broken: store"


def test_libraries_are_compared_with_the_metadata(monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = ["numpy>=2", "pandas<1", "no-such-library>=3", "pytest>=1; extra == 'test'", "absent; extra == 'more'"]
    monkeypatch.setattr(doctor, "_required", lambda: [Requirement(text) for text in wanted])
    good, *bad = doctor._libraries()
    assert good.found == f"numpy {metadata.version('numpy')}"
    assert [(one.what, one.state, one.mend) for one in bad] == [
        ("pandas", "BROKEN", "pip install 'pandas<1'"),
        ("no-such-library", "BROKEN", "pip install 'no-such-library>=3'"),
    ]


def test_a_missing_extra_is_no_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    extra = 'absent-library>=1; extra == "gguf"'
    monkeypatch.setattr(doctor, "_required", lambda: [Requirement(extra)])
    (found,) = doctor._extras()
    assert (found.what, found.state) == ("extra gguf", "missing")
    assert found.mend == "pip install 'recbench-toolkit[gguf]'"


def test_a_broken_plugin_is_a_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    info = tmp_path / "theirs-0.1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: theirs\nVersion: 0.1\n")
    (info / "entry_points.txt").write_text("[recbench.losses]\nsunk = no_such_module:plugin\n")
    monkeypatch.syspath_prepend(tmp_path)
    registry._installed.cache_clear()
    try:
        found = list(doctor._plugins())
    finally:
        registry._installed.cache_clear()
    assert [(one.what, one.state) for one in found] == [("loss sunk", "BROKEN"), ("plugins", "ok")]
    assert "pip uninstall theirs" in found[0].mend


def test_a_changed_data_file_is_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    class Source:
        def inputs(self) -> dict[str, str]:
            return {"ml-100k.inter": "0" * 64}

    monkeypatch.setattr(doctor, "open_source", lambda name, options: Source())
    found = next(iter(doctor._data()))
    assert (found.what, found.state) == ("data ml-100k", "BROKEN")
    assert found.found == "ml-100k.inter, ml-100k.item: not the published file"


def test_threads_say_what_limits_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert doctor._threads().found.endswith("OMP_NUM_THREADS=3")
    assert doctor._threads().found.split()[0] == str(len(os.sched_getaffinity(0)))
