"""``recbench data prepare``: from raw files, given or fetched, to a folder that a run reads."""

from __future__ import annotations

import gzip
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
    assert {path.name for path in tmp_path.iterdir()} == {"own.csv", "raw", "one", "two", "runs"}


def test_a_layout_by_its_name_with_steps(call, raw, tmp_path):
    paths = [str(raw / name) for name in FILES]
    made = call("data", "prepare", "amazon-2014", *paths, "--out", "some", "--items", "6", "--core", "4", "--seed", "3")
    assert made.exit_code == 0, made.output
    assert "--dataset parquet --data-dir some" in made.stdout
    assert json.loads((tmp_path / "some" / "manifest.json").read_text())["counts"]["items"] == 6


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


def test_known_checksums_are_checked(call, raw, monkeypatch, tmp_path):
    about = RawFile("http://127.0.0.1:9/x", size=None, sha256="0" * 64)
    entry = Entry("toy", "parquet", "Toys", "", "", layout="amazon-2014", raw={FILES[0]: about})
    monkeypatch.setattr("recbench.cli.data_prepare.datasets", lambda: {"toy": entry})
    result = call("data", "prepare", "toy", *(str(raw / name) for name in FILES), "--out", "o")
    assert result.exit_code == 1
    assert f"{FILES[0]} is not the file that datasets.yaml describes (its sha256 is" in result.stderr
    assert not (tmp_path / "o").exists()
