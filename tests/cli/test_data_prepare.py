"""``recbench data prepare``: from raw files, given or fetched, to a folder that a run reads."""

from __future__ import annotations

import gzip
import hashlib
import json
from pathlib import Path

import pytest

from recbench.data import catalog
from recbench.data.catalog import Entry, RawFile

FILES = ("reviews_Toys_and_Games.json.gz", "meta_Toys_and_Games.json.gz")


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    """Raw reviews in a folder of their own."""
    reviews = [
        json.dumps({"reviewerID": f"U{u}", "asin": f"B{i}", "overall": 5.0, "unixReviewTime": 1000 + 60 * i + u})
        for u in range(20)
        for i in range(14)
    ]
    meta = [repr({"asin": f"B{i}", "title": f"Toy &amp; {i}"}) for i in range(13)]
    (tmp_path / "raw").mkdir()
    for name, lines in zip(FILES, (reviews, meta), strict=True):
        (tmp_path / "raw" / name).write_bytes(gzip.compress("\n".join(lines).encode()))
    return tmp_path / "raw"


def test_prepared_twice_and_run(call, raw, tmp_path):
    paths = [str(raw / name) for name in FILES]
    made = call("data", "prepare", "toy", "--raw", *paths, "--out", "one")
    assert made.exit_code == 0, made.output
    assert "items without a title, dropped" in made.stdout
    assert "datasets.yaml has no sha256" in made.stdout
    assert "--dataset toy --data-dir one" in made.stdout
    for _ in range(2):  # again into the same place
        made = call("data", "prepare", "toy", "--raw", paths[1], "--raw", paths[0], "--out", "two")
        assert made.exit_code == 0, made.output
    for file in ("interactions.parquet", "items.parquet", "manifest.json"):
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()
    manifest = json.loads((tmp_path / "one" / "manifest.json").read_text())
    assert set(manifest["inputs"]) == set(FILES)
    assert manifest["options"] == {"core": 5, "items": 0, "seed": 0, "minimum_rating": None}
    assert str(tmp_path) not in json.dumps(manifest)
    run = call("run", "--model", "popularity", "--dataset", "toy", "--data-dir", "one", "--device", "cpu")
    assert run.exit_code == 0, run.output
    for words in (["parquet", "--data-dir", "one"], ["audit", "one"], ["one"]):
        facts = call("data", *words)
        assert facts.exit_code == 0, facts.output
        assert "prepared interactions without title dropped" in facts.stdout
        assert ("Amazon Toys and Games" in facts.stdout) == (words[0] != "parquet"), "the manifest says what it is"
    assert {path.name for path in tmp_path.iterdir()} == {"own.csv", "raw", "one", "two", "runs"}


def test_a_layout_by_its_name_with_steps(call, raw, tmp_path):
    paths = [str(raw / name) for name in FILES]
    made = call("data", "prepare", "amazon-2014", *paths, "--out", "some", "--items", "6", "--core", "4", "--seed", "3")
    assert made.exit_code == 0, made.output
    assert "--dataset parquet --data-dir some" in made.stdout
    assert json.loads((tmp_path / "some" / "manifest.json").read_text())["counts"]["items"] == 6
    for name in ("amazon-2014", "csv", ["deep"]):  # none of these is a data set prepared this way
        manifest = json.loads((tmp_path / "some" / "manifest.json").read_text())
        (tmp_path / "some" / "manifest.json").write_text(json.dumps(manifest | {"name": name}))
        assert "A folder that recbench data prepare wrote" in call("data", "audit", "some").stdout


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["toys", "--out", "o"], 2, "'toys' is not a data set with raw files: did you mean 'toy'?"),
        (["csv", "--out", "o"], 2, "'csv' is not a data set with raw files"),
        (["toy"], 2, "--out"),
        (["toy", "--raw", "own.csv", "--out", "o"], 2, "own.csv is not a file of this layout"),
        (["toy", "--raw", "none", "--out", "o"], 2, "--raw none does not exist"),
        (["toy", "--raw", f"raw/{FILES[0]}", "--out", "o"], 2, "--raw names no file like meta_*"),
        (["toy", "--raw", f"raw/{FILES[0]}", f"raw/{FILES[0]}", f"raw/{FILES[1]}", "--out", "o"], 2, "two files"),
        (["toy", "--out", "raw"], 2, "--out raw is not empty and holds no manifest.json"),
        (["toy", "--out", "own.csv"], 2, "--out own.csv is a file"),
        (["toy", "--out", "o", "--minimum-rating", "nan"], 2, "--minimum-rating"),
        (
            ["amazon-2018", "--out", "o"],
            2,
            "no address in datasets.yaml: give its raw files with --raw",
        ),
    ],
)
def test_wrong_requests(call, raw, tmp_path, words, code, said):
    result = call("data", "prepare", *words)
    assert result.exit_code == code, result.output
    assert said in result.stderr
    assert "Traceback" not in result.output
    assert {path.name for path in tmp_path.iterdir()} == {"own.csv", "raw"}


