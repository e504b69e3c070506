"""``recbench data``: facts in words, and an exit status that says whether the split can be used."""

from __future__ import annotations

from pathlib import Path

import pytest


def test_facts_are_in_words(call) -> None:
    result = call("data", "csv", "--data-dir", "own.csv", "--set", "dataset.core=4")
    assert result.exit_code == 0, result.output
    text = result.stdout
    for label in ("protocol", "identical rows, dropped", "test windows that occur earlier, too", "interactions used"):
        assert label in text
    for word in ("namesake", "top ten users share", "As ml-100k", "one's own"):
        assert word not in text


def test_titles_are_counted_in_the_tiny_models_tokens(call, tmp_path: Path) -> None:
    """Table 4's numbers; 40 films, all of whose titles begin alike."""
    result = call("data", "csv", "--data-dir", "own.csv")
    assert result.exit_code == 0, result.output
    rows = {label.strip(): value for label, _, value in (line.partition("  ") for line in result.stdout.splitlines())}
    users, items, used = (int(rows[key].replace(",", "")) for key in ("users", "items", "interactions used"))
    assert float(rows["density"].strip().rstrip("%")) == pytest.approx(100 * used / (users * items), abs=1e-4)
    average = float(rows["average valid tokens (AVT), tiny"].split()[0])
    share, at_choices = rows["tokens with a choice, tiny"].split()[0], rows["tokens with a choice, tiny"].split()[4]
    assert 1 < average < items
    assert average == pytest.approx(1 + float(share.rstrip("%")) / 100 * (float(at_choices) - 1), rel=0.02)
    assert "built in 0." in rows["trie of titles, tiny"]
    assert [p.name for p in tmp_path.iterdir()] == ["own.csv"], "it stores nothing"
    unknown = call("data", "csv", "--data-dir", "own.csv", "--llm", str(tmp_path / "none"))
    assert unknown.exit_code in (1, 2)
    assert "Traceback" not in unknown.output


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
