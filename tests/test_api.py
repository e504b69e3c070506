"""recbench from Python: what a run says, what a trained recommender answers, and lists from anywhere."""

from __future__ import annotations

import itertools
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import recbench
from recbench.errors import RecbenchError, UsageError
from recbench.results import to_json
from recbench.steps.setting import Setting
from recbench.testing import tiny_split
from recbench.types import PAD, Sequences

SMALL: dict[str, dict[str, Any]] = {
    "machine": {"threads": 1},
    "evaluate": {"validation_cases": 10, "cases": 20},
}
METHODS: dict[str, dict[str, Any]] = {
    "popularity": {},
    "sasrec": {"set": {"backbone": {"hidden": 8, "layers": 1, "heads": 1, "inner": 8}}},
    "bigrec": {"set": {"llm": {"hidden": 32, "layers": 1, "heads": 2, "intermediate": 32, "vocabulary": 400}}},
}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("api")
    random, rows = np.random.default_rng(0), []
    for user in range(40):
        for step, item in enumerate(random.integers(40, size=14)):
            rows.append(f"{user},i{item},{60 * step + user},The {item}th Film")
    (folder / "own.csv").write_text("\n".join(["user,item,timestamp,title", *rows]) + "\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        yield folder


def start(model: str, **more: Any) -> recbench.Run:
    words = {**METHODS[model], **more}
    budget = {} if model == "popularity" else {"epochs": 1, "train_samples": 64, "batch_size": 16}
    data = {"dataset": "csv", "data_dir": "own.csv", "device": "cpu", "progress": False}
    return recbench.run(model, **{**data, **budget, **words, "set": {**SMALL, **words.get("set", {})}})


@pytest.fixture(scope="module")
def runs(place: Path) -> dict[str, recbench.Run]:
    return {model: start(model) for model in METHODS}


def cases_of(run: recbench.Run) -> Sequences:
    trained = run.load()
    setting = Setting(trained.spec.dataset, trained.spec.evaluate, trained.spec.machine, 1)
    return setting.test_cases(trained.split)


@pytest.mark.parametrize("model", METHODS)
def test_it_recommends_what_the_run_ranked(runs: dict[str, recbench.Run], model: str) -> None:
    run = runs[model]
    trained, cases = run.load(), cases_of(run)
    catalog, top = trained.split.catalog, run.record.seeds[0].top
    assert top is not None
    for names in (catalog.ids, catalog.titles):
        found = trained.recommend([[names[i] for i in row if i != PAD] for row in cases.history])
        assert [[item.item for item in row] for row in found] == [[catalog.ids[i] for i in row] for row in top]
    assert all(item.title == catalog.titles[catalog.ids.index(item.item)] for row in found for item in row)
    assert all(a.score >= b.score for row in found for a, b in itertools.pairwise(row))


@pytest.mark.parametrize("model", METHODS)
def test_scores_are_those_of_all_items(runs: dict[str, recbench.Run], model: str) -> None:
    trained = runs[model].load()
    history = [trained.split.catalog.titles[:3], trained.split.catalog.ids[5:6]]
    scores = trained.scores(history)
    assert scores.shape == (2, len(trained.split.catalog))
    best = trained.recommend(history, k=1)
    assert [trained.split.catalog.ids[i] for i in scores.argmax(axis=1)] == [row[0].item for row in best]


def test_a_long_history_is_read_at_its_end_and_may_be_excluded(runs: dict[str, recbench.Run]) -> None:
    trained = runs["sasrec"].load()
    ids = trained.split.catalog.ids
    width = trained.split.train.history.shape[1]
    assert trained.recommend([ids[: width + 5]]) == trained.recommend([ids[5 : width + 5]])
    found = trained.recommend([ids[:5]], k=len(ids), exclude_history=True)[0]
    assert sorted(item.item for item in found) == sorted(ids[5:])


@pytest.mark.parametrize(
    ("model", "histories", "k", "says"),
    [
        ("popularity", [["The 3rd Film"]], 3, "'The 3rd Film' is not in the catalogue of own: did you mean 'The 3"),
        ("popularity", [["i1"], ["zzz"]], 3, "'zzz' is not in the catalogue of own: give a title or an item id"),
        ("popularity", [["i1"], []], 3, "history 2 is empty: name at least one item."),
        ("popularity", ["i1"], 3, "a history must be a list of titles or ids, not 'i1'"),
        ("popularity", [["i1"]], 0, "k=0 is not between 1 and 38, the number of items"),
        ("popularity", [["i1"]], 41, "k=41"),
        ("bigrec", [["i1"]], 11, "beams"),
    ],
)
def test_what_cannot_be_answered_is_one_sentence(
    runs: dict[str, recbench.Run], model: str, histories: Any, k: int, says: str
) -> None:
    with pytest.raises(UsageError) as refusal:
        runs[model].load().recommend(histories, k=k)
    assert says in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_no_histories_give_no_lists(runs: dict[str, recbench.Run]) -> None:
    assert runs["popularity"].load().recommend([]) == []


def test_a_run_prints_as_a_line(runs: dict[str, recbench.Run]) -> None:
    for run in runs.values():
        seeds = {1: "1 seed"}.get(len(run.record.seeds), f"{len(run.record.seeds)} seeds")
        assert repr(run) == f"<Run {run.name}: {seeds}, {len(run.record.cases.users):,} test cases>"


def test_runs_are_found_by_name_and_say_what_they_measured(runs: dict[str, recbench.Run]) -> None:
    run = runs["sasrec"]
    for name in (run.name, run.name[:-4], run.folder, run.folder / "record.json"):
        assert to_json(recbench.open_run(name).record) == to_json(run.record)
    assert recbench.load(run.name).record.run == run.record.run
    ranks = run.record.seeds[0].ranks
    assert run.metrics().loc[1, "HR@10"] == pytest.approx((ranks > 0).mean())
    assert run.metrics().loc[1, "NDCG@10"] == pytest.approx(
        np.where(ranks > 0, 1 / np.log2(np.maximum(ranks, 1) + 1.0), 0).mean()
    )
    assert run.summary().loc["HR@10", "mean"] == pytest.approx((ranks > 0).mean())
    frame = run.cases()
    assert list(frame["rank"]) == list(ranks)
    assert list(frame["user"]) == list(run.record.cases.users)
    assert "NDCG@10" in run._repr_html_()
    with pytest.raises(UsageError, match="Unknown run"):
        recbench.load("nothing")
    with pytest.raises(UsageError, match="seed 99"):
        run.load(seed=99)


def test_compare_is_first_minus_other(runs: dict[str, recbench.Run]) -> None:
    found = recbench.compare(runs["sasrec"], runs["popularity"].name, runs["bigrec"].record)
    assert list(found.index) == [runs["popularity"].name, runs["bigrec"].name]
    means = {model: run.metrics()["NDCG@10"].mean() for model, run in runs.items()}
    row = found.loc[runs["popularity"].name]
    assert row["mean"] == pytest.approx(means["sasrec"])
    assert row["difference"] == pytest.approx(means["sasrec"] - means["popularity"])
    assert row["low"] <= row["difference"] <= row["high"]
    assert (found["p (Holm)"] >= found["p"]).all()
    with pytest.raises(UsageError, match="two runs or more"):
        recbench.compare(runs["sasrec"])
    with pytest.raises(UsageError, match="nothing"):
        recbench.compare(runs["sasrec"], runs["bigrec"], metric="nothing")
    few = start("popularity", set={"evaluate": {"cases": 10}})
    with pytest.raises(RecbenchError) as refusal:
        recbench.compare(runs["popularity"], few)
    assert "\n" not in str(refusal.value)


def test_slices_are_means_and_comparisons_within_parts(runs: dict[str, recbench.Run]) -> None:
    found = runs["sasrec"].slices()
    ranks, cold = runs["sasrec"].results.ranks, runs["sasrec"].results.cold
    assert found.loc[("", "all"), "cases"] == len(cold)
    assert found.loc[("", "all"), "HR@10"] == pytest.approx((ranks > 0).mean())
    assert found.loc[("cold", "warm"), "HR@10"] == pytest.approx((ranks[:, ~cold] > 0).mean())
    assert list(found.loc["head"].index) == ["head", "torso", "tail"]
    assert found.loc["head", "cases"].sum() == len(cold)
    compared = recbench.compare(runs["sasrec"], runs["popularity"], runs["bigrec"], slice="head")
    for other in ("popularity", "bigrec"):
        theirs = runs[other].slices()
        for part, row in compared.loc[runs[other].name].iterrows():
            assert row["cases"] == found.loc[("head", part), "cases"]
            assert row["mean"] == pytest.approx(found.loc[("head", part), "NDCG@10"])
            assert row["mean of the other"] == pytest.approx(theirs.loc[("head", part), "NDCG@10"])
    assert (compared["p (Holm)"] >= compared["p"]).all()
    with pytest.raises(UsageError, match="There is no slice 'haed'"):
        recbench.compare(runs["sasrec"], runs["bigrec"], slice="haed")


def test_a_lost_step_is_one_sentence(place: Path) -> None:
    run = start("popularity", set={"evaluate": {"cases": 7}})
    model = next(step.folder for step in run.record.seeds[0].steps if step.role == "model")
    moved = Path("runs/steps", model).rename("moved")
    try:
        with pytest.raises(RecbenchError, match="The model step of seed 0 is no longer in runs/steps"):
            run.load()
    finally:
        moved.rename(Path("runs/steps", model))


def test_bad_requests_name_the_argument(place: Path) -> None:
    with pytest.raises(UsageError, match=r"^epochs=: epochs=0 is not valid"):
        recbench.run("bigrec", epochs=0)
    with pytest.raises(UsageError, match="unknown key 'epoch'"):
        recbench.run("bigrec", epoch=1)
    with pytest.raises(UsageError, match=r"^set\.loss\.tua=: loss\.tua does not exist"):
        recbench.run("bigrec", loss="msl", set={"loss": {"tua": 1}}, dataset="csv", data_dir="own.csv")


def test_silent_on_request(place: Path, capfd: pytest.CaptureFixture[str]) -> None:
    start("popularity", again=True)
    assert capfd.readouterr() == ("", "")
    start("popularity", again=True, progress=True)
    assert "popularity" in "".join(capfd.readouterr())


def test_data_sets_are_splits(place: Path, runs: dict[str, recbench.Run]) -> None:
    split = recbench.datasets.load("csv", data_dir="own.csv")
    assert split.catalog == runs["sasrec"].load().split.catalog
    assert "ml-100k" in recbench.datasets.names()
    with pytest.raises(UsageError, match=r"dataset\.nothing does not exist"):
        recbench.datasets.load("csv", data_dir="own.csv", nothing=1)


def test_metrics_of_lists_are_ranx(monkeypatch: pytest.MonkeyPatch) -> None:
    # compiling ranx takes 40 s, interpreting it on a small example one: numba reads this when it is first imported
    monkeypatch.setenv("NUMBA_DISABLE_JIT", "1")
    ranx = pytest.importorskip("ranx", reason="ranx, the second library, is not installed", exc_type=ImportError)
    split, random = tiny_split(), np.random.default_rng(0)
    lists = [[split.catalog.ids[i] for i in random.permutation(len(split.catalog))[:20]] for _ in split.test.target]
    found = recbench.evaluate(lists, split)
    truth = ranx.Qrels({str(n): {split.catalog.ids[i]: 1} for n, i in enumerate(split.test.target)})
    given = ranx.Run({str(n): {item: 100.0 - r for r, item in enumerate(row)} for n, row in enumerate(lists)})
    names = {
        "NDCG@10": "ndcg@10",
        "HR@10": "hit_rate@10",
        "MRR@10": "mrr@10",
        "MAP@10": "map@10",
        "Recall@20": "recall@20",
    }
    theirs = ranx.evaluate(truth, given, list(names.values()))
    assert {ours: found[ours] for ours in names} == pytest.approx({ours: theirs[name] for ours, name in names.items()})
    assert 0 < found["NDCG@10"] < 1
    assert found["coverage@10"] == len({item for row in lists for item in row[:10]}) / len(split.catalog)
    titles = [[split.catalog.titles[split.catalog.ids.index(item)] for item in row] for row in lists]
    indices = [[split.catalog.ids.index(item) for item in row] for row in lists]
    assert recbench.evaluate(titles, split) == recbench.evaluate(indices, split) == found


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda lists: lists.pop(), "15 lists for 16 cases"),
        (lambda lists: lists[3].append("nothing"), "list 3: 'nothing' is not in the catalogue"),
        (lambda lists: lists[3].append(24), "list 3: item 24 is out of range; indices go from 0 to 23"),
        (lambda lists: lists[3].append(lists[3][0]), "list 3 recommends an item twice"),
        (lambda lists: [row.clear() for row in lists], "every list is empty"),
        (lambda lists: lists[3].append(None), "list 3: None is not in the catalogue"),
        (lambda lists: lists[3].append([1]), "list 3: [1] is not in the catalogue"),
    ],
)
def test_lists_that_cannot_be_evaluated(change: Any, says: str) -> None:
    split = tiny_split()
    lists: list[Any] = [list(range(10)) for _ in split.test.target]
    change(lists)
    with pytest.raises(UsageError) as refusal:
        recbench.evaluate(lists, split)
    assert says in str(refusal.value)


@pytest.mark.parametrize("code", ["import recbench", "import recbench; recbench.run, recbench.datasets.names()"])
def test_importing_loads_no_heavy_library(code: str) -> None:
    heavy = "{'torch', 'transformers', 'pandas', 'scipy', 'matplotlib', 'recbole', 'trl', 'peft'}"
    script = f"{code}\nimport sys\nprint(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.stdout == "[]\n", done.stderr
