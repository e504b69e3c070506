"""RecBole's sequential models: which fit, and that they are RecBole's: same settings, loss and scores."""

from __future__ import annotations

import inspect
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from recbench.description import describe
from recbench.errors import UsageError
from recbench.planning import Plan
from recbench.spec.layers import Layers
from recbench.spec.request import Request
from recbench.spec.resolve import resolve
from recbench.testing import ScoringBackboneTests, tiny_split
from recbench.types import PAD
from recbench_plugins.backbones.recbole import FITS, REFUSED, RecBole, RecBoleOptions, published

pytest.importorskip("recbole", reason="RecBole is not installed")
USERS = ("user_embedding", "user_lambda", "UI_emb")
SMALL = {"embedding_size": 8, "hidden_size": 8, "n_layers": 1, "n_heads": 1, "inner_size": 8, "num_layers": 1}
SMALL |= {"block_num": 1, "dropout_prob": 0.2, "reranker_CAN_NUM": "5"}


def small(model: str) -> dict[str, Any]:
    return {"model": model, "settings": {k: v for k, v in SMALL.items() if k in published(model)}}


class _Contract(ScoringBackboneTests):
    name = "recbole"


for _model in FITS:  # a contract test each
    globals()[f"Test{_model}"] = type(f"Test{_model}", (_Contract,), {"options": small(_model)})
del _Contract


def test_every_sequential_model_of_recbole_fits_or_is_refused() -> None:
    from recbole.model import sequential_recommender as models
    from recbole.model.abstract_recommender import SequentialRecommender

    found = {name for name, value in inspect.getmembers(models, inspect.isclass)}
    assert all(issubclass(getattr(models, name), SequentialRecommender) for name in found)
    assert found == {*FITS, *REFUSED}


@pytest.mark.parametrize("model", ["GRU4Rec", "HGN", "TransRec"])
def test_loss_and_scores_equal_those_of_recboles_own_class(model: str) -> None:
    from recbole.model import sequential_recommender as models

    split = tiny_split()
    mine = RecBole(RecBoleOptions(**small(model)))
    torch.manual_seed(0)
    mine.build(split)
    numbers = {user: number for number, user in enumerate(np.unique(split.train.users).tolist(), start=1)}
    sizes = {"u": len(numbers) + 1, "i": len(split.catalog) + 1}
    names = {"USER_ID_FIELD": "u", "ITEM_ID_FIELD": "i", "LIST_SUFFIX": "_s", "ITEM_LIST_LENGTH_FIELD": "n"}
    width = split.train.history.shape[1]
    more = {"NEG_PREFIX": "not_", "MAX_ITEM_LIST_LENGTH": width, "device": "cpu"}
    data = SimpleNamespace(num=sizes.__getitem__, user_num=sizes["u"])
    theirs = getattr(models, model)({**published(model), **small(model)["settings"], **names, **more}, data)
    theirs.load_state_dict(mine.module.model.state_dict())
    if hasattr(theirs, "user_embedding"):
        theirs.user_embedding.weight.data[0] = theirs.user_embedding.weight[1:].mean(0)
    rows = [[int(i) + 1 for i in row if i != PAD] for row in split.test.history]
    batch = {
        "u": torch.tensor([numbers.get(int(user), 0) for user in split.test.users]),
        "i_s": torch.tensor([row + [0] * (width - len(row)) for row in rows]),
        "n": torch.tensor([len(row) for row in rows]),
        "i": torch.from_numpy(split.test.target).long() + 1,
    }
    theirs.eval()
    with torch.no_grad():
        expected = theirs.full_sort_predict(batch)[:, 1:]
    assert mine.scores(split.test.histories()) == pytest.approx(expected.numpy(), abs=1e-6)

    mine.module.eval()  # without dropout
    columns = mine.inputs(split.test.histories()) | {"target": torch.from_numpy(split.test.target).long()}
    torch.manual_seed(1)
    loss = mine.module(columns)["loss"]
    torch.manual_seed(1)
    draws = (torch.rand(1, len(split.test), dtype=torch.float64)[0] * (len(split.catalog) - 1)).long()
    negative = torch.tensor([n + (n >= t) for n, t in zip(draws.tolist(), columns["target"].tolist(), strict=True)])
    assert float(loss) == pytest.approx(float(theirs.calculate_loss(batch | {"not_i": negative + 1})), rel=1e-6)


