"""The source csv: your own data, and every way in which it can be wrong."""

from __future__ import annotations

import pytest

from recbench.data.interactions import day
from recbench.errors import DataError, UsageError
from recbench.interfaces import SilentReporter
from recbench_plugins.sources.csv import Csv, CsvOptions

ROWS = [(f"u{u}", str(i), str(10 * u + i), f"T{i}") for u in range(8) for i in range(6)]
HEADER = "user,item,timestamp,title"


def run(tmp_path, rows=ROWS, header=HEADER, titles=None, **options):
    file = tmp_path / "own.csv"
    file.write_text("\n".join([header, *(",".join(row) for row in rows)]))
    if titles is not None:
        (tmp_path / "names.csv").write_text(titles)
        options["titles"] = str(tmp_path / "names.csv")
    return Csv(CsvOptions(file=str(file), **options)).prepare(SilentReporter())


def test_one_window_a_user_in_time_order(tmp_path):
    split = run(tmp_path)
    assert [len(part) for part in (split.train, split.valid, split.test)] == [6, 1, 1]
    assert split.catalog.titles == ("T0", "T1", "T2", "T3", "T4", "T5")
    assert split.test.history[0, -5:].tolist() == [0, 1, 2, 3, 4]
    assert split.users[split.test.users[0]] == "u7"
    assert set(split.sources) == {"own.csv"}


def test_row_order_does_not_matter_without_ties(tmp_path):
    one, two = run(tmp_path), run(tmp_path, rows=ROWS[::-1])
    assert one.train.digest() == two.train.digest()
    assert one.catalog == two.catalog


def test_ids_that_are_numbers_are_ordered_by_value(tmp_path):
    rows = [(u, str(int(i) * 5), t, title) for u, i, t, title in ROWS]
    assert run(tmp_path, rows=rows).catalog.ids == ("0", "5", "10", "15", "20", "25")


def test_titles_in_a_second_file(tmp_path):
    titles = "title,item\n" + "\n".join(f"Name {i},{i}" for i in range(9))
    split = run(tmp_path, rows=[row[:3] for row in ROWS], header="user,item,timestamp", titles=titles)
    assert split.catalog.titles[0] == "Name 0"
    assert set(split.sources) == {"own.csv", "names.csv"}


def test_the_first_title_that_is_not_empty_counts(tmp_path):
    rows = [("u0", "0", "0", ""), *ROWS, ("u1", "0", "99", "Other"), ("u1", "0", "99", "Other")]
    split = run(tmp_path, rows=rows)
    assert split.catalog.titles[0] == "T0"
    assert split.facts["items_with_several_titles"] == 1
    assert split.facts["identical_rows_dropped"] == 2


def rows_of(split):
    parts = (split.train, split.valid, split.test)
    return [(p.users.tolist(), p.history.tolist(), p.target.tolist(), p.time.tolist()) for p in parts]


def test_identical_rows_count_once_unless_they_are_kept(tmp_path):
    """Tripled rows put most targets into their own history, which flatters whoever repeats it."""
    once, tripled = run(tmp_path), run(tmp_path, rows=ROWS * 3)
    assert rows_of(tripled) == rows_of(once)
    assert (once.facts["identical_rows_dropped"], tripled.facts["identical_rows_dropped"]) == (0, 96)
    kept = run(tmp_path, rows=ROWS * 3, identical_rows="kept")
    assert kept.facts["identical_rows_kept"] == 96
    assert len(kept.train) > len(once.train)


def test_other_column_names_separators_and_dates(tmp_path):
    plain = run(tmp_path)
    rows = [(title, u, f"1970-01-01T00:{int(t) // 60:02}:{int(t) % 60:02}", i) for u, i, t, title in ROWS]
    lines = ["\t".join(row) for row in [("name", "who", "when", "what"), *rows]]
    names = {"user": "who", "item": "what", "timestamp": "when", "title": "name"}
    for file, delimiter in (("own.tsv", "auto"), ("own.inter", "auto"), ("own.txt", "tab"), ("own.csv", "semicolon")):
        mark = ";" if delimiter == "semicolon" else "\t"
        (tmp_path / file).write_text("\n".join(line.replace("\t", mark) for line in lines))
        options = CsvOptions(file=str(tmp_path / file), delimiter=delimiter, **names)
        split = Csv(options).prepare(SilentReporter())
        assert rows_of(split) == rows_of(plain)
        assert split.catalog == plain.catalog


