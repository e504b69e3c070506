"""Forged records whose checksum the forger computed anew: each forgery is named."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from typing import Any

import pytest

from recbench.results import read
from recbench.results.packing import pack, pack_lists, unpack, unpack_lists


def test_honest_records_and_pages_agree(board) -> None:
    done = board.verify()
    assert done.exit_code == 0, done.output
    assert "2 of 2 records agree" in done.stdout
    assert "mismatch" not in done.stdout


def test_data_that_is_not_at_hand_is_a_note(board) -> None:
    done = board.call("leaderboard", "verify", str(board.ours))
    assert done.exit_code == 0, done.output
    assert "note: cases and popularity are not checked, since the data is not available" in done.stdout


def rank(content: dict[str, Any]) -> None:
    ranks = unpack(content["seeds"][0]["ranks"])
    ranks[3] = 1 if ranks[3] != 1 else 2
    content["seeds"][0]["ranks"] = pack(ranks)


def foreign(content: dict[str, Any]) -> None:
    users = unpack(content["cases"]["users"])
    users[3] = 1  # a user of the data whose windows all lie in training
    content["cases"]["users"] = pack(users)


def dropped(content: dict[str, Any]) -> None:
    content.pop("examples")  # else they are found out first
    for name, column in content["cases"].items():
        if isinstance(column, dict) and column["length"] == 12:
            content["cases"][name] = pack(unpack(column)[1:])
    for seed in content["seeds"]:
        seed["ranks"], seed["top"] = pack(unpack(seed["ranks"])[1:]), pack_lists(unpack_lists(seed["top"])[1:])


def popularity(content: dict[str, Any]) -> None:
    """More training interactions for an item that is no case's target."""
    counts = unpack(content["cases"]["item_popularity"])
    counts[next(item for item in range(40) if item not in unpack(content["cases"]["target"]))] += 7
    content["cases"]["item_popularity"] = pack(counts)


def checksum(content: dict[str, Any]) -> None:
    content["spec"]["dataset"]["files"]["own.csv"] = content["dataset"]["sources"]["own.csv"] = "0" * 64


def source(content: dict[str, Any]) -> None:
    content["dataset"]["sources"]["own.csv"] = "0" * 64


def protocol(content: dict[str, Any]) -> None:
    content["spec"]["dataset"]["options"]["protocol"] = "leave_one_out"
    content["policies"]["protocol"] = "leave one out"


def more_cases(content: dict[str, Any]) -> None:
    content["spec"]["evaluate"]["cases"] = 0
    content["cases"]["label"] = "all test windows"


def words(content: dict[str, Any]) -> None:
    content["labels"]["method"] = "state of the art"


def policy(content: dict[str, Any]) -> None:
    content["policies"]["items of the history"] = "excluded as recommendations"


def place(content: dict[str, Any]) -> None:
    """The data that the record was made up from, next to it."""
    content["spec"]["dataset"]["options"]["file"] = "own.csv"


def lines(content: dict[str, Any]) -> None:
    content["policies"]["items of the history"] = "excluded\n9 of 9 records agree"


def outline(content: dict[str, Any]) -> None:
    content["spec"]["recommender"]["loss"] = "msl"


def nameless(content: dict[str, Any]) -> None:
    content["spec"]["dataset"]["name"] = []


FORGERIES = {
    "data set of no name": (nameless, True, "is not a valid record: spec.*name"),
    "outline": (outline, True, "is not a valid record: spec.*loss"),
    "rank": (rank, False, r"seed 0 has rank \d+ for case 3, whose target stands"),
    "foreign case": (foreign, False, r"case 3 \(user u\d+, target Film \d+\) is not a test case of own by the"),
    "case left out": (dropped, False, "it has 11 cases, and there are 12 test cases of own"),
    "popularity": (popularity, False, r"its item_popularity is not what the training data gives: number \d+ is"),
    "checksum": (checksum, True, r"own.csv has sha256 000000000000 in the record and [0-9a-f]{12} here"),
    "list of checksums": (source, False, "the checksums of its data are not those of its spec"),
    "protocol": (protocol, True, "is not a test case of own by the protocol leave one out"),
    "selection of cases": (more_cases, True, r"it has 12 cases, and there are \d+ test cases"),
    "label": (words, False, "its labels has method: state of the art, and its spec makes it popularity"),
    "place": (place, True, "its spec says where data is on a machine: dataset.options.file"),
    "lines": (lines, False, "it says items of the history: excluded 9 of 9 records agree, and its spec means allowed"),
    "policy": (policy, False, "it says items of the history: excluded as recommendations, and its spec means allowed"),
}


