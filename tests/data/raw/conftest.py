"""The same small data in the layout of every release."""

from __future__ import annotations

import gzip
import json
import zipfile
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import pytest

from recbench.data.raw.layouts import layout
from recbench.data.raw.preparation import Steps, prepared
from recbench.interfaces import SilentReporter

DAY = 86_400
ROWS = [(str(u), str(i), DAY * (100 + 10 * u + i), 1 + (u + i) % 5) for u in range(1, 9) for i in range(1, 7)]
TITLES = {str(i): f"Café &amp; {i}" for i in range(1, 8)}


def write(path: Path, lines: list[str], encoding: str = "utf-8") -> Path:
    """A text, compressed where the name says so."""
    content = ("\n".join(lines) + "\n").encode(encoding)
    path.write_bytes(gzip.compress(content, 1) if path.suffix == ".gz" else content)
    return path


def archive(path: Path, files: list[Path]) -> Path:
    """A zip of files in a folder, next to something else."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archived:
        archived.writestr("release/README.txt", "read me")
        for file in files:
            archived.write(file, f"release/{file.name}")
    return path


def amazon_2014(folder: Path) -> list[Path]:
    reviews = [
        {"reviewerID": u, "asin": i, "reviewText": "it's \u2028 fine", "overall": float(r), "unixReviewTime": t}
        for u, i, t, r in ROWS
    ]
    mixed = [json.dumps(line) if n % 2 else repr(line) for n, line in enumerate(reviews)]
    meta = [repr({"asin": i, "title": title, "categories": [["\\d"]]}) for i, title in TITLES.items()]
    meta += [repr({"asin": "0", "price": 1.5})]
    return [write(folder / "reviews_Toys.json.gz", mixed), write(folder / "meta_Toys.json.gz", meta)]


def amazon_2018(folder: Path) -> list[Path]:
    reviews = [
        json.dumps({"reviewerID": u, "asin": i, "overall": float(r), "unixReviewTime": t, "style": {"a": "b"}})
        for u, i, t, r in ROWS
    ]
    meta = [json.dumps({"asin": i, "title": title}) for i, title in TITLES.items()]
    return [write(folder / "Toys.json.gz", reviews), write(folder / "meta_Toys.json.gz", meta)]


def amazon_2023(folder: Path) -> list[Path]:
    reviews = [
        json.dumps({"user_id": u, "parent_asin": i, "asin": "x", "rating": float(r), "timestamp": 1000 * t})
        for u, i, t, r in ROWS
    ]
    meta = [json.dumps({"parent_asin": i, "title": title}) for i, title in TITLES.items()]
    return [write(folder / "Toys.jsonl.gz", reviews), write(folder / "meta_Toys.jsonl.gz", meta)]


def amazon_2023_parquet(folder: Path) -> list[Path]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    users, items, times, ratings = (list(column) for column in zip(*ROWS, strict=True))
    columns = {"rating": ratings, "user_id": users, "parent_asin": items, "timestamp": [1000 * t for t in times]}
    pq.write_table(pa.table(columns), folder / "Toys.parquet", row_group_size=7)
    titles = {"parent_asin": list(TITLES), "title": list(TITLES.values())}
    pq.write_table(pa.table(titles), folder / "meta_Toys.parquet")
    return [folder / "Toys.parquet", folder / "meta_Toys.parquet"]


def amazon_2023_hub(folder: Path) -> list[Path]:
    """As on the hub, where the folder tells what a file holds; behind links, as in its cache."""
    import pyarrow.parquet as pq

    plain = [pq.read_table(path) for path in amazon_2023_parquet(folder)]
    parts = [(plain[0], "raw_review_Toys", "full-00000-of-00001.parquet")]
    half = len(plain[1]) // 2
    parts += [(plain[1].slice(0, half), "raw_meta_Toys", "full-00000-of-00002.parquet")]
    parts += [(plain[1].slice(half), "raw_meta_Toys", "full-00001-of-00002.parquet")]
    (folder / "blobs").mkdir()
    found = []
    for number, (table, kind, name) in enumerate(parts):
        (folder / kind).mkdir(exist_ok=True)
        pq.write_table(table, folder / "blobs" / str(number))
        (folder / kind / name).symlink_to(folder / "blobs" / str(number))
        found.append(folder / kind / name)
    return found


def movielens_dat(folder: Path, encoding: str = "latin-1") -> list[Path]:
    ratings = [f"{u}::{i}::{r}::{t}" for u, i, t, r in ROWS]
    movies = [f"{i}::{title}::Drama|War" for i, title in TITLES.items()]
    return [write(folder / "ratings.dat", ratings), write(folder / "movies.dat", movies, encoding)]


def movielens_converted(folder: Path) -> list[Path]:
    return movielens_dat(folder, "utf-8-sig")


def movielens_zip(folder: Path) -> list[Path]:
    return [archive(folder / "ml-1m.zip", movielens_dat(folder))]


def movielens_csv(folder: Path) -> list[Path]:
    ratings = ["userId,movieId,rating,timestamp", *(f"{u},{i},{r}.0,{t}" for u, i, t, r in ROWS)]
    movies = ["movieId,title,genres", *(f'{i},"{title}",Drama' for i, title in TITLES.items())]
    return [write(folder / "ratings.csv", ratings), write(folder / "movies.csv", movies)]


def steam(folder: Path) -> list[Path]:
    reviews = [
        repr({"username": u, "product_id": i, "date": f"{datetime.fromtimestamp(t, UTC):%Y-%m-%d}", "text": "__x__"})
        for u, i, t, _ in ROWS
    ]
    reviews += [repr({"username": "1", "date": "2015-01-01"})]
    games = [repr({"id": i, "app_name": title}) for i, title in TITLES.items()]
    games += [repr({"app_name": "no id"}), repr({"id": "9", "title": "Only a title"})]
    return [write(folder / "steam_reviews.json.gz", reviews), write(folder / "steam_games.json.gz", games)]


def lastfm_1k(folder: Path) -> list[Path]:
    plays = [
        f"{u}\t{datetime.fromtimestamp(t, UTC):%Y-%m-%dT%H:%M:%SZ}\t{i}\t{TITLES[i]}\t\tTrack" for u, i, t, _ in ROWS
    ]
    plays += ["1\t2009-05-04T23:08:57Z\t\t\t\tnameless", "1\tbroken"]
    return [write(folder / "userid-timestamp-artid-artname-traid-traname.tsv", plays)]


def lastfm_hetrec(folder: Path) -> list[Path]:
    tags = ["userID\tartistID\ttagID\ttimestamp"]
    tags += [f"{u}\t{i}\t{tag}\t{1000 * t}" for u, i, t, _ in ROWS for tag in (3, 4)]
    artists = ["id\tname\turl", *(f'{i}\t{title}\t"http' for i, title in TITLES.items())]
    return [write(folder / "user_taggedartists-timestamps.dat", tags), write(folder / "artists.dat", artists)]


RELEASES = {
    "amazon-2014": [amazon_2014],
    "amazon-2018": [amazon_2018],
    "amazon-2023": [amazon_2023, amazon_2023_parquet, amazon_2023_hub],
    "movielens-dat": [movielens_dat, movielens_zip, movielens_converted],
    "movielens-csv": [movielens_csv],
    "steam": [steam],
    "lastfm-1k": [lastfm_1k],
    "lastfm-hetrec": [lastfm_hetrec],
}


def run(name: str, paths: list[Path], **steps):
    """The prepared data of raw files."""
    return prepared(layout(name), paths, Steps(**steps), SilentReporter())


@pytest.fixture(scope="session")
def raw() -> SimpleNamespace:
    """The helpers above."""
    return SimpleNamespace(rows=ROWS, titles=TITLES, releases=RELEASES, write=write, run=run)
