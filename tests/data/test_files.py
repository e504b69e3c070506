"""Tables: what is understood, and what each complaint names."""

from __future__ import annotations

import gzip
import os

import pytest

from recbench.data.files import read_bytes, read_table, sha256, verify
from recbench.errors import DataError


@pytest.fixture
def file(tmp_path):
    def write(content: str | bytes):
        path = tmp_path / "t.csv"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


def test_quotes_blank_lines_byte_order_mark_and_odd_separators(file):
    table = read_table(file('\ufeffa,b\r\n1,"x, ""y""\nz"\r\n\r\n 2 ,u\u2028v\x0cw\r\n'), ["b", "a"])
    assert table.columns == {"b": ['x, "y"\nz', "u\u2028v\x0cw"], "a": ["1", "2"]}
    assert table.lines == [3, 5]


def test_tabs_have_no_quotes(file):
    assert read_table(file('a\tb\n1\t"x\n'), ["b"], delimiter="\t").columns == {"b": ['"x']}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "t.csv has no column 'a': its first line has nothing"),
        ("b,c\n1,2\n", "t.csv has no column 'a': its first line has b, c"),
        ("a,b\n", "t.csv is empty: there is no row below its header"),
        ("a,b\n1,2\n3\n", "line 3: 1 fields where the header has 2 .is the file truncated"),
        ('a,b\n1,"2', "line 2: unexpected end of data"),
        (b"a,b\n\xff,1\n", "not UTF-8 text .byte 4"),
        (gzip.compress(b"a,b\n1,2\n", mtime=0), "compressed by gzip: unpack it"),
    ],
)
def test_malformed_tables(file, content, message):
    with pytest.raises(DataError, match=message):
        read_table(file(content), ["a"])


@pytest.mark.parametrize("value", ["x", "1.5", "", "nan", "inf", "9" * 30, "9" * 5000, "1_000", "1e3", "--5", "²"])
def test_no_whole_number(file, value):
    table = read_table(file(f"a,b\n1,1\n{value},2\n"), ["a"])
    with pytest.raises(DataError, match=f"line 3: a '{value[:39]}.*' is not a whole number") as raised:
        table.whole_numbers("a")
    assert len(str(raised.value)) < 400


def test_whole_numbers(file):
    table = read_table(file("a,b\n881250949.0,1\n-2,2\n9007199254740993.0,3\n"), ["a"])
    assert table.whole_numbers("a").tolist() == [881250949, -2, 9007199254740993]


@pytest.mark.parametrize(
    ("values", "times"),
    [
        (["5", "3.0"], [5, 3]),
        (["1970-01-02", "1970-01-01"], [86400, 0]),
        (["1970-01-01T01:00:00+01:00", "1970-01-01 00:00:01", "1970-01-01T00:00:02Z"], [0, 1, 2]),
        (["1970-01-01T00:00:00.5", "1969-12-31T23:59:59"], [500_000, -1_000_000]),
        (["1997-09-20", "20240131"], "line 3: a '20240131' is not a whole number and not a date"),
        (["5", "1997-09-20"], "line 3: a '1997-09-20' is not a whole number"),
        (["soon", "5"], "line 2: a 'soon' is not a whole number and not a date"),
    ],
)
def test_times(file, values, times):
    table = read_table(file("a\n" + "\n".join(values)), ["a"])
    if isinstance(times, list):
        assert table.times("a").tolist() == times
        return
    with pytest.raises(DataError, match=times):
        table.times("a")


def test_two_columns_of_one_name(file):
    path = file("a,b,b\n1,2,3\n")
    assert read_table(path, ["a"]).columns == {"a": ["1"]}  # the others are not read
    with pytest.raises(DataError, match=r"t\.csv has 2 columns 'b': rename or remove all but one"):
        read_table(path, ["a"], optional=["b"])


def test_a_pipe_is_refused_without_waiting(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(DataError, match="pipe is not a regular file"):
        sha256(tmp_path / "pipe")


def test_empty_values_and_missing_files(file, tmp_path):
    with pytest.raises(DataError, match="line 3: the a is empty"):
        read_table(file("a,b\n1,1\n ,2\n"), ["a"]).not_empty("a")
    with pytest.raises(DataError, match=r"none\.csv is missing"):
        read_table(tmp_path / "none.csv", ["a"])
    with pytest.raises(DataError, match="is a folder: a file is needed"):
        sha256(tmp_path)


def test_verify(file):
    path, seen = file("x"), {}
    assert read_bytes(path, seen) == b"x"
    verify(seen, {"t.csv": sha256(path)})
    with pytest.raises(DataError, match=r"t\.csv is not the file that datasets\.yaml describes"):
        verify(seen, {"t.csv": "0" * 64})
