"""Suites as text: what a cell asks for, which defaults it leaves out, and the line of every mistake."""

from __future__ import annotations

import os

import pytest

from recbench import registry
from recbench.errors import UsageError
from recbench.suites import load, names


@pytest.fixture
def suite(tmp_path):
    def write(text: str):
        (tmp_path / "own.yaml").write_text(text)
        return load(str(tmp_path / "own.yaml"))

    return write


def test_committed_suites_are_sound():
    assert {"table3", "table5", "table6", "smoke"} <= set(names())
    for name in names():
        found = load(name)
        known = set(found.published)
        only_controls = {control.cell for control in found.controls} - known
        cells = {cell.name for cell in found.cells}
        if name.startswith("table"):
            assert not known or known == cells - only_controls, "cells and published rows differ"
        else:  # other arms next to some of the table's
            assert not known or known & cells
        assert not any(cell.skipped for cell in found.cells)


def test_published_numbers_are_the_papers():
    """The improvements printed in Table 5 follow from its rows."""
    table = load("table5").published
    best = max(table["BIGRec+LML"]["toy"]["ndcg@10"], table["BIGRec+S-DPO"]["toy"]["ndcg@10"])
    assert table["BIGRec+MSL"]["toy"]["ndcg@10"] / best - 1 == pytest.approx(0.3135, abs=0.003)
    assert table["A-LLM+MSL"]["book"]["ndcg@10"] / table["A-LLM+LML"]["book"]["ndcg@10"] - 1 == pytest.approx(
        0.3944, abs=1e-3
    )


@pytest.mark.parametrize(
    ("control", "of", "model", "without"),
    [
        ("SASRec (DROS's sizes and loss)", "SASRec+DROS", "dros", {"alpha"}),
        ("DLLM2Rec (both weights 0)", "DLLM2Rec", "dllm2rec", {"ed_weight", "lam"}),
        ("SASRec (LLM-CF's sizes)", "LLM-CF", "llmcf", set()),
    ],
)
def test_a_control_has_the_sizes_of_its_method(control, of, model, without):
    """It differs in its idea alone, whatever the defaults of both plugins become."""
    found = load("table5")
    assert any((c.of, c.cell) == (of, control) for c in found.controls)
    cells = {cell.name: cell for cell in found.cells}
    assert cells[of].model == model

    def options(cell):
        return registry.get("backbone", cell.model).options(**cell.options.get("backbone", {})).model_dump()

    own, other = options(cells[control]), options(cells[of])
    assert {name for name in own.keys() & other.keys() if own[name] != other[name]} == without
    assert {"layers", "heads", "hidden", "inner", "dropout", "attention_dropout", "output"} <= own.keys() & other.keys()
    assert cells[control].flags.get("epochs") == cells[of].flags.get("epochs")
    losses = [registry.get("backbone", cells[name].model).default_loss for name in (control, of)]
    assert losses[0] == losses[1]


def test_lists_stand_for_one_cell_each(suite):
    found = suite(
        "names: {bigrec: BIGRec, lml: LML}\n"
        "defaults: {loss: [lml, msl], seeds: 3}\n"
        "cells:\n"
        '  - {model: [bigrec, llara], name: "{model}+{loss} {{x}}"}\n'
        "  - {model: popularity, loss: null, seeds: [17]}\n"
        "  - {model: bigrec, loss: msl, set: {loss: {tau: 2}}, grid: {loss.tau: [1, 2]}, tune_seed: 0, name: tuned}\n"
    )
    assert [cell.name for cell in found.cells] == [
        "BIGRec+LML {x}", "BIGRec+msl {x}", "llara+LML {x}", "llara+msl {x}", "popularity", "tuned",
    ]  # fmt: skip
    assert found.cells[1].flags == {"model": "bigrec", "loss": "msl", "seeds": (1, 2, 3)}
    assert found.cells[4].flags == {"model": "popularity", "seeds": (17,)}
    assert found.cells[5].options == {"loss": {"tau": 2}}
    assert (found.cells[5].grid, found.cells[5].tune_seed, found.cells[4].tune_seed) == ({"loss.tau": [1, 2]}, 0, 1)
    origins = found.cells[5].request.origins
    assert origins["seeds"].endswith("own.yaml, line 2")
    assert origins["set.loss.tau"].endswith("own.yaml, line 6")


