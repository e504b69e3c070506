"""Tables: what is understood, and what each complaint names."""

from __future__ import annotations

import pytest

from recbench.data.files import read_table, sha256, verify
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
    ],
)
def test_malformed_tables(file, content, message):
    with pytest.raises(DataError, match=message):
        read_table(file(content), ["a"])


@pytest.mark.parametrize("value", ["x", "1.5", "", "nan", "inf", "9" * 30])
def test_no_whole_number(file, value):
    table = read_table(file(f"a,b\n1,1\n{value},2\n"), ["a"])
    with pytest.raises(DataError, match=f"line 3: a '{value}' is no whole number"):
        table.whole_numbers("a")


def test_whole_numbers(file):
    assert read_table(file("a,b\n881250949.0,1\n-2,2\n"), ["a"]).whole_numbers("a").tolist() == [881250949, -2]


def test_empty_values_and_missing_files(file, tmp_path):
    with pytest.raises(DataError, match="line 3: the a is empty"):
        read_table(file("a,b\n1,1\n ,2\n"), ["a"]).not_empty("a")
    with pytest.raises(DataError, match=r"none\.csv is missing"):
        read_table(tmp_path / "none.csv", ["a"])
    with pytest.raises(DataError, match="cannot be read: Is a directory"):
        sha256(tmp_path)


def test_verify(file):
    path = file("x")
    verify([path], {"t.csv": sha256(path)})
    with pytest.raises(DataError, match=r"t\.csv is not the file that datasets\.yaml describes"):
        verify([path], {"t.csv": "0" * 64})
