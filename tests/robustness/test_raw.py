"""Raw files of arbitrary and of damaged content: a result or a sentence that names the file, never anything else."""

from __future__ import annotations

import gzip
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recbench.data.raw.layouts import LAYOUTS, layout
from recbench.data.raw.preparation import Steps, prepared
from recbench.errors import RecbenchError
from recbench.interfaces import SilentReporter

LINES = [
    b'{"user_id": "1", "parent_asin": "1", "timestamp": 1, "rating": 1}',
    b'{"reviewerID": "1", "asin": "1", "unixReviewTime": 1, "overall": 1, "title": "a"}',
    b"{'username': '1', 'product_id': '1', 'date': '2015-01-01'}",
    b"userId,movieId,rating,timestamp\n1,1,1,1",
    b"1::1::1::1",
    b"1\t2009-05-04\t1\ta\t\t",
    b"movieId,title",
    b"id\tname",
]
SCRAPS = (
    b"{ } ' \" : :: , [ ] ( ) \\ \\ud800 u' b'' asin 1 - NaN 1e999 1j {1} None __import__ \xff \xef\xbb\xbf \0".split()
)
PIECES = st.sampled_from([*LINES, *SCRAPS, b"\t", b"\n", b"\r", b"\n\n"])
CONTENT = st.one_of(st.binary(max_size=60), st.lists(PIECES, max_size=12).map(b"".join))
NAMES = {
    "amazon-2014": ("reviews_a.json.gz", "meta_a.json.gz"),
    "amazon-2018": ("a.json.gz", "meta_a.json.gz"),
    "amazon-2023": ("a.jsonl.gz", "meta_a.jsonl.gz"),
    "movielens-dat": ("ratings.dat", "movies.dat"),
    "movielens-csv": ("ratings.csv", "movies.csv"),
    "steam": ("steam_reviews.json.gz", "steam_games.json.gz"),
    "lastfm-1k": ("userid-timestamp-artid-artname-traid-traname.tsv",),
    "lastfm-hetrec": ("user_taggedartists-timestamps.dat", "artists.dat"),
}


@pytest.mark.parametrize("name", LAYOUTS)
@settings(max_examples=60)
@given(contents=st.tuples(CONTENT, CONTENT), packed=st.booleans())
def test_any_content_ends_in_a_result_or_a_sentence(name, contents, packed):
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder) / file for file in NAMES[name]]
        for path, content in zip(paths, contents, strict=False):
            path.write_bytes(gzip.compress(content, 1) if packed and path.suffix == ".gz" else content)
        try:
            result = prepared(layout(name), paths, Steps(core=1), SilentReporter())
        except RecbenchError as error:
            said = str(error)
            named = any(path.name in said for path in paths)
            assert named, said
            assert len(said) < 1000
        else:
            assert len(result.time) == result.counts["interactions"] > 0
            assert all(title.strip() for title in result.titles)
            "".join((*result.users, *result.items, *result.titles)).encode()
