"""A sampled search is a function of its seed: repeated, interrupted, whatever the store holds."""

from __future__ import annotations

import json
import os
import random
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest
import torch
from click.testing import CliRunner

from recbench import inventory
from recbench.cli import cli
from recbench.errors import RecbenchError, UsageError
from recbench.interfaces import SilentReporter
from recbench.planning import plan
from recbench.results import read
from recbench.spec.model import Spec
from recbench.spec.options import Search
from recbench.spec.request import Request
from recbench.steps.store import read_meta
from recbench.tuning import Sampled, parse_space, sample, validation_score
from recbench.tuning.sampled import study_of
from recbench.tuning.space import Range, probes, space_of

SPACE = ["train.learning_rate=1e-5..1e-1:log", "train.warmup_steps=0..4", "train.schedule=constant,cosine"]
TRIALS, EPOCHS, SEED = 9, 3, 2  # with which the sixth and the last trial are pruned


class Log(SilentReporter):
    """Keeps what begins; raises when a message has been said ``times`` times."""

    def __init__(self, until: str = "", times: int = 1) -> None:
        self.until, self.left, self.begun = until, times, []

    def begin(self, name: str, total: int | None = None) -> None:
        self.begun.append(name)

    def message(self, text: str) -> None:
        if self.until and text.startswith(self.until):
            self.left -= 1
            if not self.left:
                raise KeyboardInterrupt

    @property
    def trained(self) -> int:
        return sum(name.startswith("train") for name in self.begun)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("search")
    draws = np.random.default_rng(0)
    rows = ["user,item,timestamp,title"]
    for user in range(40):
        item = int(draws.integers(30))
        for time in range(12):
            item = (item + (1 if draws.random() < 0.8 else int(draws.integers(30)))) % 30
            rows.append(f"{user},{item},{user + 100 * time},The {item}th Film")
    (folder / "own.csv").write_text("\n".join(rows) + "\n")
    return folder


def asked(place: Path, minutes: float = 0.0) -> Request:
    options: dict[str, dict[str, Any]] = {
        "backbone": {"hidden": 8, "layers": 1, "heads": 1, "inner": 8},
        "train": {"epochs": EPOCHS, "batch_size": 32, "checkpoint_minutes": minutes},
        "evaluate": {"validation_cases": 30, "cases": 20},
        "machine": {"threads": 1},
    }
    return Request(model="sasrec", dataset="csv", data_dir=str(place / "own.csv"), device="cpu", options=options)


def search_of(*spaces: str, **changed: Any) -> Search:
    how = {"sampler": "tpe", "pruner": "median", "trials": TRIALS, "seed": SEED, **changed}
    return Search(space=parse_space(spaces or SPACE), **how)


def facts(tried: list[Sampled]) -> list[Any]:
    return [(one.values, one.state, one.scores, one.trial and float(one.trial.score)) for one in tried]


Found = tuple[Request, list[Sampled], Path]


@pytest.fixture(scope="module")
def whole(place: Path) -> Found:
    """A search that was not interrupted."""
    runs = place / "whole"
    best, tried = sample(asked(place), search_of(), runs, SilentReporter())
    assert {"complete", "pruned"} == {one.state for one in tried}
    return best, tried, runs


def test_the_best_complete_trial_is_chosen_and_the_spec_says_how(whole: Found) -> None:
    best, tried, _ = whole
    complete = [one for one in tried if one.trial is not None]
    chosen = max(complete, key=lambda one: one.trial.score if one.trial else -1)
    pruned = [one for one in tried if one.state == "pruned"]
    assert best.options["train"]["learning_rate"] == chosen.values["train.learning_rate"]
    assert best.tuning == search_of().model_copy(update={"pruned": len(pruned)})
    assert all(one.trial is None and 1 <= len(one.scores) < EPOCHS for one in pruned)
    assert all(len(one.scores) == EPOCHS for one in complete)


def test_a_pruned_training_leaves_nothing_and_no_trial_ranks_the_test_set(whole: Found) -> None:
    _, tried, runs = whole
    stored = {path.name for path in (runs / "steps").glob("[!.]*")}
    for one in tried:
        assert (one.model in stored) == (one.state == "complete")
    assert not list((runs / "steps").glob(".partial/*"))
    assert not list((runs / "steps").glob(".checkpoints/*"))
    assert not list(runs.glob("search-*"))
    assert {read_meta(path)["facts"]["part"] for path in (runs / "steps").glob("ranking-*")} == {"validation"}
    assert inventory.prune(runs, dry=True) == []  # the run that was chosen keeps what the choice rests on
    (notes,) = runs.glob("*/trials.json")
    assert [trial["state"] for trial in json.loads(notes.read_text())["trials"]] == [one.state for one in tried]