@pytest.mark.parametrize("what", FORGERIES)
def test_a_forgery_is_named(board, what: str) -> None:
    edit, rename, sentence = FORGERIES[what]
    path = board.forge(board.ours, edit, rename)
    done = board.verify(str(path.relative_to(board.folder)))
    assert done.exit_code == 1, done.output
    assert re.search(f"mismatch: .*{sentence}", done.stdout), done.stdout
    assert "0 of 1 records agree" in done.stdout


def test_cases_are_a_sample_only_where_there_are_more(board) -> None:
    """Twelve of more are; with a limit above the number of windows all are there, whatever 0.10 said of that."""
    assert json.loads(board.ours.read_text())["cases"]["label"].endswith("a sample of 12")
    data = ("--dataset", "csv", "--data-dir", "own.csv", "--set", "evaluate.cases=5000")
    done = board.call("run", "--model", "popularity", *data, "--runs", "all")
    assert done.exit_code == 0, done.output
    (record,) = (board.folder / "all").glob("*/record.json")
    content = json.loads(record.read_text())
    label = content["cases"]["label"]
    assert "sample" not in label
    copy = board.folder / f"boards/records/{content['run']}.json"
    copy.write_bytes(record.read_bytes())
    assert "1 of 1 records agree" in board.verify(str(copy)).stdout
    older = "a sample of 5,000" if label == "all test windows" else f"{label}, a sample of 5,000"
    for said, agree in ((older, "1 of 1"), ("a sample of 7", "0 of 1")):
        board.forge(copy, lambda content, said=said: content["cases"].update(label=said))
        assert f"{agree} records agree" in board.verify(str(copy)).stdout


def test_an_external_record_is_held_to_the_same_data(board) -> None:
    path = board.forge(board.theirs, foreign)
    assert "is not a test case of own" in board.verify(str(path)).stdout
    path = board.forge(path, lambda content: content["labels"].update(decoder="topk"))
    done = board.verify(str(path))
    assert "the label of an external record's decoder is 'topk', not 'external'" in done.stdout


def test_an_edit_without_a_new_checksum_is_named(board) -> None:
    board.ours.write_text(board.ours.read_text().replace('"popularity"', '"Popularity"', 1))
    done = board.verify(str(board.ours))
    assert done.exit_code == 1
    assert "does not match its checksum" in done.stdout


def test_a_file_of_another_name_is_named(board) -> None:
    other = board.ours.rename(board.ours.with_name("best.json"))
    assert "mismatch: the file is called best.json and holds run own-popularity-topk" in board.verify(str(other)).stdout


def test_a_metric_edited_on_the_page_is_named(board) -> None:
    page = board.folder / "boards/own.md"
    (row,) = re.findall(r"^\| \d \| popularity \| – \| topk.*$", page.read_text(), re.MULTILINE)
    figure = re.findall(r"\d\.\d{4}", row)[0]
    page.write_text(page.read_text().replace(row, row.replace(figure, "0.9876", 1)))
    done = board.verify()
    assert done.exit_code == 1
    number = page.read_text().splitlines().index(row.replace(figure, "0.9876", 1)) + 1
    where, what = f"boards/own.md, line {number}", f"NDCG@10 of row {row[2]} popularity"
    assert f"{where}: {what} is 0.9876, and its record gives {figure}" in done.stdout
    assert done.stdout.count("mismatch") == 1


