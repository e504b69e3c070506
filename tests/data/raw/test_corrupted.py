"""Corrupted raw files through the command line: one sentence with file and line, and nothing half-written."""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import pytest
from click.testing import CliRunner

from recbench.cli import cli

Change = Callable[[bytes], bytes]


class Damage(NamedTuple):
    """What is wrong with one file of a release, and what is said of it."""

    layout: str
    file: int
    change: Change
    line: str
    says: str
    release: int = 0


def line(number: int, new: bytes | Callable[[bytes], bytes]) -> Change:
    """Another line in place of one, in a plain or in a compressed file."""

    def change(content: bytes) -> bytes:
        packed = content[:2] == b"\x1f\x8b"
        lines = (gzip.decompress(content) if packed else content).split(b"\n")
        lines[number - 1] = new(lines[number - 1]) if callable(new) else new
        text = b"\n".join(lines)
        return gzip.compress(text, 1) if packed else text

    return change


def field(**values: Any) -> Callable[[bytes], bytes]:
    """A line's JSON object with other values; None leaves the field out."""

    def change(found: bytes) -> bytes:
        given = {**json.loads(found), **values}
        return json.dumps({name: value for name, value in given.items() if value is not None}).encode()

    return change


def cut(share: float) -> Change:
    return lambda content: content[: int(share * len(content))]


def flipped(content: bytes) -> bytes:
    middle = len(content) // 2
    return content[:middle] + bytes(b ^ 255 for b in content[middle : middle + 20]) + content[middle + 20 :]


