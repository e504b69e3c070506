"""The contract tests of a plugin's kind, run by pytest in a separate process, since the plugin may crash it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from recbench.checks import Check
from recbench.errors import RecbenchError
from recbench.files import scratch

MODULE = """
import json, pathlib
from recbench import registry, testing

asked = json.loads(pathlib.Path(__file__).with_name("asked.json").read_text())

class TestContract(testing.contract_of(registry.get(asked["kind"], asked["name"]))):
    name = asked["name"]
    options = asked["options"]
"""


def contract(kind: str, name: str, options: Mapping[str, Any]) -> Iterator[Check]:
    """One check for each test of the contract; see :func:`recbench.checks.checks`.

    Raises:
        RecbenchError: no test could be run at all.
    """
    with scratch() as folder:
        (folder / "pytest.ini").write_text("[pytest]\n")  # not that of the folder we are in
        (folder / "asked.json").write_text(json.dumps({"kind": kind, "name": name, "options": dict(options)}))
        (folder / "test_contract.py").write_text(MODULE)
        report = folder / "report.xml"
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--junit-xml={report}"]
        # neither the user's pytest options nor other installed pytest plugins
        environment = {**os.environ, "PYTEST_ADDOPTS": "", "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
        environment["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if path)
        done = subprocess.run(
            [*command, str(folder)], cwd=folder, env=environment, capture_output=True, text=True, check=False
        )
        found = _read(report)
    if not found:
        why = ": ".join([f"exit code {done.returncode}", *done.stderr.strip().splitlines()[-1:]])
        raise RecbenchError(f"The contract tests of {kind} {name!r} ended their process ({why}).")
    yield from found


def _read(report: Path) -> list[Check]:
    """The tests of a report of JUnit's format; none where pytest did not come to write it."""
    if not report.exists():
        return []
    outcomes: dict[str, list[Check]] = {}
    for case in ElementTree.parse(report).iter("testcase"):
        name, _, values = case.get("name", "").partition("[")
        what = name.removeprefix("test_").replace("_", " ")
        bad = case.find("failure") if case.find("failure") is not None else case.find("error")
        skip = case.find("skipped")
        if bad is not None:
            one = Check(what, "FAILED", f"[{values} {_said(bad)}" if values else _said(bad))
        else:
            one = Check(what, "ok") if skip is None else Check(what, "skipped", _said(skip))
        outcomes.setdefault(what, []).append(one)
    return [_worst(ones) for ones in outcomes.values()]


def _worst(ones: list[Check]) -> Check:
    """What stands for a test that ran with several values."""
    return min(ones, key=lambda one: ("FAILED", "ok", "skipped").index(one.result))


def _said(outcome: ElementTree.Element) -> str:
    """The sentence of an outcome, without pytest's rewriting of the assertion behind it; else the bare assertion."""
    said = outcome.get("message", "").strip().split("\n")[0].removeprefix("AssertionError: ")
    if said != "AssertionError":
        return said
    lines = [line.removeprefix(">").strip() for line in (outcome.text or "").splitlines() if line.startswith(">")]
    return f"not true: {lines[-1].removeprefix('assert ')}" if lines else said
