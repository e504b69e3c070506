"""Ranked lists from files: the figures as by hand, and one sentence with file and line for whatever is wrong."""

from __future__ import annotations

import json
import math
from collections import Counter
from pathlib import Path

import pandas as pd
import pytest

from recbench.evaluation import seed_means
from recbench.results import read


def ndcg(desk, seed: int) -> float:
    """NDCG@10 from the files alone."""
    ranks = [items.index(case["target"]) + 1 if case["target"] in items else 0
             for case, items in zip(desk.cases, desk.lists[seed], strict=True)]  # fmt: skip
    return sum(1 / math.log2(rank + 1) for rank in ranks if rank) / len(ranks)


def test_the_record_holds_the_lists_and_their_figures(desk) -> None:
    done = desk.evaluate(desk.write("lists.csv", desk.plain()), more=("--author", "A. N. Other"))
    assert done.exit_code == 0, done.output
    record = desk.record()
    assert record.external
    assert record.author == "A. N. Other"
    assert (record.labels.method, record.labels.decoder) == ("Their Model", "external")
    means = seed_means(record.case_results())["NDCG@10"]
    assert means.tolist() == pytest.approx([ndcg(desk, 4), ndcg(desk, 7)])
    first = [desk.items[item] for item in record.seeds[0].top[2]]
    assert first == desk.lists[4][2]
    assert f"{means.mean():.4f}" in done.stdout
    assert "external" in desk.call("table", "own").stdout


def test_the_cases_are_those_of_a_run_and_can_be_compared(desk) -> None:
    assert desk.call("run", "--model", "popularity", *desk_data()).exit_code == 0
    assert desk.evaluate(desk.write("lists.csv", desk.plain())).exit_code == 0
    theirs, ours = (str(next((desk.folder / "runs").glob(f"own-{who}*"))) for who in ("external", "popularity"))
    assert read(Path(ours) / "record.json").cases.digest == read(Path(theirs) / "record.json").cases.digest
    compared = desk.call("compare", theirs, ours)
    assert compared.exit_code == 0, compared.output
    assert "A minus B" in compared.stdout
    for words in (["add", theirs, ours, "--records", "boards/records"],
                  ["build", "--records", "boards/records", "--out", "boards"]):  # fmt: skip
        assert desk.call("leaderboard", *words).exit_code == 0
    assert "| Their Model | – | external |" in (desk.folder / "boards/own.md").read_text()
    rerun = desk.call("leaderboard", "rerun", "--records", "boards/records", "--data-dir", "own=own.csv")
    assert "made by other code" in rerun.stdout
    assert rerun.exit_code == 0
    assert "ranks identical" in rerun.stdout


def desk_data() -> tuple[str, ...]:
    return ("--dataset", "csv", "--data-dir", "own.csv", "--device", "cpu", "--set", "evaluate.cases=12")


def test_every_kind_of_file_gives_the_same_ranks(desk) -> None:
    def ranks() -> list[list[int]]:
        return [seed.ranks.tolist() for seed in desk.record().seeds]

    rows = desk.plain()
    assert desk.evaluate(desk.write("lists.csv", rows)).exit_code == 0
    expected = ranks()
    assert any(any(seed) for seed in expected)
    frame = pd.DataFrame(rows, columns=["case", "seed", "rank", "item"])
    frame.to_parquet(desk.folder / "a.parquet")
    frame.drop(columns="rank").to_csv(desk.folder / "b.tsv", sep="\t", index=False)
    frame.assign(score=1 / frame["rank"]).drop(columns="rank").sample(frac=1, random_state=1).to_parquet(
        desk.folder / "c.parquet"
    )
    titles = {row["item"]: row["title"] for row in desk.rows("out/items.csv")}
    frame.assign(title=frame["item"].map(titles)).drop(columns="item").to_csv(desk.folder / "d.csv", index=False)
    for name in ("a.parquet", "b.tsv", "c.parquet", "d.csv"):
        done = desk.evaluate(name)
        assert done.exit_code == 0, done.output
        assert "replaced" in done.stderr
        assert ranks() == expected, name
    for seed in desk.lists:
        lines = [f"{c} Q0 {i} {r} {-r} tag\n" for c, s, r, i in rows if s == seed]
        (desk.folder / f"{seed}.run").write_text("".join(lines))
    assert desk.evaluate("4.run", "7.run").exit_code == 0
    assert ranks() == expected
    assert [seed.seed for seed in desk.record().seeds] == [1, 2]  # a run file says no seed


