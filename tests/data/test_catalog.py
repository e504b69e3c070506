"""datasets.yaml is found, complete, and its faults are named."""

from __future__ import annotations

import fnmatch

import pytest

from recbench.data import catalog
from recbench.data.raw.layouts import layout
from recbench.data.raw.preparation import Steps
from recbench.errors import DataError, UsageError

RELEASED = ["book-msl", "toy-msl"]
RAW = ["toy", "book", "clothing", "office", "ml-1m", "ml-20m", "ml-32m", "lastfm", "steam"]


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    """The package lies in an empty folder."""
    (tmp_path / "recbench" / "data").mkdir(parents=True)
    monkeypatch.setattr(catalog, "__file__", str(tmp_path / "recbench" / "data" / "catalog.py"))
    catalog.datasets.cache_clear()
    yield tmp_path
    catalog.datasets.cache_clear()


def test_every_entry_says_what_it_is():
    assert set(catalog.datasets()) == {"ml-100k", "prepared", "csv", "recbole", "parquet", *RAW, *RELEASED}
    for entry in catalog.datasets().values():
        assert entry.title
        assert entry.licence
        assert entry.preparation
    assert set(catalog.dataset("ml-100k").sha256) == {"ml-100k.inter", "ml-100k.item"}


def test_records_of_grouplens_data_show_no_examples():
    """Its licence forbids redistribution."""
    shown = {name: catalog.shows_examples(name) for name in catalog.datasets()}
    assert {name for name, may in shown.items() if not may} == {"ml-100k", "ml-1m", "ml-20m", "ml-32m"}
    assert catalog.shows_examples("a source of a third party")


@pytest.mark.parametrize("name", RAW)
def test_every_release_can_be_prepared(name):
    entry = catalog.dataset(name)
    assert Steps(**entry.prepare).core == entry.options["core"] == 5
    reads = layout(entry.layout)
    for file in entry.raw:
        assert file.endswith(".zip") or any(
            fnmatch.fnmatch(file, pattern) for pattern in (*reads.interactions, *reads.items)
        )
    assert all(file.url.startswith("https://") and file.url.endswith(name) for name, file in entry.raw.items())
    assert entry.source == "parquet"


@pytest.mark.parametrize("name", RELEASED)
def test_every_release_of_windows_has_its_files(name):
    entry = catalog.dataset(name)
    assert (entry.source, entry.layout) == ("prepared", "")
    assert {"id2name4Rec.json", "train.csv", "train_10000.csv", "test.csv"} <= set(entry.raw)
    for file, about in entry.raw.items():
        assert about.url.startswith("https://")
        assert about.url.endswith(f"/{file}")
        assert (about.size is None) == (about.sha256 is None)
    assert entry.size in (None, sum(about.size or 0 for about in entry.raw.values()))


def test_an_unknown_name_suggests_the_nearest():
    with pytest.raises(UsageError, match="Unknown data set 'ml100k': did you mean 'ml-100k'"):
        catalog.dataset("ml100k")


def test_the_copy_in_the_package_wins(elsewhere):
    with pytest.raises(DataError, match=r"datasets\.yaml is neither in .* nor next to it"):
        catalog.registry_file()
    (elsewhere / "datasets.yaml").write_text("")
    assert catalog.registry_file() == elsewhere / "datasets.yaml"
    (elsewhere / "recbench" / "datasets.yaml").write_text("")
    assert catalog.registry_file() == elsewhere / "recbench" / "datasets.yaml"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("- a\n", "must map a data set's name"),
        ("a: {source: b}\n", "missing 3 required"),
        ("a: {sauce: b}\n", "unexpected keyword argument 'sauce'"),
        (
            "a: {title: b, source: b, licence: b, preparation: b, examples: some}\n",
            "examples of a must be true or false",
        ),
        ("a: [\n", "cannot be used"),
        ("a: {source: b}\na: {source: c}\n", "line 2: the key 'a' occurs twice"),
    ],
)
def test_a_broken_file_is_named(elsewhere, text, message):
    (elsewhere / "datasets.yaml").write_text(text)
    with pytest.raises(DataError, match=f"datasets.yaml cannot be used: .*{message}" if "[\n" not in text else message):
        catalog.datasets()