def test_the_checksum_is_that_of_the_bytes_that_were_read(tmp_path, monkeypatch):
    first = run(tmp_path)
    path, content = tmp_path / "own.csv", (tmp_path / "own.csv").read_bytes()
    read = type(path).read_bytes

    def then_change(self):
        found = read(self)
        self.write_bytes(content.replace(b"T5", b"T9"))
        return found

    monkeypatch.setattr(type(path), "read_bytes", then_change)
    split = Csv(CsvOptions(file=str(path))).prepare(SilentReporter())
    assert path.read_bytes() != content
    assert (split.catalog, split.sources) == (first.catalog, first.sources)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"header": "user,item,time,title"}, "own.csv has no column 'timestamp': its first line has user, item, time"),
        ({"header": "user,item,item,title"}, "own.csv has no column 'timestamp'"),
        ({"header": "user,item,timestamp,item", "item": "item", "title": "user"}, "name the same column 'user'"),
        ({"header": "user,item,timestamp,item", "title": "x"}, "own.csv has no column 'x'"),
        ({"rows": []}, "own.csv is empty"),
        ({"rows": [*ROWS, ("u0", "1", "soon", "T1")]}, "own.csv, line 50: timestamp 'soon' is not a whole number"),
        ({"rows": [*ROWS, ("u0", "1", "5")]}, "own.csv, line 50: 3 fields where the header has 4"),
        ({"rows": [*ROWS, ("", "1", "5", "T1")]}, "own.csv, line 50: the user is empty"),
        ({"rows": [*ROWS, ("u0", "", "5", "T1")]}, "own.csv, line 50: the item is empty"),
        ({"rows": [*ROWS, ("u0", "1", "5", "T" * 1001)][::-1]}, "own.csv: the title of item '1' has 1,001 characters"),
        ({"core": 9}, "own.csv: the 9-core leaves none of 48 interactions"),
        ({"rows": ROWS[:30]}, "own.csv: 5 windows cannot be split 8:1:1"),
        ({"titles": "item,title\n0,Name"}, "own.csv, line 3: item '1' has no title in .*names.csv"),
    ],
)
def test_malformed_data(tmp_path, change, message):
    with pytest.raises((DataError, UsageError), match=message):
        run(tmp_path, **change)


def test_two_columns_of_one_name(tmp_path):
    rows = [(*row[:3], "other", row[3]) for row in ROWS]
    with pytest.raises(DataError, match=r"own\.csv has 2 columns 'item'"):
        run(tmp_path, rows=rows, header="user,item,timestamp,item,title")


def test_ids_of_any_length(tmp_path):
    long = "9" * 5000
    rows = [(u, i if i != "5" else long, t, title) for u, i, t, title in ROWS]
    assert run(tmp_path, rows=rows).catalog.ids == ("0", "1", "2", "3", "4", long)


def test_files_that_are_not_there(tmp_path):
    with pytest.raises(UsageError, match="The data set csv needs --data-dir"):
        Csv(CsvOptions()).inputs()
    with pytest.raises(DataError, match=r"none\.csv is missing"):
        Csv(CsvOptions(file=str(tmp_path / "none.csv"))).inputs()
    with pytest.raises(UsageError, match=r"both name a file own\.csv"):
        Csv(CsvOptions(file="a/own.csv", titles="b/own.csv")).inputs()


@pytest.mark.parametrize(
    ("times", "said"),
    [
        ({0: "1700000000000"}, "1 of 48 timestamps are in milliseconds, the others in seconds"),
        ({5: "-5"}, "1 of 48 timestamps are no dates, such as -5"),
        ({5: "0", 9: "0"}, "2 of 48 timestamps are no dates, such as 0"),
        (dict.fromkeys(range(48), "7"), "all timestamps are 7, so there is no order"),
    ],
)
def test_times_that_say_nothing_are_refused(tmp_path, times, said):
    rows = [(u, i, times.get(row, str(1600000000 + int(t))), title) for row, (u, i, t, title) in enumerate(ROWS)]
    with pytest.raises(DataError, match=said):
        run(tmp_path, rows=rows)


@pytest.mark.parametrize("scale", [1, 10**7, 10**10])
@pytest.mark.parametrize("start", [0, -(10**9)])
def test_times_from_any_start_and_before_1970_are_fine(tmp_path, scale, start):
    rows = [(u, i, str(start + int(t) * scale), title) for u, i, t, title in ROWS]
    assert len(run(tmp_path, rows=rows).test) == 1


def test_days_in_either_unit_and_small_times():
    assert day(1700000000) == day(1700000000000) == "2023-11-14"
    assert day(1700000000000000) == "2023-11-14"
    assert day(-(10**9)) == "1938-04-24"
    assert day(0) == day(20180901) == day(-(10**17)) == ""


def test_a_quote_that_swallows_rows_is_found(tmp_path):
    rows = [(u, i, t, f'"{title}' if row == 3 else f'{title}"' if row == 7 else title)
            for row, (u, i, t, title) in enumerate(ROWS)]  # fmt: skip
    with pytest.raises(DataError, match=r"own\.csv, line \d+: a title has other rows in it .*is a quote missing"):
        run(tmp_path, rows=rows)


def test_a_title_may_have_two_lines(tmp_path):
    rows = [(u, i, t, f'"{title}\nDirector\'s Cut"') for u, i, t, title in ROWS]
    assert len(run(tmp_path, rows=rows).catalog.titles) == 6
