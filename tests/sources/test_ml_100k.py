"""ml-100k has the counts of the published protocol, and popularity its score."""

from __future__ import annotations

import subprocess
import sys
from importlib.util import find_spec

import numpy as np
import pytest

from recbench.data.audit import audit
from recbench.errors import DataError, RecbenchError
from recbench.interfaces import SilentReporter
from recbench_plugins.sources import ml_100k
from recbench_plugins.sources.ml_100k import Ml100k, Ml100kOptions

needs_recbole = pytest.mark.skipif(find_spec("recbole") is None, reason="RecBole, whose wheel holds it, is missing")


@pytest.fixture(scope="module")
def split():
    return Ml100k(Ml100kOptions()).prepare(SilentReporter())


@needs_recbole
def test_counts(split):
    counts = audit(split)
    assert split.facts["interactions"] == 99_287
    assert (counts["users"], counts["items"], counts["test_users"]) == (943, 1_349, 166)
    assert counts["windows"] == {"train": 71_885, "valid": 8_986, "test": 8_986}
    assert sum(counts["windows"].values()) == 89_857
    assert counts["cold_share"] == pytest.approx(0.009, abs=5e-4)
    assert counts["repeat_share"] == 0
    assert counts["top_ten_users_share"] == pytest.approx(1 / 3, abs=0.01)
    assert split.facts["namesake_items"] == 9


@needs_recbole
def test_leave_one_out():
    split = Ml100k(Ml100kOptions(protocol="leave_one_out")).prepare(SilentReporter())
    counts = audit(split)
    assert counts["windows"]["valid"] == counts["windows"]["test"] == counts["test_users"] == 943
    assert counts["users"] == 943
    assert split.facts["users_left_out"] == 0
    assert (counts["test_windows_seen"], counts["test_targets_seen"]) == (0, 0)
    # the rest gives every user with n > 13 interactions n - 2 - 10 windows, and a single one else
    n = 99_287 - 2 * 943
    assert n - 10 * 943 <= counts["windows"]["train"] < n - 9 * 943


@needs_recbole
def test_titles(split):
    titles = dict(zip(split.catalog.ids, split.catalog.titles, strict=True))
    assert titles["1"] == "Toy Story (1995)"
    assert "Ice Storm, The (1997) (2)" in titles.values()
    plain = Ml100k(Ml100kOptions(year=False)).prepare(SilentReporter())
    assert plain.catalog.titles[0] == "Toy Story"
    assert plain.test.digest() == split.test.digest()
    merged = Ml100k(Ml100kOptions(namesakes="merged")).prepare(SilentReporter())
    assert len(merged.catalog) == 1_340
    assert len(merged.test) == len(split.test)


@needs_recbole
def test_popularity_scores_as_published(split):
    """The most frequent training targets for everyone; history items stay in."""
    counts = np.bincount(split.train.target, minlength=len(split.catalog))
    top = np.argsort(-counts, kind="stable")[:10]
    hits = split.test.target[:, None] == top
    assert 0.0160 <= round((hits / np.log2(np.arange(10) + 2)).sum(axis=1).mean(), 4) <= 0.0162
    assert hits.any(axis=1).mean() == pytest.approx(0.034, abs=5e-4)


@needs_recbole
def test_a_changed_file_is_refused(tmp_path, monkeypatch):
    paths = ml_100k._paths()
    copies = tuple(tmp_path / path.name for path in paths)
    for path, copy in zip(paths, copies, strict=True):
        copy.write_bytes(path.read_bytes())
    copies[1].write_bytes(paths[1].read_bytes()[:-1])
    monkeypatch.setattr(ml_100k, "_paths", lambda: copies)
    with pytest.raises(DataError, match=r"ml-100k\.item is not the file that datasets\.yaml describes"):
        Ml100k(Ml100kOptions()).prepare(SilentReporter())


def test_without_recbole_the_message_says_how_to_install_it(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(RecbenchError, match=r"\[recbole\]' && pip install --no-deps recbole"):
        Ml100k(Ml100kOptions()).inputs()


def test_descriptors_and_reading_load_nothing_heavy():
    code = (
        "import sys; from recbench_plugins.sources import csv, ml_100k, prepared; "
        "assert not {'numpy', 'pandas', 'torch', 'recbole'} & set(sys.modules), 'descriptors'; "
        "import recbench.data.prepare; assert not {'torch', 'recbole'} & set(sys.modules), 'prepare'"
    )
    subprocess.run([sys.executable, "-c", code], check=True, env={"PYTHONPATH": ":".join(sys.path)})