# CORE's ``predict`` leaves its normalisation out; the other two have none
@pytest.mark.parametrize("model", sorted({*FITS} - {"CORE", "GRU4RecCPR", "SASRecCPR"}))
def test_a_score_of_all_items_is_that_of_each(model: str) -> None:
    """RecBole scores one item and all items by separate functions; SHAN's read different layouts of the history."""
    split = tiny_split()
    mine = RecBole(RecBoleOptions(**small(model)))
    torch.manual_seed(0)
    mine.build(split)
    for table in mine.module.modules():
        if isinstance(table, torch.nn.Embedding):
            table.weight.data.mul_(30)  # as large as after training
    mine.module.eval()
    cases, width = split.test.histories(), split.test.history.shape[1]
    for length in (1, 2, width):
        history = np.full_like(cases.history, PAD)
        history[:, width - length :] = np.random.default_rng(length).integers(
            len(split.catalog), size=(len(history), length)
        )
        short = type(cases)(cases.users, history, cases.time)
        with torch.no_grad():
            batch = mine.module._columns(mine.inputs(short))
            items = [torch.full_like(batch["user"], item + 1) for item in range(len(split.catalog))]
            expected = [mine.module.model.predict(batch | {"item": item}).view(len(history), -1) for item in items]
        assert mine.scores(short) == pytest.approx(torch.cat(expected, dim=1).numpy(), rel=1e-4, abs=1e-4)


@pytest.mark.parametrize("name", ["HGN", "FOSSIL", "FPMC"])  # each names its table of users in its own way
def test_a_user_without_training_windows_has_the_mean_of_the_others(name: str) -> None:
    split = tiny_split()
    model = RecBole(RecBoleOptions(**small(name)))
    torch.manual_seed(0)
    model.build(split)
    table = next(getattr(model.module.model, users) for users in USERS if hasattr(model.module.model, users)).weight
    table.data.normal_()
    cases = split.test.histories()
    strangers = type(cases)(np.full_like(cases.users, 10_000), cases.history, cases.time)
    scores = model.scores(strangers)
    assert not np.allclose(scores, model.scores(cases))
    table.data[1:] = table[1:].mean(0)  # now every user is the mean
    assert np.allclose(scores, model.scores(cases), atol=1e-6)


def test_scoring_changes_no_weight_that_a_penalty_sees() -> None:
    """Caser's penalty is on its whole table of users, row 0 included."""
    split = tiny_split()
    model = RecBole(RecBoleOptions(**small("Caser")))
    torch.manual_seed(0)
    model.build(split)
    before = {name: value.copy() for name, value in model.state().items()}
    cases = split.test.histories()
    model.scores(type(cases)(np.full_like(cases.users, 10_000), cases.history, cases.time))
    assert all(np.array_equal(value, before[name]) for name, value in model.state().items())


@pytest.mark.parametrize("model", ["GRU4Rec", "HGN"])
def test_a_model_of_some_windows_is_restored_next_to_all_of_them(model: str) -> None:
    split = tiny_split()
    some = replace(split, train=split.train.take(np.flatnonzero(split.train.users > split.train.users.min())[:3]))
    assert len(np.unique(some.train.users)) < len(np.unique(split.train.users))
    trained, again = (RecBole(RecBoleOptions(**small(model))) for _ in range(2))
    torch.manual_seed(0)
    trained.build(some)
    again.restore(split, trained.state())
    cases = split.test.histories()
    assert np.array_equal(trained.scores(cases), again.scores(cases))


@pytest.mark.parametrize("what", ["run by itself", "collaborative"])
def test_it_has_a_budget_though_no_loss_applies(what: str) -> None:
    own = what == "run by itself"
    inner = {"model": "llara", "set": {"backbone": {"collaborative": "recbole"}}}
    said = {"model": "recbole", "epochs": 3} if own else inner
    spec = resolve(Request.model_validate(said), "cpu", 1, "ml-100k", {}).spec.recommender
    found = spec if own else spec.collaborative
    assert found is not None
    assert found.loss is None
    assert found.train is not None
    assert (found.train.epochs, found.train.batch_size, found.train.learning_rate) == (3 if own else 30, 512, 2e-3)


@pytest.mark.parametrize("said", [{}, {"model": "GRU4Rec"}, {"model": "narm"}])
def test_a_row_names_the_model_the_default_one_too(said: dict[str, Any]) -> None:
    spec = resolve(
        Request.model_validate({"model": "recbole", "set": {"backbone": said}}), "cpu", 1, "ml-100k", {}
    ).spec
    split = tiny_split()
    found = describe(Plan(spec, {}, "cpu"), split, split.test, "")["labels"]
    assert found.method == f"recbole (model={'NARM' if said.get('model') == 'narm' else 'GRU4Rec'})"


def test_settings_are_recboles_own() -> None:
    settings = published("SASRecCPR")
    assert settings["layer_norm_eps"] == 1e-12  # PyYAML alone reads a text
    assert {*map(str.lower, FITS)} == {name.lower() for name in FITS if published(name)}


@pytest.mark.parametrize(
    ("said", "answer"),
    [
        ({"model": "DIN"}, "the bench cannot run DIN, since it scores one item at a time"),
        ({"model": "GRU4Recc"}, "did you mean 'GRU4Rec'"),
        ({"model": "narm", "settings": {"hidden": 3}}, "NARM has no setting 'hidden'; did you mean 'hidden_size'?"),
    ],
)
def test_what_does_not_fit_is_refused_with_the_reason(said: dict[str, Any], answer: str) -> None:
    request = Request.model_validate({"model": "recbole", "set": {"backbone": said}})
    with pytest.raises(UsageError, match=answer.replace("?", r"\?")):
        Layers(request).options("backbone", RecBoleOptions)
