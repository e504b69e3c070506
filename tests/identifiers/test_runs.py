"""A run of each identifier from the data to the ranks, at the smallest budget."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

import recbench
from interactions import write_random
from recbench.cli.show import show
from recbench.errors import UsageError
from recbench.planning import plan
from recbench.spec.request import Request
from recbench.steps.graph import graph

SMALL: dict[str, dict[str, Any]] = {
    "evaluate": {"cases": 20, "validation_cases": 10},
    "llm": {"hidden": 32, "layers": 1, "heads": 2, "intermediate": 32, "vocabulary": 400},
    "machine": {"threads": 1},
}


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("identifiers")
    write_random(folder / "own.csv", 40, 40, 14, "The {item}th Film")
    return folder


def run(runs: Path, naming: str | None, by: str = "msl", **groups: dict[str, Any]) -> recbench.Run:
    options = {group: {**SMALL.get(group, {}), **groups.get(group, {})} for group in {*SMALL, *groups}}
    return recbench.run(
        "bigrec", loss=by, identifier=naming, preset="cpu", device="cpu", epochs=1, train_samples=64, batch_size=32,
        dataset="csv", data_dir=str(runs / "own.csv"), set=options, runs=runs / "runs", progress=False,
    )  # fmt: skip


def roles(found: recbench.Run) -> set[str]:
    return {step.role for step in found.record.seeds[0].steps}


def test_titles_are_the_default(runs: Path) -> None:
    plain, named = run(runs, None), run(runs, "title")
    assert named.folder == plain.folder
    assert "identifier" not in plain.record.spec["recommender"]
    assert not {"identifier", "text"} & roles(plain)


@pytest.mark.parametrize(
    ("identifier", "options"),
    [
        ("index", {"shows": "both"}),
        ("collaborative", {}),
        ("semantic", {"codes": 4, "levels": 2, "alignment": 0.5}),
        ("semantic", {"method": "rqvae", "steps": 3, "levels": 2, "shows": "titles"}),
    ],
)
def test_a_run(runs: Path, identifier: str, options: dict[str, Any]) -> None:
    found = run(runs, identifier, identifier=options)
    seed = found.record.seeds[0]
    assert f"-bigrec-{identifier}-msl-" in found.name
    assert found.record.labels.method.startswith(f"bigrec (identifier={identifier}")
    assert ("identifier" in roles(found)) == (identifier != "index")
    # so few items are one part: their collaborative number is a single token too
    assert seed.watched["tokens_an_item"] == (3 if identifier == "semantic" else 1)
    assert 1 <= seed.watched["choices_an_item"] <= seed.watched["tokens_an_item"]
    assert found.record.spec["recommender"]["train"]["targets"] == ("last" if "steps" in options else "all")
    trained = found.load()
    listed = trained.recommend([[trained.split.catalog.ids[3], trained.split.catalog.ids[9]]], k=5)[0]
    assert len({one.item for one in listed}) == 5
    said = CliRunner().invoke(show, [found.name, "--limit", "1", "--runs", str(runs / "runs")], catch_exceptions=False)
    assert trained.model.encoder.text(int(found.record.cases.last[0])) in said.output


def test_what_is_learned_is_learned_once(runs: Path) -> None:
    """Two losses share the step; other options of learning have another."""
    first, second = (run(runs, "semantic", loss, identifier={"codes": 4, "levels": 2}) for loss in ("msl", "lml"))
    kept = {step.role: step for step in second.record.seeds[0].steps}
    own = {step.role: step for step in first.record.seeds[0].steps}
    assert kept["identifier"].folder == own["identifier"].folder
    assert kept["trie"].folder == own["trie"].folder
    assert kept["model"].folder != own["model"].folder


def test_what_a_history_shows_is_not_learned() -> None:
    def keys(**options: Any) -> dict[str, str]:
        steps = graph(plan(Request(model="bigrec", identifier="semantic", set={"identifier": options})).spec, 1).steps
        return {role: step.key for role, step in steps.items()}

    plain, both, fewer = keys(), keys(shows="both"), keys(codes=8)
    assert plain["identifier"] == both["identifier"] != fewer["identifier"]
    assert plain["tokenizer"] != both["tokenizer"]
    assert len({one["model"] for one in (plain, both, fewer)}) == 3


def test_preferences_and_collaborative_vectors(runs: Path) -> None:
    found = run(
        runs, "semantic", "sdpo", loss={"negatives": 2}, identifier={"codes": 4, "vectors": "both"},
        collaborative_train={"epochs": 1, "samples": 500}, collaborative={"hidden": 16, "inner": 16},
        reference_train={"epochs": 1, "samples": 64},
    )  # fmt: skip
    assert {"identifier", "collaborative", "reference"} <= roles(found)


@pytest.mark.parametrize(
    ("request_", "said"),
    [
        ({"decoder": "grounding"}, "--decoder grounding looks for titles .* --identifier index it writes none"),
        ({"set": {"identifier": {"shows": "titles"}, "train": {"targets": "all"}}}, r"shows=titles, since a history"),
        ({"model": "sasrec"}, "sasrec has no language model"),
        ({"identifier": "indeks"}, "did you mean 'index'"),
        ({"model": "llara", "llm": "SmolLM2"}, "no place for new tokens next to collaborative ones"),
        (
            {
                "model": "llara",
                "identifier": "semantic",
                "set": {"identifier": {"vectors": "both", "collaborative": "dros"}},
            },
            "identifier.collaborative=dros and backbone.collaborative=sasrec: a run has one",
        ),
    ],
)
def test_what_does_not_go_together(request_: dict[str, Any], said: str) -> None:
    from recbench.spec.resolve import resolve

    asked = Request.model_validate({"model": "bigrec", "identifier": "index", **request_})
    with pytest.raises(UsageError, match=said):
        resolve(asked, "cpu", 1, "ml-100k", {})


def test_a_suite_has_an_identifier_for_each_cell(tmp_path: Path) -> None:
    from recbench.suites.load import load

    path = tmp_path / "mine.yaml"
    path.write_text(
        "defaults: {identifier: index, set: {identifier: {shows: both}}}\n"
        "cells:\n"
        "  - {model: bigrec, identifier: [title, semantic], loss: msl}\n"
        "  - {model: bigrec, name: plain}\n"
        "  - {model: popularity}\n"
    )
    cells = {cell.name: cell.request for cell in load(str(path)).cells}
    assert {name: one.identifier for name, one in cells.items()} == {
        "bigrec + msl + title": "title", "bigrec + msl + semantic": "semantic", "plain": "index", "popularity": None
    }  # fmt: skip
    assert cells["plain"].options["identifier"] == {"shows": "both"}
    assert "identifier" not in {**cells["bigrec + msl + title"].options, **cells["popularity"].options}
