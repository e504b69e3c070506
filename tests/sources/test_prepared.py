"""The source prepared: small releases and their faults; then the official Book and Toy, where they are at hand."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from recbench.data.audit import audit
from recbench.errors import DataError, UsageError
from recbench.interfaces import SilentReporter
from recbench.types import PAD
from recbench_plugins.sources.prepared import Prepared, PreparedOptions

RELEASE = Path(__file__).parents[2].parent / "shared" / "data" / "amazon-2014-msl"
official = pytest.mark.skipif(not RELEASE.is_dir(), reason="the official data is not beside the clone")

TITLES = {str(i): f"T{i}" for i in range(1, 9)}
TRAIN = [(5, [1 + t % 8, 1 + t // 8, 3], 10 * t) for t in range(20)]  # the latest tenth: times 180 and 190
TEST = [(5, [2, 3, 4], 500), (6, [2, 8], 500)]


def write(folder, name, rows, header="user_id,item_ids,timestamp"):
    lines = [row if isinstance(row, str) else f'{row[0]},"{row[1]}",{row[2]}' for row in rows]
    (folder / name).write_text("\n".join([header, *lines]) + "\n")


@pytest.fixture
def release(tmp_path):
    (tmp_path / "id2name4Rec.json").write_text(json.dumps(TITLES))
    write(tmp_path, "train.csv", TRAIN)
    write(tmp_path, "test.csv", TEST)
    return tmp_path


def run(folder, **options):
    return Prepared(PreparedOptions(dir=str(folder), **options)).prepare(SilentReporter())


def test_latest_tenth_becomes_validation_and_leaves_the_sample(release):
    write(release, "train_4.csv", [TRAIN[19], TRAIN[3], TRAIN[0], TRAIN[18]])
    split = run(release)
    assert split.valid.time.tolist() == [180, 190]
    assert split.train.time.tolist() == list(range(0, 180, 10))
    assert split.train.time[split.sample].tolist() == [0, 30]
    assert split.facts["sample_rows_in_validation"] == 2
    assert split.users == ("5", "6")
    assert split.test.history[1].tolist() == [PAD] * 9 + [1]
    assert set(split.sources) == {"id2name4Rec.json", "train.csv", "train_4.csv", "test.csv"}
    audit(split)


def test_validation_file_is_used_where_there_is_one(release):
    write(release, "valid.csv", [(5, [1, 2], 300)])
    split = run(release)
    assert (len(split.train), len(split.valid)) == (20, 1)
    assert split.sample is None


def test_the_sample_stands_in_for_a_missing_train_file(release):
    (release / "train.csv").rename(release / "train_20.csv")
    split = run(release)
    assert (len(split.train), len(split.valid)) == (18, 2)
    assert split.sample is None


def test_rows_that_train_holds_twice_may_be_sampled_twice(release):
    write(release, "train.csv", [*TRAIN, TRAIN[0]])
    write(release, "train_2.csv", [TRAIN[0], TRAIN[0]])
    assert run(release).sample.tolist() == [0, 1]
    write(release, "train_2.csv", [TRAIN[0]] * 3)
    with pytest.raises(DataError, match=r"train_2\.csv, line 4: this window of user '5' is not in train\.csv, or not"):
        run(release)


def test_ties_in_time_are_broken_by_user_then_position(release):
    write(release, "train.csv", [(10, [1, 2], 0), (9, [3, 4], 0), (10, [5, 6], 0), (9, [7, 8], 1)])
    split = run(release)
    assert split.users == ("5", "6", "9", "10")
    assert split.train.target.tolist() == [3, 1, 5]
    assert split.valid.target.tolist() == [7]


def test_merged_namesakes(release):
    (release / "id2name4Rec.json").write_text(json.dumps({**TITLES, "4": "T1"}))
    split = run(release, namesakes="merged")
    assert len(split.catalog) == 7
    assert split.test.target[0] == 0
    assert run(release).catalog.titles[3] == "T1 (2)"


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("5,oops,400", "item_ids 'oops' is not a list like"),
        ("5,7,400", "item_ids '7' is not a list like"),
        ('5,"[1, 2",400', "is not a list like"),
        ("5," + "[" * 5000 + ",400", "is not a list like"),
        ('5,"[1, 99]",400', r"item 99 has no title in id2name4Rec\.json"),
        ('5,"[1, 2.0]",400', r"item '2\.0' is not a whole number"),
        ('5,"[1, true]",400', "item 'true' is not a whole number"),
        ('5,"[1, ""2""]",400', "is not a whole number"),
        ("5,[1],400", "a window of 1 items, where 2 to 11 are allowed"),
        (f'5,"{[1] * 12}",400', "a window of 12 items, where 2 to 11 are allowed"),
        ('5,"[1, 2]",late', "timestamp 'late' is not a whole number"),
        (',"[1, 2]",400', "the user_id is empty"),
        ('5,"[1, 2]"', "2 fields where the header has 3"),
        ('5,"[1, 2', "unexpected end of data"),
    ],
)
@pytest.mark.parametrize("name", ["train.csv", "test.csv"])
def test_a_malformed_row_is_named(release, name, row, message):
    write(release, name, [TRAIN[0], row])
    with pytest.raises(DataError, match=rf"{name}, line [34]: .*{message}"):
        run(release)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "is not valid JSON"),
        ("[" * 100_000, "is not valid JSON"),
        ("[1]", "must hold an object that maps item ids to titles"),
        ("{}", "must hold an object .* with at least one item"),
        ('{"x1": "A"}', "item id 'x1' is not a whole number"),
        ('{"1": "A", "1": "B"}', "item '1' occurs twice"),
        ('{"1": null}', "the title of item 1 is 'null', not text"),
    ],
)
def test_a_malformed_title_file(release, content, message):
    (release / "id2name4Rec.json").write_text(content)
    with pytest.raises(DataError, match=rf"id2name4Rec\.json:? .*{message}"):
        run(release)


@pytest.mark.parametrize("name", ["id2name4Rec.json", "train.csv", "test.csv"])
def test_a_missing_file(release, name):
    (release / name).unlink()
    with pytest.raises(DataError, match=rf"{name} is missing"):
        run(release)


def test_other_faults(release, tmp_path):
    with pytest.raises(UsageError, match="The data set prepared needs --data-dir"):
        run("")
    with pytest.raises(DataError, match="nowhere is not a directory"):
        run(tmp_path / "nowhere")
    with pytest.raises(UsageError, match=r"train_7\.csv is missing, but the option sample asks for it"):
        run(release, sample=7)
    write(release, "test.csv", [])
    with pytest.raises(DataError, match=r"test\.csv is empty"):
        run(release)
    write(release, "test.csv", TEST, header="user_id,items,timestamp")
    with pytest.raises(DataError, match=r"test\.csv has no column 'item_ids'"):
        run(release)
    write(release, "test.csv", TEST)
    write(release, "train_1.csv", [(5, [4, 4], 0)])
    with pytest.raises(DataError, match=r"train_1\.csv, line 2: this window of user '5' is not in train\.csv"):
        run(release)
    write(release, "train_1.csv", [TRAIN[19]])
    with pytest.raises(DataError, match=r"train_1\.csv: every row lies in the latest tenth"):
        run(release)
    write(release, "train_2.csv", TRAIN[:2])
    with pytest.raises(UsageError, match=r"several samples .train_1\.csv, train_2\.csv.: choose one"):
        run(release)
    assert run(release, sample=2).sample.tolist() == [0, 1]
    (release / "train_2.csv").unlink()
    (release / "train_1.csv").unlink()
    write(release, "train.csv", TRAIN[:1])
    with pytest.raises(DataError, match="1 training window cannot give up its latest tenth"):
        run(release)


@official
def test_book():
    split = run(RELEASE / "book")
    assert (len(split.catalog), len(split.train), len(split.valid), len(split.test)) == (6344, 31_554, 3_506, 4_383)
    assert split.facts["entities_decoded"] == 166
    assert (split.facts["empty_titles"], split.facts["namesake_items"]) == (1, 9)
    assert split.facts["sample_rows_in_validation"] == 1_038
    assert len(split.sample) == 8_962
    counts = audit(split)
    assert counts["repeat_share"] == pytest.approx(0.003, abs=5e-4)
    # facts.md counts targets as cold by the whole train.csv; without its latest tenth more of them are.
    seen = np.union1d(
        np.append(split.train.history, split.train.target), np.append(split.valid.history, split.valid.target)
    )
    assert (~np.isin(split.test.target, seen)).mean() == pytest.approx(0.64, abs=0.005)
    assert counts["cold_share"] == pytest.approx(0.683, abs=5e-4)


@official
def test_toy():
    split = run(RELEASE / "toy")
    assert (len(split.catalog), len(split.train), len(split.valid), len(split.test)) == (11_758, 5_000, 4_793, 4_794)
    assert split.facts["entities_decoded"] == 1_759
    assert (split.facts["namesake_titles"], split.facts["namesake_items"]) == (57, 63)
    assert audit(split)["test_users"] == 3_428
    assert (split.test.history_length == 10).mean() == pytest.approx(0.52, abs=0.005)
