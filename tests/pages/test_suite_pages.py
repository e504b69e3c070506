"""A suite's page: improvement rows, controls below their methods, chosen decoders, last epochs, clamps, time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from recbench.evaluation import metric
from recbench.pages.blocks import Block, Heading, Paragraph, Table
from recbench.pages.efficiency import accuracy_and_time, efficiency
from recbench.pages.suite import mismatches, suite_content
from recbench.pages.training import best_epochs, best_is_last, footnote, label, on_clamp, watched_text
from recbench.results import Cases, Dataset, Labels, RunRecord, SeedResult, StepRecord, spec_hash
from recbench.spec.request import Layer
from recbench.suites import Cell, Suite, load

USERS = 40


def make(
    name: str,
    hits: float,
    llm: bool = True,
    decoder: str = "constrained_beam",
    loss: dict[str, Any] | None = None,
    best: tuple[int, ...] = (1, 2, 2),
    watched: tuple[dict[str, float], ...] = ({}, {}, {}),
    tuning: dict[str, Any] | None = None,
) -> RunRecord:
    """Three seeds of a run that finds the target as often as ``hits`` says, two epochs each."""
    seeds = []
    for number, (epoch, state) in enumerate(zip(best, watched, strict=True), start=1):
        rng = np.random.default_rng([len(name), int(1000 * hits), number])
        steps = [("trie", "trie", 0.25), ("reference", "tuned", 60.0), ("model", "tuned", 40.0 + number)]
        seeds.append(
            SeedResult(
                seed=number,
                ranks=np.where(rng.random(400) < hits, rng.integers(1, 11, size=400), 0),
                validation=(0.01, 0.02),
                best_epoch=epoch,
                watched=state,
                steps=tuple(
                    StepRecord(role=r, kind=k, phase="training", folder=f"{k}-{r}", seconds=s) for r, k, s in steps
                ),
            )
        )
    recommender = {
        "backbone": {"name": name, "options": {}},
        "decoder": {"name": decoder, "options": {}},
        "loss": {"name": "msl", "options": loss or {}},
        **({"llm": {"name": "tiny", "options": {}}} if llm else {}),
    }
    spec = {
        "dataset": {"name": "x", "options": {}},
        "recommender": recommender,
        "evaluate": {"depth": 10},
        **({"tuning": tuning} if tuning else {}),
    }
    return RunRecord(
        format=1,
        run=f"x-{name}",
        spec=spec,
        spec_hash=spec_hash(spec),
        command="recbench run",
        dataset=Dataset(name="x", label="X"),
        labels=Labels(method=name, decoder=decoder),
        budget={"training windows": "10 of 20", "epochs": "2"},
        cases=Cases(
            digest="c" * 64,
            users=np.arange(400) % USERS,
            cold=np.zeros(400, int),
            history_length=np.full(400, 10),
            popularity=np.ones(400, int),
        ),
        seeds=tuple(seeds),
    )


TEXT = """
published: own.csv
cells:
  - {model: bigrec, loss: msl, name: good, grid: {decoder: [constrained_beam, grounding]}}
  - {model: llara, loss: msl, name: base}
  - {model: allmrec, loss: msl, name: other}
  - {model: sasrec, loss: msl, name: plain}
comparisons: [{of: good, over: [base, other], improvement: true}]
controls:
  - {of: good, cell: plain, without: its idea}
  - {of: good, cell: base, without: much}
  - {of: other, cell: base, without: a thing}