def test_the_suggestions_are_those_of_an_optuna_study_with_the_same_scores(whole: Found) -> None:
    study = optuna.create_study(
        direction="maximize", sampler=optuna.samplers.TPESampler(seed=SEED), pruner=optuna.pruners.MedianPruner()
    )
    for one in whole[1]:
        trial = study.ask()
        assert one.values == {
            "train.learning_rate": pytest.approx(
                trial.suggest_float("train.learning_rate", 1e-5, 1e-1, log=True), 1e-5
            ),
            "train.warmup_steps": trial.suggest_int("train.warmup_steps", 0, 4),
            "train.schedule": trial.suggest_categorical("train.schedule", ["constant", "cosine"]),
        }
        for epoch, score in enumerate(one.scores, start=1):
            trial.report(score, epoch)
            assert trial.should_prune() == (one.state == "pruned" and epoch == len(one.scores)) or epoch == EPOCHS
        if one.trial is None:
            study.tell(trial, state=optuna.trial.TrialState.PRUNED)
        else:
            study.tell(trial, float(one.trial.score))


def test_interrupted_in_an_epoch_it_goes_on_and_finds_the_same(place: Path, whole: Found) -> None:
    runs, done = place / "halves", [one.state for one in whole[1]]
    first = done.index("pruned") + 1
    log = Log("epoch", sum(len(one.scores) for one in whole[1][:first]) + 2)  # in the next trial's second epoch
    with pytest.raises(KeyboardInterrupt):
        sample(asked(place, 1e-9), search_of(), runs, log)
    assert log.trained == first + 1
    assert len(list((runs / "steps").glob(".checkpoints/*"))) == 1  # the interrupted one's, none of the pruned one
    assert len(inventory.prune(runs, dry=True)) == 0
    again = Log()
    best, tried = sample(asked(place, 1e-9), search_of(), runs, again)
    assert facts(tried) == facts(whole[1])
    assert best.tuning == whole[0].tuning
    assert again.trained == len(done) - first  # what was pruned is not trained again
    assert not list((runs / "steps").glob(".checkpoints/*"))
    last = Log()
    assert facts(sample(asked(place), search_of(), runs, last)[1]) == facts(tried)
    assert last.begun == []


def test_fewer_trials_are_the_first_ones_and_more_go_on(place: Path, whole: Found) -> None:
    runs = whole[2]
    log = Log()
    _, tried = sample(asked(place), search_of(trials=TRIALS - 2), runs, log)
    assert facts(tried) == facts(whole[1])[: TRIALS - 2]
    assert log.trained == 0


def test_what_is_pruned_does_not_depend_on_what_the_store_holds(place: Path, whole: Found) -> None:
    runs = place / "full"
    shutil.copytree(whole[2] / "steps", runs / "steps")
    for one in whole[1]:
        if one.state == "pruned":  # a plain run has trained it to its end
            request = asked(place).with_options(one.values, "")
            validation_score(plan(request), SEED, runs, SilentReporter())
    log = Log()
    _, tried = sample(asked(place), search_of(), runs, log)
    assert log.begun == []
    assert facts(tried) == facts(whole[1])


def test_a_training_that_diverges_is_a_failed_trial(place: Path) -> None:
    runs, search = place / "bad", search_of("train.learning_rate=0.01,1e30", sampler="random", trials=4)
    best, tried = sample(asked(place, 1e-9), search, runs, SilentReporter())
    bad = [one for one in tried if one.values["train.learning_rate"] == 1e30]
    assert 0 < len(bad) < 4
    assert {one.state for one in bad} == {"diverged"}
    assert best.options["train"]["learning_rate"] == 0.01
    assert isinstance(best.tuning, Search)
    assert best.tuning.diverged == len(bad)
    assert not list((runs / "steps").glob(".checkpoints/*"))
    with pytest.raises(RecbenchError, match=r"None of the 2 trials is complete, the first because .* not finite"):
        sample(asked(place), search_of("train.learning_rate=1e30,1e31", trials=2), runs, SilentReporter())


@pytest.mark.parametrize("sampler", ["tpe", "random", "gp"])
def test_every_sampler_repeats_itself_whatever_is_drawn_in_between(sampler: str) -> None:
    space = space_of(parse_space(SPACE))

    def values(noise: int) -> list[dict[str, Any]]:
        study, found = study_of(search_of(sampler=sampler)), []
        for number in range(14):
            trial = study.ask()
            found.append({name: own.suggest(trial, name) for name, own in space.items()})
            study.tell(trial, np.sin(number + found[-1]["train.warmup_steps"]))
            for seed in (random.seed, np.random.seed, torch.manual_seed):
                seed(noise + number)
        return found

    assert values(0) == values(100)


def test_a_space_reads_back_and_is_probed_at_its_ends() -> None:
    space = parse_space(["train.learning_rate=0.0001..1E-2:log", "backbone.hidden=8..64", "loss.tau=1.0..4"])
    assert space == {
        "train.learning_rate": "0.0001..0.01:log",
        "backbone.hidden": "8..64",
        "loss.tau": "1.0..4",
    }
    assert parse_space([f"{name}={text}" for name, text in space.items()]) == space
    assert space_of(space)["loss.tau"] == Range(1.0, 4)
    assert probes(space_of(space))[:2] == [
        {"train.learning_rate": 0.0001, "backbone.hidden": 8, "loss.tau": 1.0},
        {"train.learning_rate": 0.01, "backbone.hidden": 64, "loss.tau": 4},
    ]


