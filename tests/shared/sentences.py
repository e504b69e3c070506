"""What a command may say about bad input, and what it leaves behind."""

from __future__ import annotations

from pathlib import Path

from click.testing import Result


def listing(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() if p.is_file() else b"" for p in sorted(folder.rglob("*"))}


def assert_one_sentence(result: Result, *culprits: str, code: int | None = None) -> None:
    lines = [line for line in result.stderr.splitlines() if line.startswith("recbench: ")]
    assert len(lines) == 1, result.output
    assert result.stderr.splitlines()[-1] == lines[0]
    assert "Traceback" not in result.output
    assert "unexpected" not in lines[0]
    assert lines[0].removeprefix("recbench: ").count(": ") < 2, "one sentence has one colon at most"
    for culprit in culprits:
        assert culprit in lines[0]
    assert result.exit_code in ((1, 2) if code is None else (code,))
