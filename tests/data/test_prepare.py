"""prepare(): options are checked before anything is read; a split survives the disk exactly."""

from __future__ import annotations

from importlib.metadata import EntryPoint

import numpy as np
import pytest

from recbench import registry
from recbench.data.catalog import entry, open_source
from recbench.data.prepare import load_split, prepare, save_split
from recbench.errors import DataError, UsageError
from recbench.interfaces import SilentReporter

MODULES = {"csv": "csv", "own": "csv", "prepared": "prepared", "ml-100k": "ml_100k"}


@pytest.fixture(autouse=True)
def _installed(monkeypatch):
    """The built-in sources, and ``own``, a third party's, whether or not the package is installed."""
    found = {
        name: [EntryPoint(name, f"recbench_plugins.sources.{module}:plugin", "recbench.sources")]
        for name, module in MODULES.items()
    }
    monkeypatch.setattr(registry, "_entries", lambda kind: found if kind == "source" else {})


@pytest.fixture
def file(tmp_path):
    """Six users who each consume the same twelve items, user by user."""
    rows = [f"u{u},{i},{100 * u + i},Film &amp; {i % 11}" for u in range(6) for i in range(12)]
    path = tmp_path / "own.csv"
    path.write_text("user,item,timestamp,title\n" + "\n".join(rows) + "\n")
    return path


@pytest.mark.parametrize("name", ["csv", "own"])
def test_prepare_adds_the_audit_to_the_facts(name, file):
    split = prepare(open_source(name, {"file": str(file)}), SilentReporter())
    assert split.facts["windows"] == {"train": 9, "valid": 1, "test": 2}
    assert split.facts["interactions"] == 72
    assert split.facts["entities_decoded"] == 12
    assert split.facts["namesake_items"] == 1


def test_a_file_that_changed_after_it_was_hashed_is_refused(file):
    source = open_source("csv", {"file": str(file)})
    inputs = source.inputs()
    prepare(source, SilentReporter(), inputs)
    file.write_text(file.read_text() + "u0,0,5000,Film\n")
    with pytest.raises(DataError, match=r"own\.csv changed while it was read: run it again"):
        prepare(source, SilentReporter(), inputs)


def test_repeated_windows_can_be_allowed(file):
    rows = [f"u{u},{(i + u) % 6},{100 * u + i},Film {(i + u) % 6}" for u in range(6) for i in range(40)]
    file.write_text("user,item,timestamp,title\n" + "\n".join(rows) + "\n")
    options = {"file": str(file), "window": 3, "protocol": "leave_one_out"}
    with pytest.raises(DataError, match=r"set dataset\.repeated_windows=counted"):
        prepare(open_source("csv", options), SilentReporter())
    facts = prepare(open_source("csv", {**options, "repeated_windows": "counted"}), SilentReporter()).facts
    assert facts["test_windows_seen"] == 6


def test_entry():
    assert entry("own").source == "own"
    with pytest.raises(UsageError, match="Unknown data set 'prepard': did you mean 'prepared'"):
        entry("prepard")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"fil": "x"}, "Data set 'csv' has no option 'fil': did you mean 'file'"),
        ({"core": "many"}, "Option 'core' of data set 'csv': .*, got 'many'"),
        ({"noun": "songs"}, "noun and noun_one go together"),
        ({"protocol": "random"}, "Option 'protocol' of data set 'csv': .*'sliding' or 'leave_one_out', got 'random'"),
        ({"window": 1}, "Option 'window' of data set 'csv': .*, got 1"),
        ({"namesakes": "mixed"}, "Option 'namesakes' of data set 'csv': .*'distinct' or 'merged', got 'mixed'"),
    ],
)
def test_wrong_options(options, message):
    with pytest.raises(UsageError, match=message):
        open_source("csv", options)


@pytest.fixture
def saved(file, tmp_path):
    split = prepare(open_source("csv", {"file": str(file)}), SilentReporter())
    split = type(split)(**{**vars(split), "sample": np.array([1, 3], dtype=np.int32)})
    save_split(split, tmp_path / "artefact")
    return split, tmp_path / "artefact"


def test_round_trip_is_exact(saved):
    split, folder = saved
    again = load_split(folder)
    assert (again.catalog, again.users, again.facts, again.sources) == (
        split.catalog, split.users, split.facts, split.sources,
    )  # fmt: skip
    for part in ("train", "valid", "test"):
        for column in ("users", "history", "target", "time"):
            before, after = (getattr(getattr(s, part), column) for s in (split, again))
            assert before.dtype == after.dtype
            np.testing.assert_array_equal(before, after)
    np.testing.assert_array_equal(again.sample, split.sample)
    assert sorted(path.name for path in folder.iterdir()) == ["split.json", "split.npz"]


@pytest.mark.parametrize("name", ["split.npz", "split.json"])
@pytest.mark.parametrize("left", [0.0, 0.3, 0.9])
def test_a_truncated_file_is_named(saved, name, left):
    path = saved[1] / name
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * left)])
    with pytest.raises(DataError, match=rf"{name} is truncated or damaged"):
        load_split(saved[1])
    path.unlink()
    with pytest.raises(DataError, match=rf"{name} is missing"):
        load_split(saved[1])