def call(place: Path, *words: str) -> Any:
    before = Path.cwd()
    os.chdir(place)
    try:
        own = ["--dataset", "csv", "--data-dir", "own.csv", "--device", "cpu", "--model", "sasrec"]
        return CliRunner().invoke(cli, ["tune", *own, *words])
    finally:
        os.chdir(before)


RATE = "train.learning_rate=1e-4..1e-2"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--space", "train.learning_rate=1e-2..1e-2"], "LOW must be less than HIGH"),
        (["--space", "train.warmup_steps=0..9:log"], ":log needs LOW above 0"),
        (["--space", "train.learning_rate=1e-4..x"], "finite number"),
        (["--space", "train.learning_rate=1..inf"], "must have a finite number"),
        (["--space", "train.learning_rate=1..true"], "finite number"),
        (["--space", "train.learning_rate"], "must read GROUP.OPTION=LOW..HIGH"),
        (["--space", "rate=1..2"], "must read GROUP.OPTION=LOW..HIGH"),
        (["--space", "train.learning_rat=1..2"], "--space train.learning_rat does not exist"),
        (["--space", "nothing.at_all=1..2"], "no group 'nothing'"),
        (["--space", "train.warmup_steps=0.0..9"], "should be a valid integer"),
        (["--space", "backbone.dropout=0.1..1.5"], "--space backbone.dropout=1.5 is not valid"),
        (["--space", "train.schedule=constant,cosine,sine"], "--space train.schedule='sine' is not valid"),
        (["--space", "train.schedule=constant"], "two or more different values"),
        (["--space", "evaluate.depth=10..20"], "all settings must share their evaluate options"),
        (["--space", "machine.threads=1,2"], "all settings must share their machine options"),
        (["--space", RATE, "--space", RATE], "occurs twice"),
        (["--space", RATE, "--trials", "0"], "--trials"),
        (["--space", RATE, "--sampler", "grid"], "--sampler"),
        (["--sampler", "tpe"], "--sampler goes with --space"),
        (["--trials", "3"], "--trials goes with --space"),
        (["--space", RATE, "--grid", "train.schedule=constant,cosine"], "use one"),
        (["--grid", "train.schedule=constant,cosine", "--pruner", "none"], "--pruner samples: use one"),
    ],
)
def test_a_bad_search_is_one_sentence_before_anything_is_made(place: Path, words: list[str], said: str) -> None:
    result = call(place, *words, "--runs", "refused")
    assert result.exit_code == 2, result.output
    assert len(result.stderr.splitlines()) == 1
    assert said in result.stderr
    assert not (place / "refused").exists()


def test_without_optuna_a_sentence_says_how_to_install_it(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(UsageError, match=r"pip install 'recbench-toolkit\[optuna\]'"):
        study_of(search_of())
    assert call(place, "--space", RATE, "--runs", "refused").exit_code == 2


def test_the_record_says_how_its_options_were_found_and_its_command_repeats_it(place: Path) -> None:
    small = ["backbone.hidden=8", "backbone.inner=8", "backbone.heads=1", "evaluate.cases=20", "machine.threads=1"]
    words = ["--epochs", "1", "--train-samples", "64", *(word for one in small for word in ("--set", one))]
    words += ["--space", "train.learning_rate=1e-3..1e-2:log", "--space", "backbone.layers=1,2", "--trials", "2"]
    result = call(place, *words, "--run", "--runs", "recorded")
    assert result.exit_code == 0, result.output
    (path,) = (place / "recorded").glob("*/record.json")
    record = read(path)
    assert record.spec["tuning"] == {
        "space": {"train.learning_rate": "0.001..0.01:log", "backbone.layers": [1, 2]},
        "sampler": "tpe",
        "pruner": "median",
        "seed": 1,
        "trials": 2,
        "pruned": 0,
        "diverged": 0,
        "choice": "best",
    }
    assert isinstance(Spec.from_record(record.spec).tuning, Search)
    assert Spec.from_record(record.spec).spec_hash() == record.spec_hash
    assert record.budget["tuning"] == (
        "train.learning_rate in 0.001..0.01:log; backbone.layers in 1, 2 "
        "(2 trials by tpe, seed 1, the best on validation)"
    )
    assert "learning_rate=" in record.labels.loss
    again = call(place, *record.command.split()[2:], "--runs", "recorded")  # own.csv is beside it under this name
    assert again.exit_code == 0, again.output
    assert again.stderr.count("finished before") == 1
    assert "train sasrec" not in again.stderr
    assert [p.parent.name for p in (place / "recorded").glob("*/record.json")] == [record.run]