def test_users_name_cases_where_each_has_one(desk) -> None:
    flags = ("--dataset", "csv", "--data-dir", "own.csv", "--set", "dataset.protocol=leave_one_out")
    assert desk.call("data", "cases", "csv", "--out", "one", *flags[2:]).exit_code == 0
    users = [row["user"] for row in desk.rows("one/cases.csv")]
    assert len(set(users)) == len(users)
    assert "target" not in desk.rows("one/cases.csv")[0]
    name = desk.write("u.csv", [(user, item) for user in reversed(users) for item in desk.items[:10]], "user,item")
    done = desk.call("evaluate", "--rankings", name, "--name", "x", *flags)
    assert done.exit_code == 0, done.output
    assert desk.record().policies["protocol"] == "leave one out"
    counts = Counter(case["user"] for case in desk.cases)
    (user, n) = counts.most_common(1)[0]
    assert n > 1
    several = desk.evaluate(desk.write("u.csv", [(user, item) for item in desk.items[:10]], "user,item"))
    assert several.exit_code == 1
    assert f"user '{user}' has {n} test cases, so a column 'case' must say which" in several.stderr
    assert (
        "line 2: user 'nobody' has no test case"
        in desk.evaluate(desk.write("u.csv", [("nobody", "i1")], "user,item")).stderr
    )
    of_other = [(number, "nobody", "i1") for number in range(len(desk.cases))]
    assert (
        f"case 0 is of user {desk.cases[0]['user']}, not of 'nobody'"
        in desk.evaluate(desk.write("u.csv", of_other, "case,user,item")).stderr
    )


def edited(desk, row: int, **changes: object) -> str:
    """The lists with one row changed; the header is line 1, so row 0 is line 2."""
    rows = [dict(zip(("case", "seed", "rank", "item"), values, strict=True)) for values in desk.plain()]
    rows[row] |= changes
    return desk.write("lists.csv", [list(one.values()) for one in rows])


WRONG = {
    "unknown item": ({"item": "i77"}, "line 14: item 'i77' is not in the catalogue"),
    "foreign case": ({"case": 12}, "line 14: case 12 is not in the test set, whose cases are 0 to 11"),
    "no number": ({"case": "one"}, "line 14: case 'one' is not a whole number"),
    "rank twice": ({"rank": 2}, "line 14: case 1 has rank 2 twice"),
    "gap": ({"rank": 13}, "line 15: rank 4 of case 1 leaves a gap; ranks go 1, 2, 3"),
    "seed": ({"seed": -1}, "line 14: a seed must lie between"),
}


@pytest.mark.parametrize("what", WRONG)
def test_a_wrong_row_is_named(desk, what: str) -> None:
    change, sentence = WRONG[what]
    done = desk.evaluate(edited(desk, 12, **change))
    assert done.exit_code == 1
    assert sentence in done.stderr
    assert "lists.csv" in done.stderr
    assert not (desk.folder / "runs").exists()


def test_an_item_twice_is_named(desk) -> None:
    done = desk.evaluate(edited(desk, 15, item=desk.lists[4][1][0]))
    assert f"line 17: case 1 lists item {desk.lists[4][1][0]} twice" in done.stderr


def test_a_missing_case_and_a_short_list_are_named(desk) -> None:
    rows = desk.plain()
    name = desk.write("lists.csv", [row for row in rows if row[:2] != [3, 7]])
    assert f"case 3 (user {desk.cases[3]['user']}) has no list for seed 7" in desk.evaluate(name).stderr
    name = desk.write("lists.csv", [row for row in rows if row[:3] != [3, 4, 10]])
    assert "line 40: the list of case 3 ends after 9 items, but that of case 0 has 10" in desk.evaluate(name).stderr
    name = desk.write("lists.csv", [row for row in rows if row[2] < 6])
    assert "its lists have 5 items, and the metrics need 10" in desk.evaluate(name).stderr


