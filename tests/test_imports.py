"""Importing recbench and reading every descriptor load no heavy library; commands are in tests/cli/test_start.py."""

import subprocess
import sys

import pytest

HEAVY = "{'torch', 'transformers', 'peft', 'trl', 'accelerate', 'recbole', 'pandas', 'scipy'}"
MODULES = ["", ".interfaces", ".registry", ".spec", ".evaluation", ".results", ".suites", ".seeds", ".files", ".types"]


def loaded(code: str) -> str:
    """The heavy libraries in memory after ``code`` in a fresh process."""
    report = f"\nimport sys\nprint('\\nheavy:', *sorted({HEAVY} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code + report], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.rpartition("heavy:")[2].strip()


@pytest.mark.parametrize("module", [*MODULES, ".cli"])
def test_import_is_light(module: str) -> None:
    assert loaded(f"import recbench{module}") == ""


def test_every_descriptor_is_light() -> None:
    code = (
        "from recbench import registry\nfrom recbench.interfaces import KINDS\n"
        "for kind in KINDS:\n    assert registry.names(kind)\n"
        "    for name in registry.names(kind):\n        registry.get(kind, name)"
    )
    assert loaded(code) == ""


def test_the_whole_python_api_is_named_without_torch() -> None:
    names = "run, load, open_run, compare, evaluate, datasets"
    assert loaded(f"from recbench import {names}\nimport recbench\ndir(recbench)") in ("", "pandas")