NEITHER, WHOLE = "it is neither JSON nor a Python literal", "not a whole number"
DAMAGES = {
    # 2014: JSON or Python literals
    "2014 gzip cut off": Damage("amazon-2014", 0, cut(0.7), r"\d+", "the compressed file ends here"),
    "2014 gzip flipped": Damage("amazon-2014", 0, flipped, r"\d+", "is damaged|file ends here|not UTF-8"),
    "2014 gzip checksum": Damage(
        "amazon-2014", 0, lambda c: c[:-8] + b"\0" * 8, r"\d+", "the file is damaged .*CRC check failed"
    ),
    "2014 no gzip": Damage("amazon-2014", 0, lambda c: b"<html>404</html>\n", "1", "Not a gzipped file"),
    "2014 rubbish behind gzip": Damage("amazon-2014", 0, lambda c: c + b"rubbish", r"\d+", "the file is damaged"),
    "2014 half a line": Damage("amazon-2014", 0, line(3, lambda found: found[: len(found) // 2]), "3", NEITHER),
    "2014 two lines in one": Damage("amazon-2014", 0, line(4, lambda found: found + found), "4", NEITHER),
    "2014 a call": Damage("amazon-2014", 0, line(2, b"{'asin': open('pwned', 'w')}"), "2", NEITHER),
    "2014 a list": Damage("amazon-2014", 0, line(5, b"['a']"), "5", "it holds list, where an object is needed"),
    "2014 not UTF-8": Damage("amazon-2014", 0, line(6, b"{'reviewerID': '\xff'}"), "6", r"not UTF-8 text \(byte 16"),
    "2014 utf-16": Damage("amazon-2014", 0, line(2, "{'a': 1}".encode("utf-16")), "2", f"not UTF-8|{NEITHER}"),
    "2014 meta cut off": Damage("amazon-2014", 1, cut(0.5), r"\d+", "the compressed file ends here"),
    "2014 meta broken": Damage("amazon-2014", 1, line(2, b"{'asin': '2', 'title': 'a"), "2", NEITHER),
    "2014 meta without an id": Damage("amazon-2014", 1, line(2, b"{'title': 'a'}"), "2", "the asin is missing"),
    "2014 a title of another type": Damage("amazon-2014", 1, line(1, b"{'asin': '1', 'title': []}"), "1", "not text"),
    # 2018: JSON
    "2018 NaN as a time": Damage("amazon-2018", 0, line(2, field(unixReviewTime=float("nan"))), "2", WHOLE),
    "2018 no time": Damage("amazon-2018", 0, line(7, field(unixReviewTime=None)), "7", f"unixReviewTime .*{WHOLE}"),
    "2018 a date as a time": Damage("amazon-2018", 0, line(2, field(unixReviewTime="1 May")), "2", f"1 May.*{WHOLE}"),
    "2018 an infinite rating": Damage("amazon-2018", 0, line(2, field(overall=float("inf"))), "2", "not a number"),
    "2018 no user": Damage("amazon-2018", 0, line(1, field(reviewerID=None)), "1", "the reviewerID is missing"),
    "2018 an empty item": Damage("amazon-2018", 0, line(48, field(asin=" ")), "48", "the asin is missing or empty"),
    "2018 an object as an item": Damage("amazon-2018", 0, line(9, field(asin={"a": 1})), "9", "not text"),
    # 2023: JSON and Parquet
    "2023 a fraction of a time": Damage("amazon-2023", 0, line(3, field(timestamp=1.5)), "3", WHOLE),
    "2023 a time of 70 bits": Damage("amazon-2023", 0, line(3, field(timestamp=2**70)), "3", WHOLE),
    "2023 no parent": Damage("amazon-2023", 0, line(2, field(parent_asin=None)), "2", "the parent_asin is missing"),
    "2023 Parquet cut off": Damage("amazon-2023", 0, cut(0.5), "", "not a Parquet file, or is damaged", 1),
    "2023 Parquet empty": Damage("amazon-2023", 1, lambda c: b"", "", "not a Parquet file, or is damaged", 1),
    # MovieLens: ::, zip, CSV
    "dat a field less": Damage("movielens-dat", 0, line(2, b"1::2::3"), "2", "3 fields where 4 are needed"),
    "dat commas": Damage("movielens-dat", 0, line(1, b"1,2,3,4"), "1", "1 fields where 4 are needed"),
    "dat a time in words": Damage("movielens-dat", 0, line(9, b"1::2::3::x"), "9", f"timestamp .*{WHOLE}"),
    "dat a film without genres": Damage("movielens-dat", 1, line(2, b"2::Film"), "2", "2 fields where 3 are needed"),
    "zip cut off": Damage("movielens-dat", 0, cut(0.5), "", "not a zip archive, or is damaged", 1),
    "csv a column less": Damage("movielens-csv", 0, line(5, b"1,2,3"), "5", "3 fields where the header has 4"),
    "csv an open quote": Damage("movielens-csv", 1, line(3, b'2,"Film,Drama'), "4", "expected after"),
    "csv NaN as a rating": Damage("movielens-csv", 0, line(2, b"1,1,nan,5"), "2", "rating .*not a number"),
    "csv not UTF-8": Damage("movielens-csv", 1, line(2, b"1,Caf\xe9,Drama"), "2", "not UTF-8"),
    "csv no header": Damage("movielens-csv", 0, line(1, b"1,1,1.0,1"), "", "has no column 'userId'"),
    # the others
    "steam a date": Damage("steam", 0, line(2, b"{'username': 1, 'product_id': 1, 'date': 'May'}"), "2", "not a date"),
    "steam cut off": Damage("steam", 1, cut(0.6), r"\d+", "the compressed file ends here"),
    "lastfm a date": Damage("lastfm-1k", 0, line(4, b"1\tnever\t1\tA\t\tTrack"), "4", "timestamp is 'never'"),
    "lastfm not UTF-8": Damage("lastfm-1k", 0, line(2, b"1\t\xff"), "2", "not UTF-8"),
    "tags a time": Damage("lastfm-hetrec", 0, line(2, b"1\t1\t3\tnan"), "2", f"timestamp .*{WHOLE}"),
    "tags a field less": Damage("lastfm-hetrec", 0, line(3, b"1\t1\t3"), "3", "3 fields where the header has 4"),
    "artists without names": Damage("lastfm-hetrec", 1, line(1, b"id\turl"), "", "has no column 'name'"),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_a_sentence_with_file_and_line_and_nothing_written(
    name: str, raw: SimpleNamespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    damage = DAMAGES[name]
    paths = raw.releases[damage.layout][damage.release](tmp_path)
    broken = paths[damage.file]
    broken.write_bytes(damage.change(broken.read_bytes()))
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    done = CliRunner().invoke(cli, ["data", "prepare", damage.layout, *map(str, paths), "--out", "out", "--core", "1"])
    assert done.exit_code == 1, done.output
    (said,) = [text for text in done.stderr.splitlines() if text.startswith("recbench: ")]
    assert "Traceback" not in done.output
    place = rf"{broken.name}(, release/\S+)?" + (f", line {damage.line}: " if damage.line else " ")
    found = re.search(place, said)
    assert found, said
    assert re.search(damage.says, said[found.start() :]), said
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_folder_that_was_there_stays_as_it_was(raw: SimpleNamespace, tmp_path: Path) -> None:
    paths = raw.releases["amazon-2014"][0](tmp_path)
    command = ["data", "prepare", "amazon-2014", *map(str, paths), "--out", str(tmp_path / "out")]
    assert CliRunner().invoke(cli, command).exit_code == 0
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file() and path.parent.name == "out"}
    paths[0].write_bytes(cut(0.7)(paths[0].read_bytes()))
    assert CliRunner().invoke(cli, command).exit_code == 1
    assert {p: p.read_bytes() for p in (tmp_path / "out").iterdir()} == before
    assert {path.name for path in tmp_path.iterdir()} == {"out", *(path.name for path in paths)}