def test_lists_that_no_model_made_pass_until_a_seed_is_run_again(board) -> None:
    def lists(content: dict[str, Any]) -> None:
        """Every target first, in lists and in ranks."""
        target, seed = unpack(content["cases"]["target"]), content["seeds"][0]
        top = unpack_lists(seed["top"])
        for row, item in zip(top, target, strict=True):
            row[:] = [item, *[other for other in row if other != item][:9]]
        seed["top"], seed["ranks"] = pack_lists(top), pack(target * 0 + 1)

    path = str(board.forge(board.ours, lists))
    assert board.verify(path).exit_code == 0
    done = board.verify(path, "--rerun", "1")
    assert done.exit_code == 1
    assert "mismatch: ranks DIFFER from the committed ones for seed 0" in done.stdout


def test_an_honest_seed_run_again_agrees(board) -> None:
    done = board.verify(str(board.ours), "--rerun", "1")
    assert done.exit_code == 0, done.output
    assert "note: ranks identical to the committed ones (seed 0)" in done.stdout
    again = board.verify(str(board.ours), "--rerun", "1")
    assert "holds an earlier rerun" in again.stderr


@pytest.mark.skipif(shutil.which("ssh-keygen") is None, reason="no ssh-keygen")
def test_signatures(board) -> None:
    key, path = board.folder / "key", str(board.ours)
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
    subprocess.run(["ssh-keygen", "-q", "-Y", "sign", "-n", "recbench", "-f", key, path], check=True)
    assert "note: signed by a key that allowed_signers does not name: SHA256:" in board.verify(path).stdout
    signers = board.folder / "boards/allowed_signers"
    signers.write_text(f"ann@lab.example {(board.folder / 'key.pub').read_text()}")
    assert "note: signed by ann@lab.example (SHA256:" in board.verify(path).stdout
    ann = signers.read_text()
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", board.folder / "other"], check=True)
    signers.write_text(f"bo@lab.example {(board.folder / 'other.pub').read_text()}")
    assert "note: signed by a key that allowed_signers does not name: SHA256:" in board.verify(path).stdout
    signers.write_text(ann)
    board.ours.write_bytes(board.ours.read_bytes() + b"\n")
    done = board.verify(path)
    assert done.exit_code == 1
    assert "json.sig is not a signature of this file" in done.stdout
    added = board.call("leaderboard", "add", path, "--records", "boards/second")
    assert added.exit_code == 0, added.output
    assert (board.folder / "boards/second" / f"{board.ours.name}.sig").is_file()
    board.ours.with_name(f"{board.ours.name}.sig").unlink()
    board.call("leaderboard", "add", path, "--records", "boards/second")  # a signature of something else must go
    assert not (board.folder / "boards/second" / f"{board.ours.name}.sig").exists()


def test_a_record_says_who_made_it_and_the_page_too(board, monkeypatch: pytest.MonkeyPatch) -> None:
    data = ("--dataset", "csv", "--data-dir", "own.csv", "--set", "evaluate.cases=12")
    run = ("run", "--model", "popularity", "--device", "cpu", *data, "--again")
    assert read(board.ours).author == ""
    assert board.call(*run, "--author", "Ann <b>").exit_code == 0
    made = board.folder / "runs" / board.ours.stem / "record.json"
    assert read(made).author == "Ann <b>"
    monkeypatch.setenv("RECBENCH_AUTHOR", "Bo")
    assert board.call("evaluate", "--rankings", "lists.csv", "--name", "Theirs", *data).exit_code == 0
    assert read(board.folder / "runs" / board.theirs.stem / "record.json").author == "Bo"
    page = (board.folder / "runs/pages/own.md").read_text()
    assert "popularity + topk: by Ann \\<b>" in page
    assert "Theirs + external: by Bo; external: lists from other code, lists.csv (sha256 " in page
    long = board.call(*run, "--author", "x" * 201)
    assert long.exit_code == 2
    assert "at most 200 characters" in long.stderr