def test_scores_must_be_numbers_that_agree_with_ranks(desk) -> None:
    rows = [[case, item, 10 - place] for case, items in enumerate(desk.lists[4]) for place, item in enumerate(items)]
    rows[5][2] = math.nan
    assert (
        "line 7: score 'nan' is not a finite number"
        in desk.evaluate(desk.write("lists.csv", rows, "case,item,score")).stderr
    )
    lines = [f"{c} Q0 {i} {r} {r} tag\n" for c, s, r, i in desk.plain() if s == 4]
    (desk.folder / "up.run").write_text("".join(lines))
    rises = "up.run, line 2: rank 2 of case 0 has a higher score than the rank before it"
    assert rises in desk.evaluate("up.run").stderr
    (desk.folder / "two.run").write_text("".join([*lines[:-1], lines[-1].replace("tag", "other")]))
    assert "two.run, line 120: tag 'other' after 'tag'; a file holds one run" in desk.evaluate("two.run").stderr


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("a.csv", "", "a.csv is empty"),
        ("a.csv", "case,item\n", "a.csv is empty: there is no row"),
        ("a.csv", "item\ni1\n", "a.csv has no column 'case'"),
        ("a.csv", "case,score\n1,2\n", "needs either a column 'item'"),
        ("a.run", "\n", "a.run is empty"),
        ("a.run", "1 Q0 i1\n", "a.run, line 1: 3 fields, where a TREC run has 6"),
        ("a.parquet", "no", "a.parquet is not a parquet file"),
        ("a.json", "[]", "must end in one of"),
    ],
)
def test_a_file_of_another_kind_is_refused(desk, name: str, content: str, sentence: str) -> None:
    (desk.folder / name).write_text(content)
    done = desk.evaluate(name)
    assert done.exit_code in (1, 2)
    assert sentence in done.stderr


def test_parquet_is_checked_by_row(desk) -> None:
    frame = pd.DataFrame(desk.plain(), columns=["case", "seed", "rank", "item"])
    frame.loc[12, "item"] = None
    frame.to_parquet(desk.folder / "a.parquet")
    assert "a.parquet, row 13: the item is missing" in desk.evaluate("a.parquet").stderr
    frame.assign(item="i1", case=frame["case"].astype(float)).to_parquet(desk.folder / "a.parquet")
    assert "a.parquet, row 1: case 0.0 is a decimal" in desk.evaluate("a.parquet").stderr


def test_seeds_of_several_files_must_differ(desk) -> None:
    desk.write("a.csv", desk.plain())
    desk.write("b.csv", [row for row in desk.plain() if row[1] == 7])
    assert "b.csv and a.csv both hold lists of seed 7" in desk.evaluate("a.csv", "b.csv").stderr


def test_items_of_the_history_are_refused_where_the_protocol_excludes_them(desk) -> None:
    inside = json.loads(desk.cases[0]["items"])[-1]
    rows = desk.plain()
    old = desk.lists[4][0]
    place = old.index(inside) if inside in old else 0
    rows[place][3] = inside
    name = desk.write("lists.csv", rows)
    assert desk.evaluate(name).exit_code == 0
    done = desk.evaluate(name, more=("--set", "evaluate.history=excluded"))
    assert done.exit_code == 1
    assert "is in the history of case" in done.stderr


def test_options_of_something_to_run_are_refused(desk) -> None:
    done = desk.evaluate(desk.write("lists.csv", desk.plain()), more=("--set", "loss.tau=2"))
    assert done.exit_code == 2
    assert "no group 'loss'" in done.stderr
    unnamed = desk.call("evaluate", "--rankings", "lists.csv", "--name", "…", *desk_data()[:4])
    assert "no letter or digit" in unnamed.stderr


def test_what_needs_the_model_says_that_there_is_none(desk) -> None:
    assert desk.evaluate(desk.write("lists.csv", desk.plain())).exit_code == 0
    run = desk.record().run
    for words in (["show", run], ["recommend", run, "--history", "Film 1"], ["export", run, "x"]):
        done = desk.call(*words)
        assert done.exit_code in (1, 2), words
        assert "made by other code" in done.stderr, done.output
    assert desk.call("store").exit_code == 0


def test_the_windows_to_train_on_are_those_of_a_run(desk) -> None:
    from recbench import datasets

    split = datasets.load("csv", str(desk.folder / "own.csv"))
    rows = desk.rows("out/train.csv")
    assert len(rows) == len(split.train)
    for row, user, target, history in zip(
        rows, split.train.users, split.train.target, split.train.history, strict=True
    ):
        items = [split.catalog.ids.index(item) for item in json.loads(row["items"])]
        assert items == [*history[history >= 0].tolist(), int(target)]
        assert row["user"] == split.users[user]
