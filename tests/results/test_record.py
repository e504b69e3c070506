"""Records: nothing lost on the way to disk and back, nothing accepted that is not whole."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from recbench.errors import DataError
from recbench.files import digest
from recbench.results import (
    Cases,
    Dataset,
    Labels,
    PluginCode,
    RunRecord,
    SeedResult,
    StepRecord,
    from_json,
    read,
    spec_hash,
    to_json,
    verify,
    write,
)
from recbench.results.packing import pack, pack_lists

INT32 = st.integers(-(2**31), 2**31 - 1)
OLD = Path(__file__).parent / "format1"
ITEMS = 30


def lists(rng: np.random.Generator, n: int, depth: int = 10, items: int = ITEMS) -> np.ndarray:
    """[n, depth] items, none twice in a row."""
    return np.argsort(rng.random((n, items)), axis=1)[:, :depth].astype(np.int32)


def ranks_of(top: np.ndarray, target: np.ndarray) -> np.ndarray:
    return np.array([[*row, t].index(t) + 1 if t in row else 0 for row, t in zip(top.tolist(), target, strict=True)])


def make_record(n: int = 6, seeds: tuple[int, ...] = (1, 2), depth: int = 10, **changes: Any) -> RunRecord:
    rng = np.random.default_rng(0)
    popularity = np.append(rng.integers(1, 100, size=ITEMS - 1), 0)
    target = np.append(rng.integers(ITEMS, size=n - 1), ITEMS - 1)
    tops = [lists(rng, n) for _ in seeds]
    spec = {
        "dataset": {"name": "ml-100k", "options": {}},
        "recommender": {"backbone": {"name": "llara", "options": {"a": 1.5}}, "llm": {"name": "tiny", "options": {}}},
        "evaluate": {"depth": depth},
    }
    spec = changes.pop("spec", spec)
    fields: dict[str, Any] = {
        "run": "ml-100k-llara-msl-0123abcd",
        "spec": spec,
        "spec_hash": "0" * 16 if "tau" in spec else spec_hash(spec),
        "command": "recbench run --model llara --loss msl --seeds 1,2",
        "dataset": Dataset(name="ml-100k", label="MovieLens 100K", sources={"ml-100k.inter": "ab" * 32}),
        "labels": Labels(method="llara", loss="msl", decoder="constrained_beam", llm="tiny"),
        "cases": Cases(
            digest="d" * 64,
            users=np.arange(n) // 2,
            cold=(popularity[target] == 0).astype(int),
            history_length=np.full(n, 10),
            popularity=popularity[target],
            target=target,
            item_popularity=popularity,
            last=(target + 1) % ITEMS,
            sharing=target % 3 + 1,
        ),
        "plugins": (PluginCode(kind="loss", name="msl", distribution="x", version="1", code="ab12"),),
        "seeds": tuple(
            SeedResult(
                seed=seed,
                ranks=ranks_of(top, target),
                top=top,
                invalid_share=0.25,
                validation=(0.1, 1 / 3),
                best_epoch=2,
                steps_trained=100,
                losses=((50, 3.25), (100, math.nan)),
                steps=(
                    StepRecord(
                        role="model", kind="model", phase="training", folder="model-ab", seconds=12.5, reused=True
                    ),
                    StepRecord(role="tokens", kind="tokens", phase="training", seconds=0.5),
                    StepRecord(role="rank", kind="ranking", phase="decoding", folder="ranking-cd", seconds=3.25),
                ),
                peak_memory_bytes=2**31,
                started="2026-11-22T03:00:00Z",
                environment={"device": "cpu", "recbench": "0.1.0", "git_dirty": None},
            )
            for seed, top in zip(seeds, tops, strict=True)
        ),
    }
    return RunRecord(**{**fields, **changes})


@settings(max_examples=30)
@given(st.data(), st.integers(2, 40))
def test_a_record_comes_back_whole(data: st.DataObject, n: int) -> None:
    record = make_record(n, depth=100)
    target = record.cases.target
    top = lists(np.random.default_rng(n), n)
    # ranks below the ten that are kept stay as they are
    deep = data.draw(hnp.arrays(np.int32, n, elements=st.integers(11, ITEMS)))
    ranks = np.where(ranks_of(top, target) == 0, deep, ranks_of(top, target))
    steps = tuple(
        StepRecord(role=role, kind="model", phase="training", seconds=seconds)
        for role, seconds in data.draw(st.dictionaries(st.text(max_size=5), st.floats(0, 1e9), max_size=3)).items()
    )
    seed = SeedResult(seed=3, ranks=ranks, top=top, steps=steps, losses=((1, 0.1),))
    record = record.model_copy(update={"seeds": (seed,)})
    text = to_json(record)
    back = from_json(text, "x.json")
    assert to_json(back) == text
    np.testing.assert_array_equal(back.seeds[0].ranks, ranks)
    np.testing.assert_array_equal(back.seeds[0].top, top)
    assert back.seeds[0].steps == steps


def test_case_results_stack_the_seeds(tmp_path: Path) -> None:
    record = make_record()
    write(record, tmp_path / "r.json")
    results = read(tmp_path / "r.json").case_results()
    assert results.ranks.shape == (2, 6)
    assert results.seeds == (1, 2)
    assert results.cold.dtype == np.bool_
    assert results.top.shape == (2, 6, 10)
    assert results.depth == 10
    assert np.array_equal(results.last, record.cases.last)
    assert np.array_equal(results.sharing, record.cases.sharing)
    assert record.seeds[0].seconds("training") == 13.0
    assert record.seeds[0].seconds("data") == 0
    assert record.language_model == {"name": "tiny", "options": {}}
    assert read(tmp_path / "r.json").seeds[0].losses == ((50, 3.25), (100, None))


def test_lists_cost_little() -> None:
    """The worst case: lists that share nothing; those of a real model take about half (see results.packing)."""
    top = lists(np.random.default_rng(0), 5000, items=1349)
    assert len(json.dumps(pack_lists(top))) < 22 * 5000
    popular = np.tile(np.arange(10), (5000, 1))
    assert len(json.dumps(pack_lists(popular))) < 300


@settings(max_examples=60)
@given(st.floats(0, 0.999))
def test_a_truncated_record_is_named(share: float) -> None:
    text = to_json(make_record()).rstrip()
    with pytest.raises(DataError, match=r"^lost/r\.json is not a complete record"):
        from_json(text[: int(share * len(text))], "lost/r.json")


@pytest.mark.parametrize(
    ("old", "new"),
    [('"best_epoch":2', '"best_epoch":1'), ("llara", "bigrec"), ("0.25", "0.35"), ('"format": 2,\n', "")],
)
def test_an_edited_record_is_refused(old: str, new: str) -> None:
    text = to_json(make_record())
    assert old in text
    with pytest.raises(DataError, match=r"r\.json .*(regenerated, never edited|not a record)"):
        from_json(text.replace(old, new, 1), "r.json")


def test_another_format_and_no_record_at_all(tmp_path: Path) -> None:
    for number in ("7", "true", '"2"', "null"):
        with pytest.raises(DataError, match=r"record format .* and this recbench reads 1 to 2"):
            from_json(to_json(make_record()).replace('"format": 2', f'"format": {number}'), "r.json")
    with pytest.raises(DataError, match="not a record of a recbench run"):
        from_json("[1, 2]", "r.json")
    with pytest.raises(DataError, match="not a complete record"):
        from_json(b"\xff\xfe\x00", "r.json")
    with pytest.raises(DataError, match="cannot read the record"):
        read(tmp_path / "none.json")
    with pytest.raises(DataError, match="is a folder"):
        read(tmp_path)


def test_a_fifo_does_not_block(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "r.json")
    with pytest.raises(DataError, match="not a regular file"):
        read(tmp_path / "r.json")


def rechecksummed(change: Any, record: RunRecord | None = None) -> str:
    """A record whose content was changed by a program that also wrote right hashes."""
    content = json.loads(to_json(record or make_record()))
    content.pop("sha256")
    change(content)
    if isinstance(content.get("spec"), dict) and content["spec_hash"] != "wrong678":
        content["spec_hash"] = spec_hash(content["spec"])
    return json.dumps({**content, "sha256": digest(content)})


def column(values: Any) -> dict[str, Any]:
    return pack(np.array(values, np.int64))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c["seeds"][0].update(ranks=column([0] * 5)), "seed 1 has 5 ranks for 6 cases"),
        (lambda c: c["seeds"][0].update(ranks=column([-1] * 6)), "seed 1 has a negative rank"),
        (lambda c: c["seeds"][0].update(ranks=column([11] * 6)), "seed 1 has rank 11 in lists of 10"),
        (lambda c: c["seeds"][0].update(ranks=column([10**9] * 6)), "seed 1 has rank 1000000000 in lists of 10"),
        (lambda c: c["seeds"][0].update(ranks=column([1] * 6)), "seed 1 has rank 1 for case 0, whose target stands"),
        (lambda c: c["seeds"][1].update(ranks=column([0] * 6)), "seed 2 has rank 0 for case"),
        (lambda c: c["seeds"][0].update(top=None), "seed 1 has no top lists"),
        (lambda c: c["seeds"][0].update(top=pack_lists(np.full((6, 10), 3))), "seed 1 has an item twice"),
        (lambda c: c["seeds"][0].update(top=pack_lists(np.full((6, 9), -1))), r"top lists of shape \(6, 9\)"),
        (lambda c: c["seeds"][0].update(top=pack_lists(np.full((6, 10), 30))), "not among the 30 items"),
        (lambda c: c["seeds"][1].update(seed=1), "a seed occurs twice"),
        (lambda c: c["seeds"][1].update(seed="1"), "seeds.1.seed"),
        (lambda c: c["cases"].update(users=column([0, 0])), "cold has 6 cases but users has 2"),
        (lambda c: c["cases"].update(cold=column([2] * 6)), "cold has a value other than 0 and 1"),
        (lambda c: c["cases"].update(cold=column([1] * 6)), "has the wrong cold flag for its target"),
        (lambda c: c["cases"].update(popularity=column([7] * 6)), "another popularity than its target"),
        (lambda c: c["cases"].update(target=column([30] * 6)), "a target is not among the 30 items"),
        (lambda c: c["cases"].update(target=column([])), "target has 0 cases but users has 6"),
        (lambda c: c["cases"].update(last=column([0] * 5)), "last has 5 cases but users has 6"),
        (lambda c: c["cases"].update(last=column([30] * 6)), "a history ends with an item that is not among the 30"),
        (lambda c: c["cases"].update(sharing=column([1] * 5)), "sharing has 5 cases but users has 6"),
        (lambda c: c["cases"].update(sharing=column([0] * 6)), "a title shares its first word with none"),
        (lambda c: c["cases"].update(users=column([-1] * 6)), "negative"),
        (lambda c: c["dataset"].update(name="../../etc"), "dataset.name"),
        (lambda c: c.update(run="../../x"), "run"),
        (lambda c: c.update(run=".hidden"), "run"),
        (lambda c: c.update(run="a/b"), "run"),
        (lambda c: c.update(run="a\\b"), "run"),
        (lambda c: c.update(run="x\u202ey"), "run"),
        (lambda c: c.update(run="x" * 201), "run"),
        (lambda c: c["seeds"][0]["steps"][0].update(folder="../x"), "steps.0.folder"),
        (lambda c: c["plugins"].append(c["plugins"][0]), "a plugin occurs twice"),
        (lambda c: c.update(spec_hash="wrong678"), "spec_hash is not the hash of its spec"),
        (lambda c: c["spec"].pop("evaluate"), "spec"),
        (lambda c: c["spec"]["evaluate"].update(depth="ten"), "spec"),
        (lambda c: c.update(spec=[]), "spec"),
        (lambda c: c.update(extra=1), "extra"),
        (lambda c: c.pop("command"), "command"),
        (lambda c: c.update(seeds=[]), "seeds"),
        (lambda c: c.update(seeds={}), "seeds"),
    ],
)
def test_an_inconsistent_record_is_refused(change: Any, message: str) -> None:
    text = rechecksummed(change)
    with pytest.raises(DataError, match=f"r.json is not a valid record: .*{message}"):
        from_json(text, "r.json")


def test_a_rank_below_the_kept_lists_must_not_be_in_them() -> None:
    record = make_record(depth=20)
    ranks = record.seeds[0].ranks
    below = np.where(ranks == 0, 15, ranks)
    forged = np.where(ranks == 0, ranks, 15)
    assert (ranks > 0).any()
    assert from_json(rechecksummed(lambda c: c["seeds"][0].update(ranks=pack(below)), record), "r.json")
    with pytest.raises(DataError, match="has rank 15 for case"):
        from_json(rechecksummed(lambda c: c["seeds"][0].update(ranks=pack(forged)), record), "r.json")
    assert verify(record) == ()


def deep(levels: int) -> str:
    return "[" * levels + "]" * levels


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (deep(100_000), "nested too deeply|not a record"),
        ('{"format": 2, "spec": ' + deep(100_000) + "}", "nested too deeply"),
        ('{"format": 2, "spec": ' + deep(400) + "}", "does not match its checksum"),
        ('{"format": 2, "seed": ' + "1" * 5000 + "}", "not a complete record"),
        ('{"format": 2, "x": NaN}', "NaN is not JSON"),
        ('{"format": 2, "x": -Infinity}', "-Infinity is not JSON"),
    ],
)
def test_bombs_and_nonsense_are_one_sentence(text: str, message: str) -> None:
    with pytest.raises(DataError, match=message) as caught:
        from_json(text, "r.json")
    assert "\n" not in str(caught.value)


def test_a_record_that_inflates_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    import tracemalloc

    from recbench.results import saved

    assert saved.MAX_MEMORY <= 2**30
    monkeypatch.setattr(saved, "MAX_MEMORY", 2**20)
    bomb = pack(np.zeros(5_000_000, np.int8))  # 20 MB of int32 from 26 kB
    text = rechecksummed(lambda c: c["seeds"][0].update(ranks=bomb))
    tracemalloc.start()
    with pytest.raises(DataError, match="asks for 20,001,"):
        from_json(text, "r.json")
    assert tracemalloc.get_traced_memory()[1] < 2e6
    tracemalloc.stop()


def test_a_declared_length_that_is_not_there_is_refused() -> None:
    text = rechecksummed(lambda c: c["cases"]["users"].update(length=10**30))
    with pytest.raises(DataError, match="a record may ask for"):
        from_json(text, "r.json")
    text = rechecksummed(lambda c: c["cases"]["users"].update(length=1000))
    with pytest.raises(DataError, match="does not hold the 1000 values"):
        from_json(text, "r.json")


def test_a_large_file_is_not_parsed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from recbench.results import saved

    write(make_record(), tmp_path / "r.json")
    monkeypatch.setattr(saved, "MAX_FILE", 1000)
    with pytest.raises(DataError, match="larger than a record may be"):
        read(tmp_path / "r.json")


def test_what_json_has_no_word_for_is_not_saved() -> None:
    record = make_record()
    for spec in ({**record.spec, "tau": math.nan}, {**record.spec, "tau": "\ud800"}):
        with pytest.raises(DataError, match="cannot be saved as a record"):
            to_json(make_record(spec=spec))


def test_a_killed_writers_file_is_swept(tmp_path: Path) -> None:
    import socket

    left = tmp_path / f".0123456789ab.{socket.gethostname()}.{2**22 + 1}.recbench-tmp"
    left.write_bytes(b"half")
    write(make_record(), tmp_path / "r.json")
    assert [p.name for p in tmp_path.iterdir()] == ["r.json"]