def test_defaults_that_a_method_does_not_have_are_skipped_and_named(suite):
    """C5: this could not be written but by repeating the defaults in every cell."""
    found = suite(
        "defaults:\n"
        "  llm: some/model\n"
        "  set:\n"
        "    train: {warmup_steps: 0}\n"
        "    loss: {tau: 2}\n"
        "    collaborative_train: {epochs: 1}\n"
        "    evaluate: {cases: 8}\n"
        "cells:\n"
        "  - {model: popularity}\n"
        "  - {model: sasrec, loss: bce}\n"
        "  - {model: llara, loss: msl}\n"
    )
    popularity, sasrec, llara = found.cells
    assert popularity.options == {"evaluate": {"cases": 8}}
    assert popularity.flags == {"model": "popularity"}
    assert [text.partition(" (")[0] for text in popularity.skipped] == [
        "llm", "set.collaborative_train.epochs", "set.loss.tau", "set.train.warmup_steps",
    ]  # fmt: skip
    assert popularity.skipped[2].endswith("own.yaml, line 5)")
    assert sasrec.options == {"train": {"warmup_steps": 0}, "evaluate": {"cases": 8}}
    assert set(llara.options) == {"train", "loss", "collaborative_train", "evaluate"}
    assert llara.skipped == ()
    assert llara.flags["llm"] == "some/model"


def test_a_cells_own_options_are_never_skipped(suite):
    (cell,) = suite("cells: [{model: popularity, set: {train: {warmup_steps: 0}}}]").cells
    assert cell.options == {"train": {"warmup_steps": 0}}  # the run refuses them
    assert cell.skipped == ()


@pytest.mark.parametrize(
    ("own", "left"),
    [
        ("set: {train: {warmup_steps: null}}", {"train": {"batch_size": 8}, "loss": {"tau": 2}}),
        ("set: {train: null}", {"loss": {"tau": 2}}),
        ("set: null", {}),
        ("set: {loss: {tau: 3}}", {"train": {"batch_size": 8, "warmup_steps": 0}, "loss": {"tau": 3}}),
        ("set: {}", {"train": {"batch_size": 8, "warmup_steps": 0}, "loss": {"tau": 2}}),
    ],
)
def test_null_takes_a_default_back(suite, own, left):
    text = "defaults: {epochs: 2, set: {train: {batch_size: 8, warmup_steps: 0}, loss: {tau: 2}}}\n"
    (cell,) = suite(f"{text}cells: [{{model: bigrec, loss: msl, epochs: null, {own}}}]").cells
    assert cell.options == left
    assert "epochs" not in cell.flags


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[]", "own.yaml must hold a list of cells"),
        ("cells: []", "own.yaml must hold a list of cells"),
        ("cells: {", r"own.yaml, line 1: this is not YAML"),
        ("a: &a [x]\ncells: [*a]", "line 1: anchors such as &a are not allowed"),
        ("cells:\n- model: bigrec\n- loss: msl\n", "line 3: the cell names no model"),
        ("cells:\n- model: bigrec\n  los: msl\n", r"line 3: unknown key 'los'; did you mean 'loss'"),
        ("cells:\n- model: bigrec\n  model: llara\n", r"line 3: the key 'model' occurs twice \(first in line 2\)"),
        ("cells:\n- model: bigrec\n  nmae: x\n", "line 3: unknown key 'nmae'; did you mean 'name'"),
        ("defaults:\n  sedes: 3\ncells: [{model: bigrec}]", "line 2: unknown key 'sedes'; did you mean 'seeds'"),
        ("cells: [{model: bigrec}]\ncomparisons:\n- {of: bigrec}", "line 3: comparisons.0.over is missing"),
        ("title: x\ncell: 3\ncells: [{model: bigrec}]", "line 2: unknown key 'cell'; did you mean 'cells'"),
        ("cells:\n- {model: bigrec}\n- {model: bigrec}\n", "line 3: another cell is called 'bigrec'"),
        ("cells:\n- bigrec\n", r"line 2: cells.0 should be a mapping"),
        (
            "cells: [{model: bigrec, name: '{loss}'}]",
            "the name '{loss}' cannot be filled in .{loss} is not one of {mod",
        ),
        (
            "cells: [{model: bigrec, name: '{model.foo}'}]",
            "'{model.foo}' cannot be filled in .{model.foo} is not one of",
        ),
        ("cells: [{model: bigrec, name: '{model:>999999999}'}]", "cannot be filled in"),
        ("cells: [{model: bigrec, name: '{model'}]", "cannot be filled in .expected '}'"),
        ("cells: [{model: bigrec, name: 3}]", "line 1: cells.0.name should be a string"),
        ("cells:\n- model: bigrec\n  set: {loss: 3}\n", "line 3: 'set' must hold"),
        ("cells:\n- model: bigrec\n  set: {loss.tau: 3}\n", "line 3: .set. must hold .loss: .tau: 3.."),
        ("cells:\n- model: bigrec\n  grid: {loss.tau: 1}\n", "line 3: cells.0.grid.loss.tau should be a list"),
        ("cells:\n- model: bigrec\n  tune_seed: x\n", "line 3: cells.0.tune_seed should be a"),
        ("cells: [{model: 5}]", "line 1: model=5 is not valid; .*should be a valid string"),
        ("cells: [{model: [[a]]}]", r"model=\['a'\] is not valid"),
        ("cells:\n- model: bigrec\n  seeds: [1, two]\n", r"line 3: seeds=\[1, 'two'\] is not valid"),
        ("cells:\n- model: bigrec\n  epochs: 1:30\n", "line 3: epochs='1:30' is not valid"),
        (
            "cells: [{model: bigrec}]\ncomparisons:\n- {of: bigrec, over: [x]}",
            "line 3: 'x' is not a cell; choose from bigrec",
        ),
        ("cells: [{model: bigrec}]\ncomparisons: 3", "line 2: comparisons should be a list"),
        (
            "cells: [{model: bigrec}]\ncomparisons:\n- {of: bigrec, ovr: [x]}",
            "line 3: unknown key 'ovr'; did you mean 'over'",
        ),
        (
            "cells: [{model: bigrec}]\ncontrols:\n- {of: bigrec, cell: xx, without: text}",
            "line 3: 'xx' is not a cell; choose from bigrec",
        ),
        ("cells: [{model: bigrec}]\ncontrols:\n- {of: bigrec, cell: bigrec, without: x}", "line 3: .* its own control"),
        ("cells: [{model: bigrec}]\ncontrols:\n- {of: bigrec, cell: bigrec}", "line 3: controls.0.without is missing"),
        (
            "cells: [{model: bigrec}]\ncontrols:\n- {of: bigrec, cel: x, without: x}",
            "line 3: unknown key 'cel'; did you mean 'cell'",
        ),
        ("cells: [{model: bigrec}]\npublished: none.csv", "line 2: none.csv is missing"),
        ("cells: [{model: bigrec}]\npublished: 5", "line 2: published should be a string"),
        (
            "defaults:\n  set: {loss: {tua: 1}}\ncells: [{model: bigrec, loss: msl}, {model: sasrec}]",
            "line 2: the default set.loss.tua applies to no cell",
        ),
        (
            f"cells: [{{model: bigrec, name: '{{dataset}}', dataset: {[str(i) for i in range(1001)]}}}]",
            "more than 1000 cells",
        ),
    ],
)
def test_mistakes_are_named_with_their_line(suite, text, message):
    with pytest.raises(UsageError, match=message):
        suite(text)


