"""Several processes rank what one does, bit for bit; an error or a signal of one reaches all."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any

import pytest

from children import several
from recbench.interfaces import SilentReporter
from recbench.search.chunks import ranked

SCRIPT = Path(__file__).with_name("shared.py")


def here() -> tuple[dict[str, Any], int]:
    """The ranking by this process alone, and its number of chunks."""
    spec = importlib.util.spec_from_file_location("shared", SCRIPT)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    whole, calls = module.task()
    return module.seen(ranked(whole, SilentReporter())), len(calls)


@pytest.mark.parametrize("number", [2, 4])
def test_several_processes(number: int, tmp_path: Path) -> None:
    for process in several(number, str(tmp_path), folder=tmp_path, script=SCRIPT):
        assert process.wait() == 0, process.stderr
    results = [json.loads((tmp_path / f"{process}.json").read_text()) for process in range(number)]
    expected, chunks = here()
    assert expected["invalid"][0] not in (None, 0.0)
    assert chunks == 6
    kept = number + min(number, chunks - number) - 1  # the one that got the signal lost its second chunk, no other did
    for process, result in enumerate(results):
        assert result["ranking"] == expected
        assert result["calls"] == len(range(process, chunks, number))  # process r ranks chunks r, r + n, ...
        assert result["error"] == "this decoder fails in one process"
        assert result["again"] == expected
        assert result["stopped"] == results[0]["stopped"]
    assert sum(result["calls again"] for result in results) == chunks - kept
    assert f"stopped after {3 * kept} of 16" in results[0]["stopped"]
