"""Seeds of several machines become one record, or the difference is named and nothing is written."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from recbench.files import canonical, digest
from recbench.results import read, spec_hash
from recbench.results.packing import pack, pack_lists, unpack, unpack_lists

Edit = Callable[[dict[str, Any]], None]


def part(board, folder: str, seeds: list[int], edit: Edit = lambda content: None) -> str:
    """The committed record as another machine would have made it, with these seeds."""
    content = json.loads(board.ours.read_text())
    del content["sha256"]
    content["command"] = content["command"].rpartition(" --seeds ")[0] + f" --seeds {','.join(map(str, seeds))},"
    content["seeds"] = [{**content["seeds"][0], "seed": seed} for seed in seeds]
    edit(content)
    content["spec_hash"] = spec_hash(content["spec"])
    place = board.folder / folder / f"{content['run']}.json"
    place.parent.mkdir(exist_ok=True)
    place.write_text(canonical({**content, "sha256": digest(content)}))
    return folder


def test_seeds_of_two_machines_become_one_record(board) -> None:
    first = part(board, "a", [1, 3], lambda content: content.update(author="Ann"))
    second = part(board, "b", [2, 3], lambda content: content.update(author="Bo"))
    done = board.call("leaderboard", "merge", first, second, "--out", "all")
    assert done.exit_code == 0, done.output
    (path,) = (board.folder / "all").glob("*.json")
    record = read(path)
    assert [seed.seed for seed in record.seeds] == [1, 2, 3]
    assert record.command.endswith("--seeds 3")
    assert record.author == "Ann, Bo"
    assert f"written: all/{path.name} (seeds 1, 2, 3; 2 files)" in done.stdout
    again = board.call("leaderboard", "merge", first, "--out", "all")
    assert again.exit_code == 2
    assert "add it to the folders" in again.stderr
    assert board.call("leaderboard", "merge", first, "all", "--out", "all").exit_code == 0
    assert len(read(path).seeds) == 3


def test_lists_of_other_seeds_leave_a_record_that_can_be_read(board) -> None:
    ours = json.loads(board.ours.read_text())
    top, target = unpack_lists(ours["seeds"][0]["top"]), unpack(ours["cases"]["target"])
    cases, histories = (ours["examples"][name][:2] for name in ("cases", "histories"))
    needed = [{*history, int(target[c]), *top[c].tolist()} for c, history in zip(cases, histories, strict=True)]
    titles = {str(item): ours["examples"]["titles"][str(item)] for item in sorted(set.union(*needed))}
    foreign = next(item for item in range(40) if str(item) not in titles)

    def two_examples(content: dict[str, Any]) -> None:
        content["examples"] = {"cases": cases, "histories": histories, "titles": titles}

    def other_lists(content: dict[str, Any]) -> None:
        """The first example's list holds an item without a title: only the second is an example here."""
        own = {item: title for item, title in titles.items() if int(item) in needed[1]}
        content["examples"] = {"cases": cases[1:], "histories": histories[1:], "titles": own}
        row, ranks = cases[0], unpack(ours["seeds"][0]["ranks"])
        top[row] = [foreign, *[item for item in range(40) if item not in (target[row], foreign)][:9]]
        ranks[row] = 0
        content["seeds"] = [{**content["seeds"][0], "top": pack_lists(top), "ranks": pack(ranks)}]

    first, second = part(board, "a", [1], two_examples), part(board, "b", [2], other_lists)
    done = board.call("leaderboard", "merge", first, second, "--out", "all")
    assert done.exit_code == 0, done.output
    shown = read(next((board.folder / "all").glob("*.json"))).examples
    assert shown is not None
    assert shown.cases == (cases[1],)
    assert {int(item) for item in shown.titles} == needed[1]
    third = part(board, "c", [3], lambda content: content.pop("examples"))
    assert board.call("leaderboard", "merge", first, third, "--out", "other").exit_code == 0
    assert read(next((board.folder / "other").glob("*.json"))).examples is None


def edit_spec(content: dict[str, Any]) -> None:
    content["spec"]["evaluate"]["validation_cases"] = 7


def edit_source(content: dict[str, Any]) -> None:
    content["dataset"]["sources"]["own.csv"] = "0" * 64


def edit_code(content: dict[str, Any]) -> None:
    content["plugins"][0]["code"] = "abc"


def edit_version(content: dict[str, Any]) -> None:
    content["seeds"][0]["environment"]["versions"]["numpy"] = "1.0"


def edit_cases(content: dict[str, Any]) -> None:
    content["cases"]["digest"] = "0" * 64


def edit_budget(content: dict[str, Any]) -> None:
    content["budget"]["training"] = "much"


def edit_lists(content: dict[str, Any]) -> None:
    content["seeds"][0]["seed"] = 1
    content["seeds"][0]["top"] = {**content["seeds"][0]["top"]}
    top, target = unpack_lists(content["seeds"][0]["top"]), unpack(content["cases"]["target"])
    top[0] = [item for item in range(40) if item != target[0]][:10]
    ranks = unpack(content["seeds"][0]["ranks"])
    ranks[0] = 0
    content["seeds"][0] |= {"top": pack_lists(top), "ranks": pack(ranks)}


DIFFERENCES: dict[str, tuple[Edit, str]] = {
    "spec": (edit_spec, "spec.evaluate.validation_cases is 2000 and 7"),
    "data": (edit_source, "sha256 of own.csv is"),
    "code": (edit_code, "the code of backbone popularity is"),
    "version": (edit_version, "they were made with other versions (numpy 1.0, numpy "),
    "cases": (edit_cases, "they have other test cases"),
    "budget": (edit_budget, "their budget differ"),
    "lists": (edit_lists, "seed 1 has other lists"),
}


@pytest.mark.parametrize("what", DIFFERENCES)
def test_a_difference_is_named_and_nothing_is_written(board, what: str) -> None:
    edit, sentence = DIFFERENCES[what]
    done = board.call("leaderboard", "merge", part(board, "a", [1]), part(board, "b", [2], edit), "--out", "all")
    assert done.exit_code == 1
    assert "cannot be joined" in done.stderr
    assert sentence in done.stderr, done.stderr
    assert not (board.folder / "all").exists()


def test_folders_of_runs_and_empty_folders(board) -> None:
    done = board.call("leaderboard", "merge", "runs", "--out", "all")
    assert done.exit_code == 0, done.output
    assert len(list((board.folder / "all").glob("*.json"))) == 2
    (board.folder / "nothing").mkdir()
    assert "nothing holds no record" in board.call("leaderboard", "merge", "nothing").stderr
    gone = board.call("leaderboard", "merge", "gone")
    assert (gone.exit_code, gone.stderr) == (2, "recbench: gone does not exist.\n")
    joined = board.call("leaderboard", "merge", "runs", "boards/records", "--out", "boards/records")
    assert joined.exit_code == 0, joined.output  # they are the same files
    board.forge(board.theirs, lambda content: content.update(author="Ann"))
    other = board.call("leaderboard", "merge", "runs", "boards/records", "--out", "boards/records")
    assert "external lists are joined by a single recbench evaluate" in other.stderr