def test_a_published_row_under_another_name(suite, tmp_path):
    (tmp_path / "t.csv").write_text("method,dataset,ndcg@10\ntheirs,toy,0.5\n")
    found = suite("{published: t.csv, published_as: {bigrec: theirs}, cells: [{model: bigrec}]}").published
    assert found["bigrec"] == found["theirs"] == {"toy": {"ndcg@10": 0.5}}
    for text, message in (
        ("{published: t.csv, published_as: {bigrec: their}, cells: [{model: bigrec}]}", "did you mean 'theirs'"),
        ("{published: t.csv, published_as: {bigre: theirs}, cells: [{model: bigrec}]}", "'bigre' is not a cell"),
        ("{published_as: {bigrec: theirs}, cells: [{model: bigrec}]}", "no published row 'theirs'; name its table in"),
    ):
        with pytest.raises(UsageError, match=f"own.yaml, line 1: .*{message}"):
            suite(text)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("method,dataset,ndcg@10\na,toy,x\n", "t.csv is not a table"),
        ("method,dataset,ndcg@10\na,toy,nan\n", "a number is not finite"),
        ("method,dataset,ndcg@10\na,toy\n", "t.csv is not a table"),
        ("method,dataset,ndcg@10\na,toy,1\na,toy,2\n", "line 3 repeats 'a'"),
        ("name,dataset,ndcg@10\na,toy,1\n", "t.csv is not a table"),
    ],
)
def test_tables_of_published_numbers(suite, tmp_path, table, message):
    (tmp_path / "t.csv").write_text(table)
    with pytest.raises(UsageError, match=f"own.yaml, line 1: .*{message}"):
        suite("{published: t.csv, cells: [{model: bigrec}]}")


def test_files_that_are_not_there(tmp_path):
    with pytest.raises(UsageError, match="Unknown suite 'tabel5': did you mean 'table5'"):
        load("tabel5")
    with pytest.raises(UsageError, match=r"gone\.yaml: no such file"):
        load(str(tmp_path / "gone.yaml"))
    os.mkfifo(tmp_path / "pipe.yaml")
    with pytest.raises(UsageError, match="not a regular file"):
        load(str(tmp_path / "pipe.yaml"))