"""
CHOICE = {"grid": {"decoder": ["constrained_beam", "grounding"]}, "seed": 1, "trials": 2}


@pytest.fixture
def suite(tmp_path) -> Suite:
    (tmp_path / "own.yaml").write_text(TEXT)
    rows = ("good,toy,0.3,0.4", "base,toy,0.1,0.2", "other,toy,0.2,0.1")
    (tmp_path / "own.csv").write_text("method,dataset,ndcg@5,ndcg@10\n" + "\n".join(rows) + "\n")
    return load(str(tmp_path / "own.yaml"))


@pytest.fixture
def records() -> dict[str, RunRecord]:
    return {
        "good": make("bigrec", 0.8, decoder="grounding", tuning=CHOICE),
        "base": make("llara", 0.3, best=(1, 1, 1)),
        "other": make("allmrec", 0.31, best=(2, 2, 2)),
        "plain": make("sasrec", 0.2, llm=False),
    }


def table(blocks: list[Block], after: str = "") -> list[dict[str, str]]:
    """The first table, or the one below a heading, as dictionaries."""
    start = next(i for i, b in enumerate(blocks) if not after or (isinstance(b, Heading) and b.text == after))
    found = next(b for b in blocks[start:] if isinstance(b, Table))
    return [dict(zip(found.header, row, strict=True)) for row in found.rows]


def mean(record: RunRecord, name: str) -> float:
    return float(metric(name).by_seed(record.case_results()).mean())


def test_rows_stand_as_in_the_paper(suite: Suite, records: dict[str, RunRecord]) -> None:
    assert not mismatches(suite, records)
    rows = table(suite_content(suite, records))
    assert [row["cell"] for row in rows] == [
        "good †", "improvement over the best of base, other", "control, without its idea: plain †",
        "control, without much: base", "base", "other †", "control, without a thing: base",
    ]  # fmt: skip
    assert [row["decoder"] for row in rows[:2]] == ["grounding (of 2)", ""]
    assert rows[4]["decoder"] == "constrained_beam"
    for name in ("NDCG@5", "NDCG@10", "HR@5", "HR@10"):
        assert rows[0][name] == f"{mean(records['good'], name):.4f}"
        best = max(mean(records["base"], name), mean(records["other"], name))
        assert rows[1][name] == f"{mean(records['good'], name) / best - 1:+.1%}"


def test_a_control_is_marked_only_where_a_difference_is_shown(suite: Suite, records: dict[str, RunRecord]) -> None:
    blocks = suite_content(suite, records)
    plain, base, other = (row for row in table(blocks) if row["cell"].startswith("control"))
    difference = mean(records["good"], "NDCG@10") - mean(records["plain"], "NDCG@10")
    assert plain["method - control"] == f"{difference:+.4f} *"
    assert base["method - control"].endswith(" *")
    assert not other["method - control"].endswith("*"), "two systems that differ by chance"
    tested = table(blocks, "Controls")
    assert [(row["A"], row["B"], row["without"]) for row in tested] == [
        ("good", "plain", "its idea"), ("good", "base", "much"), ("other", "base", "a thing"),
    ]  # fmt: skip
    assert any(isinstance(b, Paragraph) and b.text.startswith("3 of 3 declared controls, one family") for b in blocks)


def test_a_missing_control_still_counts_in_its_family(suite: Suite, records: dict[str, RunRecord]) -> None:
    del records["plain"], records["other"]
    blocks = suite_content(suite, records)
    rows = {row["cell"]: row for row in table(blocks)}
    assert rows["control, without its idea: plain"]["seeds"] == "not run"
    assert not any(name.startswith("improvement") for name in rows)
    assert any(isinstance(b, Paragraph) and b.text.startswith("1 of 3 declared controls") for b in blocks)


def test_published_numbers_have_their_improvement_rows(suite: Suite, records: dict[str, RunRecord]) -> None:
    rows = table(suite_content(suite, records), "Published")
    assert [row["cell"] for row in rows] == ["good", "improvement over the best of base, other", "base", "other"]
    assert (rows[1]["toy NDCG@5"], rows[1]["toy NDCG@10"]) == ("+50.0%", "+100.0%")


def test_deviations_are_compared_where_the_suite_says_so(tmp_path, records: dict[str, RunRecord]) -> None:
    text = TEXT.replace("improvement: true", "deviation: true")
    (tmp_path / "own.yaml").write_text(text)
    (tmp_path / "own.csv").write_text(
        "method,dataset,ndcg@10,sd\ngood,toy,0.3,0.01\nbase,toy,0.2,0.04\nother,toy,0.1,0\n"
    )
    rows = table(suite_content(load(str(tmp_path / "own.yaml")), records), "Deviations over seeds")
    sds = {n: metric("NDCG@10").by_seed(records[n].case_results()).std(ddof=1) for n in ("good", "base", "other")}
    assert [(r["A"], r["B"], r["sd A / sd B"]) for r in rows] == [
        (name, "good", f"{sds[name] / sds['good']:.2f}") for name in ("base", "other")
    ]
    assert [r["toy, published"] for r in rows] == ["4.00", "–"]  # a deviation of 0 has no ratio


def test_a_record_of_one_decoder_is_not_the_cell_that_chooses(suite: Suite, records: dict[str, RunRecord]) -> None:
    assert "tuning of decoder" in mismatches(suite, {**records, "good": make("bigrec", 0.8)})["good"]


def test_last_epochs_are_counted_and_named() -> None:
    record = make("a", 0.3)
    assert (best_epochs(record), best_is_last(record)) == ("1, 2, 2 of 2", 2)
    untrained = make("b", 0.3, best=(0, 0, 0))
    assert (best_epochs(untrained), best_is_last(untrained), label("b", untrained)) == ("", 0, "b")
    text = footnote([("a", record), ("b", untrained), ("c", make("c", 0.3, best=(2, 2, 2)))])
    assert text.endswith("more epochs might help: a (2 of 3 seeds), c.")
    assert footnote([("b", untrained)]) == ""


ATS = {"tau": "ats", "tau_min": 1.5, "tau_max": 5.0}


@pytest.mark.parametrize(
    ("options", "watched", "on"),
    [
        (ATS, ({"tau": 1.5}, {"tau": 1.5}, {"tau": 2.2}), {"tau": (1.5, 2)}),
        (ATS, ({"tau": 4.98}, {"tau": 3.0}, {"tau": 2.2}), {"tau": (4.98, 1)}),
        ({**ATS, "tau": 1.5}, ({"tau": 1.5},) * 3, {}),  # fixed by the user
        ({**ATS, "tau": "none", "tau_min": 1.0}, ({"tau": 1.0},) * 3, {}),
        ({**ATS, "tau_min": "auto"}, ({"tau": 1.5, "tau_clamped": 0.9},) * 3, {"tau": (1.5, 3)}),
        (ATS, ({"tau": 1.5, "tau_clamped": 0.1},) * 3, {}),  # it passed by
        ({}, ({},) * 3, {}),
    ],
)
def test_a_value_on_its_clamp_is_in_the_label(
    options: dict[str, Any], watched: tuple[dict[str, float], ...], on: dict[str, tuple[float, int]]
) -> None:
    record = make("a", 0.3, loss=options, best=(1, 1, 1), watched=watched)
    found = on_clamp(record)
    assert {name: (pytest.approx(value), n) for name, (value, n) in found.items()} == on
    words = {0: "a", 3: f"a [tau sat on its clamp, {watched[0].get('tau', 0):.3g}]"}
    seeds = next(iter(on.values()))[1] if on else 0
    assert label("a", record) == words.get(
        seeds, f"a [tau sat on its clamp, {next(iter(on.values()))[0]:.3g} ({seeds} of 3 seeds)]" if on else ""
    )
    if watched[0]:
        assert watched_text(record).startswith(f"tau {watched[0]['tau']:.3g}, ")


def test_time_is_what_the_training_steps_took(records: dict[str, RunRecord]) -> None:
    data = accuracy_and_time(list(records.items()), "title")
    assert [row["name"] for row in data["rows"]] == ["good", "base", "other"]
    assert data["rows"][0]["seconds"] == pytest.approx([101.25, 102.25, 103.25])
    assert data["rows"][1]["values"] == pytest.approx(metric("NDCG@10").by_seed(records["base"].case_results()))
    blocks = efficiency(list(records.items()))
    assert [row["training seconds per seed"] for row in table(blocks, "Accuracy and training time")] == ["102"] * 4
    tries = table(blocks, "Trie")
    assert [row["language model"] for row in tries] == ["tiny", "–"]
    assert {(r["items written as"], r["tries"], r["seconds to build one"]) for r in tries} == {("title", "1", "0.25")}
    assert efficiency([("plain", make("plain", 0.2, llm=False))])[0] == Heading(2, "Trie")


def test_decoding_memory_tokens_and_choices_stand_next_to_time(records: dict[str, RunRecord]) -> None:
    def costly(seed: SeedResult) -> SeedResult:
        spent = {1: 5.0, 2: 6.0, 3: 10.0}[seed.seed]
        step = StepRecord(role="lists", kind="ranking", phase="decoding", folder="r", seconds=spent)
        said = {"tokens_an_item": spent, "choices_an_item": 2.5, "tau": 1.0}
        memory = 2**30 * (4 - seed.seed)
        return seed.model_copy(update={"steps": (*seed.steps, step), "watched": said, "peak_memory_bytes": memory})

    good = records["good"].model_copy(update={"seeds": tuple(map(costly, records["good"].seeds))})
    named = [("good", good), ("base", records["base"])]
    known, other = table(efficiency(named), "Accuracy and training time")
    columns = ("tokens an item", "choices an item", "decoding seconds", "peak memory (GiB)")
    assert [known[column] for column in columns] == ["7.0", "2.5", "6.0", "3.0"]  # two means, a median and a maximum
    assert [other[column] for column in columns] == ["–"] * 4
    alone = table(efficiency([("base", records["base"]), ("other", records["other"])]), "Accuracy and training time")
    assert not set(columns) & set(alone[0])
    assert watched_text(good) == "tau 1, 1, 1"


def test_parts_of_the_test_set_are_means_over_their_cases(tmp_path: Path, records: dict[str, RunRecord]) -> None:
    (tmp_path / "own.yaml").write_text("cells:\n- {model: llara, loss: msl, name: base}\n")
    cold = np.arange(400) < 100
    cases = records["base"].cases.model_copy(update={"cold": cold.astype(int)})
    base = records["base"].model_copy(update={"cases": cases})
    blocks = suite_content(load(str(tmp_path / "own.yaml")), {"base": base})
    (row,) = table(blocks, "Parts of the test set")
    values = metric("NDCG@10").values(base.case_results()).mean(axis=0)
    assert row["cold (100)"] == f"{values[cold].mean():.4f}"
    assert row["warm (300)"] == f"{values[~cold].mean():.4f}"


def test_a_record_of_another_identifier_is_not_the_cell() -> None:
    """A cell that names no identifier is one of titles."""
    cell = Cell("good", (Layer({"model": "bigrec", "loss": "msl"}, str),), (), {}, "", 1)
    other = Cell("named", (Layer({"model": "bigrec", "loss": "msl", "identifier": "index"}, str),), (), {}, "", 1)
    suite = Suite("x", "x", "x", (cell, other), (), (), {})
    titles = make("bigrec", 0.5)
    spec = {
        **titles.spec,
        "recommender": {**titles.spec["recommender"], "identifier": {"name": "index", "options": {}}},
    }
    index = titles.model_copy(update={"spec": spec})
    assert not mismatches(suite, {"good": titles, "named": index})
    found = mismatches(suite, {"good": index, "named": titles})
    assert found["good"] == "its record has identifier 'index' and the suite 'title'"
    assert found["named"] == "its record has identifier 'title' and the suite 'index'"


def with_llm(name: str, decay: float = 0.01, **options: object) -> RunRecord:
    made = make("bigrec", 0.5)
    given = made.spec["recommender"]
    train = {**given.get("train", {}), "weight_decay": decay}
    recommender = {**given, "llm": {"name": name, "options": options}, "train": train}
    return made.model_copy(update={"spec": {**made.spec, "recommender": recommender}})


def test_cells_of_one_llm_share_the_language_model(tmp_path: Path) -> None:
    """A suite may compare language models; a different one for a cell that should share it is detected."""
    cells = (
        "{model: bigrec, name: one}",
        "{model: bigrec, loss: msl, name: two}",
        "{model: bigrec, llm: big, name: big}",
    )
    (tmp_path / "own.yaml").write_text("cells:\n" + "".join(f"- {cell}\n" for cell in cells))
    suite = load(str(tmp_path / "own.yaml"))
    small, big = with_llm("tiny"), with_llm("big", decay=0.0)  # defaults of a pretrained model differ
    assert mismatches(suite, {"one": small, "two": small, "big": big}) == {}
    found = mismatches(suite, {"one": small, "two": big, "big": big})
    assert found == {"two": "its language model differs from that of one"}
    # recbench suite run --llm big: every cell has it, whatever its name says
    found = mismatches(suite, {"one": big, "two": big, "big": big})
    assert found == {"big": "its language model is that of one, where the suite has two"}


def test_cells_may_set_options_of_their_language_model(tmp_path: Path) -> None:
    """What a cell sets is its own; what two cells of one llm leave open must be the same."""
    cells = (
        "- {model: bigrec, llm: big, name: whole}\n- {model: bigrec, llm: big, name: cut, set: {llm: {layers: 4}}}\n"
    )
    (tmp_path / "own.yaml").write_text(f"cells:\n{cells}")
    suite = load(str(tmp_path / "own.yaml"))
    whole, cut = with_llm("big", layers=0, bits=16), with_llm("big", layers=4, bits=16)
    assert mismatches(suite, {"whole": whole, "cut": cut}) == {}
    found = mismatches(suite, {"whole": whole, "cut": with_llm("big", layers=4, bits=8)})
    assert found == {"cut": "its llm.bits differs from that of whole"}
    found = mismatches(suite, {"whole": whole, "cut": with_llm("big", layers=5, bits=16)})
    assert found == {"cut": "its record has llm.layers 5 and the suite 4"}


def test_a_note_is_on_the_page(tmp_path: Path, records: dict[str, RunRecord]) -> None:
    cells = "cells:\n- {model: llara, loss: msl, name: base}\n"
    (tmp_path / "own.yaml").write_text(f"note: |\n  Fewer windows\n  than in the paper.\n{cells}")
    blocks = suite_content(load(str(tmp_path / "own.yaml")), {"base": records["base"]})
    assert Paragraph("Fewer windows than in the paper.") in blocks


@pytest.mark.parametrize("said", ["[q_proj, v_proj]", "'q_proj, v_proj'", "'q_proj,v_proj,'"])
def test_a_list_may_be_written_as_text(tmp_path: Path, said: str) -> None:
    (tmp_path / "own.yaml").write_text(
        f"cells:\n- {{model: bigrec, set: {{llm: {{lora_targets: {said}}}}}, name: a}}\n"
    )
    suite = load(str(tmp_path / "own.yaml"))
    assert mismatches(suite, {"a": with_llm("big", lora_targets=["q_proj", "v_proj"])}) == {}
    assert "a" in mismatches(suite, {"a": with_llm("big", lora_targets=["q_proj"])})


@pytest.mark.parametrize(("said", "fits"), [("1", True), ("1.0", True), ("loss", False), ("2", False)])
def test_an_option_that_a_spec_leaves_out_has_its_default(tmp_path: Path, said: str, fits: bool) -> None:
    (tmp_path / "own.yaml").write_text(
        f"cells:\n- {{model: bigrec, set: {{decoder: {{temperature: {said}}}}}, name: a}}\n"
    )
    found = mismatches(load(str(tmp_path / "own.yaml")), {"a": make("bigrec", 0.5)})
    assert found == {} if fits else "decoder.temperature 1.0" in found["a"]


def test_a_budget_is_nothing_to_a_method_that_is_not_trained(tmp_path: Path) -> None:
    """The suite's default number of windows does not apply to popularity."""
    (tmp_path / "own.yaml").write_text(
        "defaults: {train_samples: 64}\ncells:\n- {model: popularity, name: popularity}\n"
    )
    assert mismatches(load(str(tmp_path / "own.yaml")), {"popularity": make("popularity", 0.1, llm=False)}) == {}
