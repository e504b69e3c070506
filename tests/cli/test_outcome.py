"""What a run ends with: sparkline, place, and figures of many seeds."""

from __future__ import annotations

import io
from types import SimpleNamespace

import numpy as np
import pytest

from recbench.cli.outcome import facts, figures, sparkline, standing
from recbench.results import RunRecord, read


def record_of(done: SimpleNamespace, name: str) -> RunRecord:
    return read(done.folder / "runs" / done.ids[name] / "record.json")


def test_a_bar_for_each_epoch() -> None:
    assert sparkline([0.0, 0.5, 1.0]) == "▁▅█"
    assert sparkline([3.0, None, 1.0, 2.0]) == "█·▁▅"
    assert sparkline([0.2, 0.2]) == "▁▁"
    assert sparkline([0.0, 1.0, 3.0, None, None, None, 2.0], 2) == "▁█·▅"  # means of .5, 3, none, 2
    assert sparkline([0.1]) == sparkline([]) == sparkline([None, None]) == ""


def test_a_terminal_without_bars_gets_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdout", io.TextIOWrapper(io.BytesIO(), encoding="latin-1"))
    assert sparkline([0.0, 1.0]) == ""


def test_the_place_is_among_runs_on_the_same_cases(done: SimpleNamespace) -> None:
    popularity, few, text = (record_of(done, name) for name in ("popularity", "few", "text"))
    assert few.cases.digest == text.cases.digest != popularity.cases.digest
    assert standing(popularity, [popularity, few, text]) == ""
    perfect = text.model_copy(
        update={
            "run": "perfect",
            "seeds": tuple(s.model_copy(update={"ranks": np.ones_like(s.ranks)}) for s in text.seeds),
        }
    )
    everyone = [popularity, few, text, perfect]
    assert standing(perfect, everyone) == "1 of 3 runs on these test cases by mean NDCG@10"
    ending = " of 3 runs on these test cases by mean NDCG@10 (first: perfect, 1.0000)"
    assert {standing(one, everyone) for one in (few, text)} in ({"2" + ending, "3" + ending}, {"2" + ending})


def test_validation_of_each_seed_and_many_seeds(done: SimpleNamespace) -> None:
    text = record_of(done, "text")
    curves = {"validation": (0.1, 0.3, 0.2), "best_epoch": 2}
    many = text.model_copy(
        update={"seeds": tuple(text.seeds[0].model_copy(update={"seed": n, **curves}) for n in range(1, 8))}
    )
    assert dict(facts(many, []))["validation"] == f"{'  '.join(['▁█▅'] * 5)}  by epoch; best: 2, 2, 2, 2, 2, …"
    long = many.model_copy(
        update={"seeds": tuple(s.model_copy(update={"validation": (0.1, 0.3) * 100}) for s in many.seeds)}
    )
    said = dict(facts(long, []))["validation"]
    assert said.endswith("  17 epochs a bar; best: 2, 2, 2, 2, 2, …")
    assert len(said) < 120
    head, first, *_ = figures(many)
    assert head == ["metric", "mean ± sd", "seed 1", "seed 2", "seed 3", "seed 4", "seed 5", "…"]
    assert len(first) == len(head)
    assert "validation" not in dict(facts(record_of(done, "popularity"), []))
    assert figures(record_of(done, "popularity"))[0] == ["metric", "value"]
