"""``recbench data``: facts in words, and an exit status that says whether the split can be used."""

from __future__ import annotations

import json
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
    assert "leaks: " in refused.stdout, "what leaks is counted before the command fails"
    counted = call(*args, "--set", "dataset.repeated_windows=counted")
    assert counted.exit_code == 0
    assert "test windows that occur earlier, too" in counted.stdout
    for bad in (["--set", "dataset.core=1:30"], ["--set", "loss.tau=2"], ["--data-dir", "none.csv"]):
        assert call("data", "csv", *bad).exit_code == 2


def test_audit_is_the_same_command_and_takes_a_file_or_folder(call, tmp_path: Path) -> None:
    by_name = call("data", "audit", "csv", "--data-dir", "own.csv", "--format", "json")
    by_file = call("data", "audit", "own.csv", "--format", "json")
    assert by_name.exit_code == by_file.exit_code == 0, by_name.output
    found = json.loads(by_name.stdout)
    assert found == json.loads(by_file.stdout)
    assert (found["name"], found["leaks"]) == ("own", [])
    assert found["profile"]["windows"] == found["facts"]["windows"]
    assert found["profile"]["cold"]["test"]["training interactions"] == pytest.approx(
        found["facts"]["cold_share"], abs=1e-4
    )
    assert found["profile"]["interactions"] == found["facts"]["interactions"]
    (tmp_path / "release").mkdir()
    (tmp_path / "release/id2name4Rec.json").write_text(json.dumps({str(i): f"Film {i}" for i in range(9)}))
    rows = [f'u{i % 3},"[{i % 9}, {(i + 1) % 9}]",{i}' for i in range(40)]
    for part, lines in (("train", rows[:36]), ("test", [*rows[36:], rows[3]])):
        (tmp_path / f"release/{part}.csv").write_text("\n".join(["user_id,item_ids,timestamp", *lines]) + "\n")
    leaking = call("data", "audit", "release", "--format", "json")
    assert leaking.exit_code == 1
    found = json.loads(leaking.stdout)
    assert "1 of 5 test windows are training windows (same user, items, time)." in found["leaks"]
    assert found["tokens"] == {}
    for bad in (["audit"], ["audit", "own.csv", "--data-dir", "own.csv"], ["audit", "csv", "ml-100k"]):
        assert call("data", *bad).exit_code == 2


def test_a_card_is_the_same_twice_and_says_nothing_of_this_machine(call, tmp_path: Path) -> None:
    for folder in ("one", "two"):
        result = call("data", "audit", "own.csv", "--card", folder, "--format", "markdown")
        assert result.exit_code == 0, result.output
    for name in ("own.md", "own.png"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()
    page = (tmp_path / "one/own.md").read_text()
    assert page.split("\n\n", 2)[1] == result.stdout.split("\n\n", 1)[0] == "# own: Your own interactions"
    assert page.endswith(result.stdout.split("\n\n", 1)[1]), "printed and written alike"
    assert "![" in page
    assert "](own.png)" in page
    assert str(tmp_path) not in page
    assert {p.name for p in (tmp_path / "one").iterdir()} == {"own.md", "own.png"}
