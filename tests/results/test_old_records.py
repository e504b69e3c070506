"""Records of format 1, which recbench wrote up to version 0.3."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from recbench.errors import DataError
from recbench.files import digest
from recbench.results import (
    copy,
    from_json,
    read,
    spec_hash,
    write,
)
from recbench.results.packing import pack

OLD = Path(__file__).parent / "format1"


def old_files() -> list[Path]:
    """Records as versions 0.1 to 0.3 wrote them."""
    return sorted(OLD.glob("*.json"))


def test_every_old_record_is_read_and_nested() -> None:
    assert len(old_files()) == 8
    for path in old_files():
        record, old = read(path), json.loads(path.read_bytes())
        assert record.format == 1
        recommender = record.spec["recommender"]
        assert recommender["backbone"] == old["spec"]["backbone"]
        assert recommender.get("llm") == old["spec"].get("llm")
        assert set(record.spec) <= {"dataset", "recommender", "evaluate", "machine", "tuning"}
        assert ("teacher" in recommender) == ("teacher" in old["spec"])
        assert record.case_results().top is None
        for seed, was in zip(record.seeds, old["seeds"], strict=True):
            assert seed.steps_trained == was["steps"]
            assert {s.role: s.seconds for s in seed.steps} == was["seconds"]
            assert {s.role: s.folder for s in seed.steps} == was["stages"]
            assert {s.role for s in seed.steps if s.reused} == set(was["reused"])
            spent = sum(v for k, v in was["seconds"].items() if k not in ("prepare", "rank"))
            assert seed.seconds("training") == pytest.approx(spent)
            assert seed.seconds("decoding") == was["seconds"]["rank"]
            assert all(s.kind == s.folder.rpartition("-")[0] for s in seed.steps)


def test_nested_recommenders_of_an_old_spec() -> None:
    tuned = read(next(OLD.glob("*llara-sdpo*.json"))).spec["recommender"]
    assert tuned["collaborative"]["backbone"]["name"] == "sasrec"
    assert tuned["collaborative"]["loss"]["name"] == "ce"
    assert tuned["collaborative"]["train"]["epochs"] == 3
    assert tuned["reference"]["loss"]["name"] == "lml"
    assert tuned["reference"]["backbone"] == tuned["backbone"]
    distilled = read(next(OLD.glob("*dllm2rec*.json")))
    assert distilled.language_model is not None
    assert "llm" not in distilled.spec["recommender"]


def test_an_old_record_is_copied_and_never_rewritten(tmp_path: Path) -> None:
    path = old_files()[0]
    target, record = copy(path, tmp_path)
    assert target.read_bytes() == path.read_bytes()
    assert target.name == f"{record.run}.json"
    with pytest.raises(DataError, match="older recbench"):
        write(record, tmp_path / "new.json")


def test_an_old_record_that_is_malformed_or_forged(tmp_path: Path) -> None:
    content = json.loads(old_files()[0].read_bytes())
    content.pop("sha256")

    def made(**changes: Any) -> str:
        changed = {**content, **changes}
        if isinstance(changed.get("spec"), dict) and "spec_hash" not in changes:
            changed["spec_hash"] = spec_hash(changed["spec"])
        return json.dumps({**changed, "sha256": digest(changed)})

    seed = content["seeds"][0]
    for text in (
        made(spec={}),
        made(spec={**content["spec"], "backbone": 3}),
        made(spec={**content["spec"], "dataset": None}),
        made(seeds=3),
        made(seeds=[{**seed, "seconds": 4}]),
        made(seeds=[{**seed, "stages": {"model": 3}}]),
        made(seeds=[{**seed, "ranks": pack(np.full(2238, 11))}]),
        made(spec_hash="0" * 16),
    ):
        with pytest.raises(DataError, match="not a valid record"):
            from_json(text, "r.json")
