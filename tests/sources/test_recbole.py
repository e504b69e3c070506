"""The source recbole: atomic files, and every way in which they can be wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from recbench.errors import DataError, UsageError
from recbench.interfaces import SilentReporter
from recbench_plugins.sources.recbole import Recbole, RecboleOptions

ROWS = [(f"u{u}", str(i), str(1 + i % 5), str(10 * u + i)) for u in range(8) for i in range(6)]
HEADER = "user_id:token item_id:token rating:float timestamp:float"
ITEMS = [(str(i), f"T {i}", "1999") for i in range(6)]
ITEM_HEADER = "item_id:token movie_title:token_seq release_year:token"


def run(folder: Path, rows=ROWS, header=HEADER, items=ITEMS, item_header=ITEM_HEADER, **options):
    write(folder / "ml.inter", header, rows)
    write(folder / "ml.item", item_header, items)
    return Recbole(RecboleOptions(**{"dir": str(folder), "title": "movie_title", **options})).prepare(SilentReporter())


def write(path: Path, header: str, rows) -> None:
    path.write_text("\n".join("\t".join(row) for row in [header.split(), *rows]) + "\n")


def test_titles_years_and_checksums(tmp_path):
    split = run(tmp_path, year="release_year")
    assert split.catalog.titles[0] == "T 0 (1999)"
    assert [len(part) for part in (split.train, split.valid, split.test)] == [6, 1, 1]
    assert set(split.sources) == {"ml.inter", "ml.item"}


def test_low_ratings_are_left_out_and_counted(tmp_path):
    rows = [*ROWS, *((f"u{u}", "5", "0.5", "999") for u in range(8))]
    assert run(tmp_path, rows=rows, minimum_rating=1).facts["rows_with_a_lower_rating"] == 8
    assert run(tmp_path, rows=rows, minimum_rating=1).test.digest() == run(tmp_path).test.digest()
    with pytest.raises(DataError, match=r"ml\.inter: no rating reaches 9; lower minimum_rating"):
        run(tmp_path, minimum_rating=9)


def test_times_written_as_floats(tmp_path):
    rows = [(u, i, r, f"{float(t):.6e}") for u, i, r, t in ROWS]
    assert run(tmp_path, rows=rows).train.time.tolist() == run(tmp_path).train.time.tolist()


def test_ml_100k_as_recbole_ships_it(tmp_path):
    recbole = pytest.importorskip("recbole")
    folder = Path(recbole.__file__).parent / "dataset_example" / "ml-100k"
    options = RecboleOptions(dir=str(folder), title="movie_title", year="release_year")
    split = Recbole(options).prepare(SilentReporter())
    assert (len(split.users), len(split.catalog), len(split.test)) == (943, 1349, 8986)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"header": "user item_id:token rating:float timestamp:float"}, r"ml\.inter has no column 'user_id:token'"),
        ({"header": HEADER.replace("user_id:token", "user_id:float")}, r"ml\.inter, line 1: .*not of type token"),
        ({"header": HEADER.replace("user_id:token", "user_id")}, r"line 1: .*'user_id' is not of type token"),
        ({"item_header": "item_id:token name:token_seq y:token"}, r"ml\.item has no column 'movie_title:token'"),
        ({"rows": []}, r"ml\.inter is empty"),
        ({"items": ITEMS[1:]}, r"ml\.inter, line 2: item '0' has no title in .*ml\.item"),
        ({"rows": [*ROWS, ("u0", "1", "1", "nan")]}, r"ml\.inter, line 50: the timestamp 'nan' is not a number"),
        ({"rows": [*ROWS, ("u0", "1", "1", "1.5")]}, r"line 50: the timestamp '1\.5' is not a whole number"),
        ({"rows": [*ROWS, ("u0", "1", "1e999", "1")], "minimum_rating": 1}, "line 50: the rating '1e999' is not a num"),
        ({"rows": [*ROWS, ("u0", "1", "1")]}, r"ml\.inter, line 50: 3 fields where the header has 4"),
        ({"rows": [*ROWS, ("", "1", "1", "1")]}, r"line 50: the user_id is empty"),
        ({"item": "user_id"}, "name the column 'user_id'"),
    ],
)
def test_malformed_files(tmp_path, change, message):
    with pytest.raises((DataError, UsageError), match=message):
        run(tmp_path, **change)


def test_which_files(tmp_path):
    with pytest.raises(UsageError, match="The data set recbole needs --data-dir"):
        Recbole(RecboleOptions()).inputs()
    with pytest.raises(DataError, match="none is not a directory"):
        Recbole(RecboleOptions(dir=str(tmp_path / "none"))).inputs()
    with pytest.raises(DataError, match=r"\.inter is missing"):
        Recbole(RecboleOptions(dir=str(tmp_path))).inputs()
    run(tmp_path)
    (tmp_path / "other.inter").write_text("x")
    with pytest.raises(UsageError, match=r"holds several data sets \(ml, other\): choose one by dataset\.name"):
        run(tmp_path)
    assert len(run(tmp_path, name="ml").catalog) == 6
