"""What is recorded of the machine and the code."""

from __future__ import annotations

import json
import subprocess
import sys

import recbench
from recbench.results import environment


def test_environment_is_json_and_names_what_matters() -> None:
    found = environment("cpu", 2)
    assert json.loads(json.dumps(found)) == found
    assert found["device"] == "CPU, 2 threads"
    assert found["recbench"] == recbench.__version__
    assert "numpy" in found["versions"]
    assert "nonexistent" not in found["versions"]
    assert found["cores"] >= 1


def test_nothing_here_imports_torch() -> None:
    code = (
        "import sys, recbench.results as r, recbench.pages, recbench.evaluation, recbench.stats;"
        "r.environment('cpu', 2); assert not {'torch', 'transformers', 'click', 'rich'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