def test_a_damaged_file_leaves_nothing(call, raw, tmp_path):
    content = (raw / FILES[0]).read_bytes()
    (raw / FILES[0]).write_bytes(content[: len(content) // 2])
    result = call("data", "prepare", "toy", *(str(raw / name) for name in FILES), "--out", "o")
    assert result.exit_code == 1
    assert f"{FILES[0]}, line " in result.stderr
    assert {path.name for path in tmp_path.iterdir()} == {"own.csv", "raw"}


def test_without_a_network_it_says_what_to_fetch(call, monkeypatch, tmp_path):
    address = "http://127.0.0.1:9/reviews_Toys_and_Games.json.gz"  # nobody listens
    entry = Entry("toy", "parquet", "Toys", "", "", layout="amazon-2014", raw={FILES[0]: RawFile(address)})
    monkeypatch.setattr(catalog, "datasets", lambda: {"toy": entry})
    monkeypatch.setattr("recbench.cli.data_prepare.datasets", lambda: {"toy": entry})
    monkeypatch.setattr("recbench.data.raw.download.time.sleep", lambda _: None)
    result = call("data", "prepare", "toy", "--out", "o")
    assert result.exit_code == 1
    assert f"or fetch {address} elsewhere and give the files with --raw {FILES[0]}" in result.stderr
    assert not (tmp_path / "o").exists()


def test_released_windows_are_fetched_and_checked(call, monkeypatch, tmp_path):
    """From file: addresses, which need no server."""
    folder = tmp_path / "release"
    folder.mkdir()
    films = {str(n): f"Film {n}" for n in range(12)}
    (folder / "id2name4Rec.json").write_text(json.dumps(films))
    for name, start in (("train.csv", 0), ("valid.csv", 1000), ("test.csv", 2000)):
        rows = [f'{u},"[{u % 12}, {(u + 1) % 12}, {(u + start + 2) % 12}]",{start + u}' for u in range(30)]
        (folder / name).write_text("user_id,item_ids,timestamp\n" + "\n".join(rows) + "\n")
    raw = {
        path.name: RawFile(path.as_uri(), path.stat().st_size, hashlib.sha256(path.read_bytes()).hexdigest())
        for path in sorted(folder.iterdir())
    }
    raw["train.csv"] = RawFile(raw["train.csv"].url)  # not known
    entry = Entry("toy-msl", "prepared", "Toys", "", "", raw=raw)
    for place in ("recbench.data.catalog", "recbench.cli.data_prepare", "recbench.cli.data", "recbench.planning"):
        monkeypatch.setattr(f"{place}.datasets", lambda: {"toy-msl": entry})
    made = call("data", "prepare", "toy-msl", "--out", "toy-msl")
    assert made.exit_code == 0, made.output
    assert "not checked  train.csv: datasets.yaml has no sha256" in made.stdout
    assert "--dataset toy-msl --data-dir toy-msl" in made.stdout
    for path in folder.iterdir():
        assert (tmp_path / "toy-msl" / path.name).read_bytes() == path.read_bytes()
    facts = call("data", "audit", "toy-msl")  # found by its name
    assert "test windows" in facts.stdout, facts.output
    run = call("run", "--model", "popularity", "--dataset", "toy-msl", "--data-dir", "toy-msl", "--device", "cpu")
    assert run.exit_code == 0, run.output
    assert "runs/toy-msl-popularity" in run.stdout, "not called own-toy-msl"
    (tmp_path / "toy-msl" / "test.csv").write_text("another")
    again = call("data", "prepare", "toy-msl", "--out", "toy-msl")
    assert again.exit_code == 1
    assert "remove it" in again.stderr
    for words in (["--core", "3"], ["--raw", "own.csv"], ["own.csv"], ["--downloads", "d"]):
        refused = call("data", "prepare", "toy-msl", "--out", "o", *words)
        assert refused.exit_code == 2
        assert "toy-msl needs no preparation: give only --out" in refused.stderr
    (tmp_path / "toy-msl" / "train_5.csv").write_text("of another release")
    for out, said in (("toy-msl", "holds train_5.csv, which are not part of toy-msl"), ("own.csv", "is a file")):
        refused = call("data", "prepare", "toy-msl", "--out", out)
        assert refused.exit_code == 2
        assert said in refused.stderr
    monkeypatch.setattr("recbench.data.raw.download.time.sleep", lambda _: None)
    raw["test.csv"] = RawFile("http://127.0.0.1:9/test.csv")  # nobody listens
    alone = call("data", "prepare", "toy-msl", "--out", "o")
    assert alone.exit_code == 1
    assert "elsewhere and put the files into o." in alone.stderr


def test_files_of_one_name_are_kept_apart_by_their_folders(call, tmp_path):
    """As on the hub."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    plays = [(u, i) for u in range(20) for i in range(14)]
    reviews = {
        "user_id": [f"U{u}" for u, _ in plays],
        "parent_asin": [f"B{i}" for _, i in plays],
        "timestamp": [1000 + 60 * i + u for u, i in plays],
        "rating": [5.0] * len(plays),
    }
    titles = {"parent_asin": [f"B{i}" for i in range(14)], "title": [f"Toy {i}" for i in range(14)]}
    places = []
    for folder, table in (("raw_review_Toys", reviews), ("raw_meta_Toys", titles)):
        (tmp_path / folder).mkdir()
        places.append(f"{folder}/full-00000-of-00001.parquet")
        pq.write_table(pa.table(table), tmp_path / places[-1])
    made = call("data", "prepare", "amazon-2023", *places, "--out", "o")
    assert made.exit_code == 0, made.output
    assert set(json.loads((tmp_path / "o" / "manifest.json").read_text())["inputs"]) == set(places)


def test_known_checksums_are_checked(call, raw, monkeypatch, tmp_path):
    about = RawFile("http://127.0.0.1:9/x", size=None, sha256="0" * 64)
    entry = Entry("toy", "parquet", "Toys", "", "", layout="amazon-2014", raw={FILES[0]: about})
    monkeypatch.setattr("recbench.cli.data_prepare.datasets", lambda: {"toy": entry})
    result = call("data", "prepare", "toy", *(str(raw / name) for name in FILES), "--out", "o")
    assert result.exit_code == 1
    assert f"{FILES[0]} is not the file that datasets.yaml describes (its sha256 is" in result.stderr
    assert not (tmp_path / "o").exists()
