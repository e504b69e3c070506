"""``recbench data``: facts in words, and an exit status that says whether the split can be used."""

from __future__ import annotations

from pathlib import Path


def test_facts_are_in_words(call) -> None:
    result = call("data", "csv", "--data-dir", "own.csv", "--set", "dataset.core=4")
    assert result.exit_code == 0, result.output
    text = result.stdout
    for label in ("protocol", "identical rows, dropped", "test windows that occur earlier, too", "interactions used"):
        assert label in text
    for word in ("namesake", "top ten users share", "As ml-100k", "one's own"):
        assert word not in text


def test_a_refused_split_and_bad_requests_exit_with_their_status(call, tmp_path: Path) -> None:
    rows = [f"u{u},{(i + u) % 6},{100 * u + i},Film {(i + u) % 6}" for u in range(6) for i in range(40)]
    (tmp_path / "songs.csv").write_text("user,item,timestamp,title\n" + "\n".join(rows) + "\n")
    args = [
        "data",
        "csv",
        "--data-dir",
        "songs.csv",
        "--set",
        "dataset.window=3",
        "--set",
        "dataset.protocol=leave_one_out",
    ]
    refused = call(*args)
    assert refused.exit_code == 1
    assert "windows are training windows at another time" in refused.stderr
    assert "Traceback" not in refused.output
    counted = call(*args, "--set", "dataset.repeated_windows=counted")
    assert counted.exit_code == 0
    assert "test windows that occur earlier, too" in counted.stdout
    for bad in (["--set", "dataset.core=1:30"], ["--set", "loss.tau=2"], ["--data-dir", "none.csv"]):
        assert call("data", "csv", *bad).exit_code == 2
