"""Every layout gives the same data, and each way in which its files can be wrong is a sentence or a count."""

from __future__ import annotations

import gzip
import json
import os
import zipfile

import pytest

from recbench.data.raw import files
from recbench.data.raw.layouts import LAYOUTS
from recbench.errors import DataError, UsageError

GOOD = {"reviewerID": "1", "asin": "1", "overall": 5.0, "unixReviewTime": 1}


@pytest.mark.parametrize("name", LAYOUTS)
def test_every_layout_gives_the_same_data(name, raw, tmp_path):
    for number, release in enumerate(raw.releases[name]):
        folder = tmp_path / str(number)
        folder.mkdir()
        result = raw.run(name, release(folder))
        unit = 1000 if max(result.time) > 10**9 else 1
        found = [
            (result.users[u], result.items[i], int(t) // unit)
            for u, i, t in zip(result.user, result.item, result.time, strict=True)
        ]
        assert found == [row[:3] for row in raw.rows]
        assert result.titles == [f"Café & {i}" for i in range(1, 7)]
        assert result.counts["interactions"] == 48
        assert result.counts["incomplete_rows_dropped"] == {"steam": 1, "lastfm-1k": 2}.get(name, 0)
        assert result.counts["identical_rows_dropped"] == (48 if name == "lastfm-hetrec" else 0)


def amazon(raw, folder, reviews=(), meta=(), **steps):
    """The small data as of 2014, with more lines."""
    raw.releases["amazon-2018"][0](folder)
    for name, more in (("Toys.json.gz", reviews), ("meta_Toys.json.gz", meta)):
        with gzip.open(folder / name, "ab") as file:
            file.writelines(line if isinstance(line, bytes) else line.encode() + b"\n" for line in more)
    (folder / "Toys.json.gz").rename(folder / "reviews_Toys.json.gz")
    return raw.run("amazon-2014", [folder / "reviews_Toys.json.gz", folder / "meta_Toys.json.gz"], **steps)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("__import__('os').system('touch pwned')", "neither JSON nor a Python literal"),
        ("{'reviewerID': __import__('os').system('touch pwned')}", "neither JSON nor a Python literal"),
        ('{"reviewerID": "1", "asi', r"neither JSON nor a Python literal \(is the file truncated\?\)"),
        ("[" * 100_000, "neither JSON nor a Python literal"),
        ("{'a':" * 20_000, "neither JSON nor a Python literal"),
        ("{'a': " + "9" * 10_000 + "}", "neither JSON nor a Python literal|the reviewerID is missing"),
        ("{[]: 1}", "neither JSON nor a Python literal"),
        ("[1]", "it holds list, where an object is needed"),
        (b"\xff\xfe\n", r"not UTF-8 text \(byte 0 of the line\)"),
        ({"unixReviewTime": float("nan")}, "unixReviewTime is 'nan', not a whole number"),
        ({"unixReviewTime": "soon"}, "unixReviewTime is .*soon.*, not a whole number"),
        ({"unixReviewTime": None}, "unixReviewTime is 'None', not a whole number"),
        ({"unixReviewTime": True}, "unixReviewTime is 'True', not a whole number"),
        ({"unixReviewTime": 1.5}, "unixReviewTime is '1.5', not a whole number"),
        ({"unixReviewTime": 2**70}, "unixReviewTime is .*, not a whole number"),
        ({"overall": None}, "overall is 'None', not a number"),
        ({"overall": [1]}, "overall is .*, not a number"),
        ({"reviewerID": ""}, "the reviewerID is missing or empty"),
        ({"reviewerID": ["a"]}, "reviewerID is .*, not text"),
        ("{'reviewerID': '\\ud800', 'asin': '1'}", "reviewerID .* cannot be written as UTF-8"),
    ],
)
def test_a_bad_line_is_named_and_never_run(line, message, raw, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    line = json.dumps({**GOOD, **line}) if isinstance(line, dict) else line
    with pytest.raises(DataError, match=rf"reviews_Toys\.json\.gz, line 49: .*({message})"):
        amazon(raw, tmp_path, reviews=[line])
    assert not (tmp_path / "pwned").exists()


def test_items_that_lack_a_usable_title_are_dropped_and_counted(raw, tmp_path):
    users = range(1, 9)
    more = [json.dumps({**GOOD, "reviewerID": str(u), "asin": a, "unixReviewTime": u}) for u in users for a in "abcdef"]
    titles = {"b": "", "c": "x" * 1001, "d": "<span id='x'>Toy</span>", "e": "\u200b", "f": '"Quoted"'}
    result = amazon(raw, tmp_path, more, [json.dumps({"asin": a, "title": t}) for a, t in titles.items()])
    assert result.items == ["1", "2", "3", "4", "5", "6", "f"]
    assert result.titles[-1] == "Quoted"
    assert result.counts["items_without_title_dropped"] == 5
    assert result.counts["interactions_without_title_dropped"] == 40
    assert result.counts["unusable_titles"] == 3


def test_repeated_reviews_count_once_and_low_ratings_can_be_left_out(raw, tmp_path):
    again = [json.dumps({**GOOD, "reviewerID": u, "asin": i, "unixReviewTime": t}) for u, i, t, _ in raw.rows]
    result = amazon(raw, tmp_path, again)
    assert (result.counts["identical_rows_dropped"], result.counts["interactions"]) == (48, 48)
    (tmp_path / "low").mkdir()
    low = amazon(raw, tmp_path / "low", minimum_rating=2, core=2)
    assert low.counts["lower_ratings_dropped"] == sum(row[3] < 2 for row in raw.rows)


def test_damaged_archives(raw, tmp_path):
    reviews, meta = raw.releases["amazon-2014"][0](tmp_path)
    content = reviews.read_bytes()
    for damage, message in (
        (content[:-20], r"reviews_Toys\.json\.gz, line \d+: the compressed file ends here"),
        (content[:50] + b"\0" * 30 + content[80:], r"reviews_Toys\.json\.gz, line \d+: "),
        (b"not gzip at all", r"reviews_Toys\.json\.gz, line 1: the file is damaged \(Not a gzipped file"),
        (b"", r"reviews_Toys\.json\.gz is empty"),
        (gzip.compress(b"\n\n"), r"reviews_Toys\.json\.gz has no interaction"),
    ):
        reviews.write_bytes(damage)
        with pytest.raises(DataError, match=message):
            raw.run("amazon-2014", [reviews, meta])
    (tmp_path / "ml-1m.zip").write_bytes(b"PK\3\4 no zip")
    with pytest.raises(DataError, match=r"ml-1m\.zip is not a zip archive, or is damaged"):
        raw.run("movielens-dat", [tmp_path / "ml-1m.zip"])
    (path,) = raw.releases["movielens-dat"][1](tmp_path)
    content = path.read_bytes()
    with zipfile.ZipFile(path) as archive:
        at = archive.getinfo("release/ratings.dat").header_offset + 60
    path.write_bytes(content[:at] + b"\xff" * 40 + content[at + 40 :])
    with pytest.raises(DataError, match=r"ml-1m\.zip, release/ratings\.dat, line \d+: the file is damaged"):
        raw.run("movielens-dat", [path])


def test_a_line_that_never_ends(raw, tmp_path, monkeypatch):
    monkeypatch.setattr(files, "LONGEST", 1000)
    with pytest.raises(DataError, match=r"line 49: it has more than 1,000 bytes"):
        amazon(raw, tmp_path, reviews=["x" * 5000])


def test_bad_lines_of_other_layouts(raw, tmp_path):
    ratings, movies = raw.releases["movielens-dat"][0](tmp_path)
    for line, message in (
        ("1::2::3", r"ratings\.dat, line 49: 3 fields where 4 are needed \(user, item, rating, timestamp\)"),
        ("1::2::3::", r"ratings\.dat, line 49: timestamp is .*, not a whole number"),
        ("1::2::nan::4", r"ratings\.dat, line 49: rating is .*nan.*, not a number"),
    ):
        lines = [f"{u}::{i}::{r}::{t}" for u, i, t, r in raw.rows]
        with pytest.raises(DataError, match=message):
            raw.run("movielens-dat", [raw.write(ratings, [*lines, line]), movies])
    ratings, movies = raw.releases["movielens-csv"][0](tmp_path)
    for lines, message in (
        (["userId,movieId,rating"], r"ratings\.csv has no column 'timestamp'"),
        (["userId,movieId,rating,timestamp", "1,2,3"], r"ratings\.csv, line 2: 3 fields where the header has 4"),
        (["userId,movieId,rating,timestamp", '1,"2'], r"ratings\.csv, line 2: unexpected end of data"),
        (["userId,movieId,rating,timestamp"], r"ratings\.csv has no interaction"),
    ):
        with pytest.raises(DataError, match=message):
            raw.run("movielens-csv", [raw.write(ratings, lines), movies])
    reviews, games = raw.releases["steam"][0](tmp_path)
    line = repr({"username": "1", "product_id": "1", "date": "yesterday"})
    with pytest.raises(DataError, match=r"steam_reviews\.json\.gz, line 1: date is 'yesterday', not a date"):
        raw.run("steam", [raw.write(reviews, [line]), games])


def test_bad_parquet(raw, tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    reviews, meta = raw.releases["amazon-2023"][1](tmp_path)
    pq.write_table(pa.table({"user_id": ["1"], "parent_asin": ["1"], "rating": [1.0]}), reviews)
    with pytest.raises(DataError, match=r"Toys\.parquet has no column 'timestamp'"):
        raw.run("amazon-2023", [reviews, meta])
    table = {"user_id": ["1", None], "parent_asin": ["1", "1"], "rating": [1.0, 1.0], "timestamp": [1, 2]}
    pq.write_table(pa.table(table), reviews)
    with pytest.raises(DataError, match=r"Toys\.parquet, line 2: the user_id is missing"):
        raw.run("amazon-2023", [reviews, meta])
    reviews.write_bytes(reviews.read_bytes()[:100])
    with pytest.raises(DataError, match=r"Toys\.parquet is not a Parquet file, or is damaged"):
        raw.run("amazon-2023", [reviews, meta])


def test_files_that_do_not_fit(raw, tmp_path):
    reviews, meta = raw.releases["amazon-2014"][0](tmp_path)
    with pytest.raises(UsageError, match=r"--raw names no file like meta_\* or metadata\*"):
        raw.run("amazon-2014", [reviews])
    other = raw.write(tmp_path / "other.json", ["{}"])
    with pytest.raises(UsageError, match=r"other\.json is not a file of this layout, whose names are like reviews_\*"):
        raw.run("amazon-2014", [reviews, meta, other])
    with pytest.raises(DataError, match="none is missing"):
        raw.run("amazon-2014", [tmp_path / "none"])
    os.mkfifo(tmp_path / "reviews_pipe")
    with pytest.raises(DataError, match="reviews_pipe is not a regular file"):
        raw.run("amazon-2014", [tmp_path / "reviews_pipe", meta])
    with pytest.raises(DataError, match=r"the 9-core leaves none of 48 interactions; add data or lower --core"):
        raw.run("amazon-2014", [reviews, meta], core=9)
    raw.write(meta, [repr({"asin": "1"})])
    with pytest.raises(DataError, match=r"meta_Toys\.json\.gz: no item of the interactions has a title there"):
        raw.run("amazon-2014", [reviews, meta])
