"""Records: nothing lost on the way to disk and back, nothing accepted that is not whole."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from recbench.errors import DataError
from recbench.results import Cases, Dataset, Labels, RunRecord, SeedResult, from_json, read, to_json, write
from recbench.results.packing import pack, unpack

INT32 = st.integers(-(2**31), 2**31 - 1)


def make_record(n: int = 6, seeds: tuple[int, ...] = (1, 2), **changes: Any) -> RunRecord:
    rng = np.random.default_rng(0)
    fields: dict[str, Any] = {
        "run": "ml-100k-llara-msl-0123abcd",
        "spec": {"backbone": {"name": "llara", "options": {"a": 1.5}}, "llm": {"name": "tiny"}},
        "spec_hash": "0123abcd4567",
        "command": "recbench run --model llara --loss msl --seeds 1,2",
        "dataset": Dataset(name="ml-100k", label="MovieLens 100K", sources={"ml-100k.inter": "ab" * 32}),
        "labels": Labels(method="llara", loss="msl", decoder="constrained_beam", llm="tiny"),
        "cases": Cases(
            digest="d" * 64,
            users=np.arange(n) // 2,
            cold=np.arange(n) % 2,
            history_length=np.full(n, 10),
            popularity=rng.integers(100, size=n),
        ),
        "seeds": tuple(
            SeedResult(
                seed=seed,
                ranks=rng.integers(11, size=n),
                invalid_share=0.25,
                validation=(0.1, 1 / 3),
                best_epoch=2,
                steps=100,
                losses=((50, 3.25), (100, math.nan)),
                seconds={"train": 12.5, "rank": 3.25},
                reused=("train",),
                peak_memory_bytes=2**31,
                started="2026-11-22T03:00:00Z",
                environment={"device": "cpu", "recbench": "0.1.0", "git_dirty": None},
            )
            for seed in seeds
        ),
    }
    return RunRecord(**{**fields, **changes})


@given(hnp.arrays(np.int32, st.integers(0, 60), elements=INT32))
def test_packing_is_lossless(array: np.ndarray) -> None:
    back = unpack(json.loads(json.dumps(pack(array))))
    assert back.dtype == np.int32
    np.testing.assert_array_equal(back, array)


@pytest.mark.parametrize("array", [np.zeros((2, 2), int), np.array([0.5]), np.array([2**31])])
def test_what_cannot_be_packed_is_refused(array: np.ndarray) -> None:
    with pytest.raises(ValueError, match=r"integer array|32 bits"):
        pack(array)


@pytest.mark.parametrize(
    "packed", [None, {}, {"length": 3, "data": "!"}, {"length": -1, "data": ""}, {**pack(np.arange(3)), "length": 2}]
)
def test_what_pack_never_wrote_is_refused(packed: object) -> None:
    with pytest.raises(ValueError, match="a packed column"):
        unpack(packed)


@settings(max_examples=30)
@given(st.data(), st.integers(1, 40))
def test_a_record_comes_back_whole(data: st.DataObject, n: int) -> None:
    ranks = data.draw(hnp.arrays(np.int32, n, elements=st.integers(0, 10**6)))
    seconds = data.draw(st.dictionaries(st.text(max_size=5), st.floats(0, 1e9), max_size=3))
    seed = SeedResult(seed=3, ranks=ranks, seconds=seconds, losses=((1, 0.1),))
    record = make_record(n).model_copy(update={"seeds": (seed,)})
    text = to_json(record)
    back = from_json(text, "x.json")
    assert to_json(back) == text
    np.testing.assert_array_equal(back.seeds[0].ranks, ranks)
    assert back.seeds[0].seconds == seconds


def test_case_results_stack_the_seeds(tmp_path: Path) -> None:
    record = make_record()
    write(record, tmp_path / "r.json")
    results = read(tmp_path / "r.json").case_results()
    assert results.ranks.shape == (2, 6)
    assert results.seeds == (1, 2)
    assert results.cold.dtype == np.bool_
    assert read(tmp_path / "r.json").seeds[0].losses == ((50, 3.25), (100, None))


def test_a_record_is_compact() -> None:
    rng = np.random.default_rng(0)
    sparse = [np.where(rng.random(9000) < 0.04, rng.integers(1, 11, size=9000), 0) for _ in range(5)]
    seeds = tuple(SeedResult(seed=i, ranks=ranks) for i, ranks in enumerate(sparse))
    assert len(to_json(make_record(9000).model_copy(update={"seeds": seeds}))) < 40_000


@settings(max_examples=60)
@given(st.floats(0, 0.999))
def test_a_truncated_record_is_named(share: float) -> None:
    text = to_json(make_record()).rstrip()
    with pytest.raises(DataError, match=r"^lost/r\.json is not a complete record"):
        from_json(text[: int(share * len(text))], "lost/r.json")


@pytest.mark.parametrize(
    ("old", "new"),
    [('"best_epoch":2', '"best_epoch":1'), ("llara", "bigrec"), ("0.25", "0.35"), ('"format": 1,\n', "")],
)
def test_an_edited_record_is_refused(old: str, new: str) -> None:
    text = to_json(make_record())
    assert old in text
    with pytest.raises(DataError, match=r"r\.json .*(regenerated, never edited|not a record)"):
        from_json(text.replace(old, new, 1), "r.json")


def test_another_format_and_no_record_at_all(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="record format 7 and this recbench reads 1"):
        from_json(to_json(make_record()).replace('"format": 1', '"format": 7'), "r.json")
    with pytest.raises(DataError, match="not a record of a recbench run"):
        from_json("[1, 2]", "r.json")
    with pytest.raises(DataError, match="not a complete record"):
        from_json(b"\xff\xfe\x00", "r.json")
    with pytest.raises(DataError, match="cannot read the record"):
        read(tmp_path / "none.json")


def rechecksummed(change: Any) -> str:
    """A record whose content was changed by a program that also wrote a right checksum."""
    from recbench.results.record import _digest

    content = json.loads(to_json(make_record()))
    content.pop("sha256")
    change(content)
    return json.dumps({**content, "sha256": _digest(content)})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c["seeds"][0].update(ranks=pack(np.zeros(5, int))), "seed 1 has 5 ranks for 6 cases"),
        (lambda c: c["seeds"][0].update(ranks=pack(np.full(6, -1))), "seed 1 has a negative rank"),
        (lambda c: c["seeds"][1].update(seed=1), "a seed occurs twice"),
        (lambda c: c["seeds"][1].update(seed="1"), "seeds.1.seed"),
        (lambda c: c["cases"].update(users=pack(np.zeros(2, int))), "cold has 6 cases but users has 2"),
        (lambda c: c["cases"].update(cold=pack(np.full(6, 2))), "cold has a value other than 0 and 1"),
        (lambda c: c["dataset"].update(name="../../etc"), "dataset.name"),
        (lambda c: c.update(extra=1), "extra"),
        (lambda c: c.pop("command"), "command"),
        (lambda c: c.update(seeds=[]), "seeds"),
    ],
)
def test_an_inconsistent_record_is_refused(change: Any, message: str) -> None:
    with pytest.raises(DataError, match=f"r.json is not a valid record: .*{message}"):
        from_json(rechecksummed(change), "r.json")


def test_what_json_has_no_word_for_is_not_saved() -> None:
    with pytest.raises(DataError, match="cannot be saved as a record"):
        to_json(make_record(spec={"tau": math.nan}))
