"""Requests of several layers: the later win, everything keeps its origin, what cannot be is one sentence."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from recbench.cli.request import ask, file_layer, set_layer
from recbench.errors import UsageError
from recbench.spec.request import Layer, Request, combine, parse_seeds, seeds_text

FILE = """\
model: bigrec
loss: msl
epochs: 3
set:
  loss:
    tau: 2
    alpha: 0.5
  train: {samples: 100}
"""


def layer(who: str, **values: Any) -> Layer:
    return Layer(values, lambda name: f"{who} {name}")


def test_later_layers_win_and_every_value_keeps_its_origin(tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_text(FILE)
    found = ask({"loss": "lml", "decoder": None}, ("loss.alpha=0.25",), tmp_path / "x.yaml")
    assert (found.model, found.loss, found.epochs, found.decoder) == ("bigrec", "lml", 3, None)
    assert found.options == {"loss": {"tau": 2, "alpha": 0.25}, "train": {"samples": 100}}
    assert found.origin("model") == "x.yaml, line 1"
    assert found.origin("loss") == "--loss"
    assert found.origin("epochs") == "x.yaml, line 3"
    assert found.origin("set.loss.tau") == "x.yaml, line 6"
    assert found.origin("set.loss.alpha") == "--set"
    assert found.origin("set.train.samples") == "x.yaml, line 8"
    assert found.origin("dataset") == "default"


def test_a_budget_flag_replaces_the_option_that_an_earlier_layer_set() -> None:
    before = layer("suite", model="m", set={"train": {"epochs": 9, "warmup_steps": 0}})
    assert combine([before, layer("flag", epochs=2)]).options == {"train": {"warmup_steps": 0}}
    after = combine([layer("flag", model="m", epochs=2), before])
    assert (after.epochs, after.options["train"]["epochs"]) == (2, 9)  # the option was said last: it wins when resolved


def test_null_withdraws_what_an_earlier_layer_said() -> None:
    first = layer("a", model="m", loss="msl", epochs=2, set={"train": {"warmup_steps": 0}, "loss": {"tau": 1, "b": 2}})
    found = combine([first, layer("b", loss=None, epochs=None, set={"train": None, "loss": {"tau": None}})])
    assert (found.loss, found.epochs) == (None, None)
    assert found.options == {"loss": {"b": 2}}
    assert found.origin("loss") == "default"
    assert combine([layer("a", model="m", set={"loss": {"tau": None}})]).options == {"loss": {"tau": None}}  # a value


def test_from_python_and_from_flags_it_is_the_same_request() -> None:
    python = combine([layer("run", model="bigrec", train_samples=5, seeds=[3, 17], set={"loss": {"tau": 2}})])
    flags = ask({"model": "bigrec", "train_samples": 5, "seeds": "3,17"}, ("loss.tau=2",), None)
    assert python.model_copy(update={"origins": {}}) == flags.model_copy(update={"origins": {}})
    assert Request.model_validate(python.model_dump(by_alias=True)).model_dump() == python.model_dump()


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"model": "m", "los": "msl"}, ("here los", "did you mean 'loss'")),
        ({"loss": "msl"}, ("--model is missing",)),
        ({"model": "m", "epochs": 0}, ("here epochs", "epochs=0", "greater than or equal to 1")),
        ({"model": "m", "epochs": "two"}, ("epochs='two'", "integer")),
        ({"model": "m", "epochs": True}, ("epochs=True",)),
        ({"model": "m", "train_samples": 2.5}, ("train_samples=2.5",)),
        ({"model": "m", "batch_size": -1}, ("batch_size=-1",)),
        ({"model": 5}, ("model=5",)),
        ({"model": "m", "device": "tpu"}, ("device='tpu'", "cpu")),
        ({"model": "m", "seeds": 0}, ("seeds=0", "at least 1")),
        ({"model": "m", "seeds": "1,1"}, ("seed 1 occurs twice",)),
        ({"model": "m", "seeds": "one"}, ("neither a count such as 5",)),
        ({"model": "m", "seeds": "123456"}, ("the single seed 123456 is written '123456,'",)),
        ({"model": "m", "seeds": "4294967296,"}, ("between 0 and 4294967295",)),
        ({"model": "m", "seeds": True}, ("seeds=True",)),
        ({"model": "m", "set": ["loss"]}, ("{group: {option: value}}",)),
        ({"model": "m", "set": {"loss": 3}}, ("here set.loss", "{group: {option: value}}")),
        ({"model": "m", "set": {"loss": {3: 4}}}, ("{group: {option: value}}",)),
    ],
)
def test_what_cannot_be_is_one_sentence_with_its_place(values: dict[str, Any], says: tuple[str, ...]) -> None:
    with pytest.raises(UsageError) as refusal:
        combine([layer("here", **values)])
    for words in says:
        assert words in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_an_error_in_a_file_names_file_and_line(tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_text("model: bigrec\n\nepochs: 1.5\n")
    with pytest.raises(UsageError, match=r"^x\.yaml, line 3: epochs=1\.5 is not valid"):
        combine([file_layer(tmp_path / "x.yaml")])
    (tmp_path / "x.yaml").write_text("model: bigrec\nlearning: 3\n")
    with pytest.raises(UsageError, match=r"^x\.yaml, line 2: unknown key 'learning'"):
        combine([file_layer(tmp_path / "x.yaml")])
    with pytest.raises(UsageError, match=r"must read GROUP\.OPTION=VALUE"):
        set_layer(["tau=2"])


@pytest.mark.parametrize(
    ("text", "seeds"),
    [("5", (1, 2, 3, 4, 5)), (2, (1, 2)), ("17,", (17,)), ("3,17,42", (3, 17, 42)), ([8, 0], (8, 0)), ("0,", (0,))],
)
def test_seeds(text: Any, seeds: tuple[int, ...]) -> None:
    assert parse_seeds(text) == seeds
    assert parse_seeds(seeds_text(seeds)) == seeds


def test_a_grid_may_name_the_decoder_and_nothing_else_without_a_group() -> None:
    request = combine([layer("a", model="bigrec", set={"loss": {"tau": 2}})])
    found = request.with_options({"decoder": "grounding", "loss.tau": 3}, "--grid")
    assert (found.decoder, found.options) == ("grounding", {"loss": {"tau": 3}})
    assert (found.origin("decoder"), found.origin("set.loss.tau")) == ("--grid", "--grid")
    assert (request.decoder, request.options) == (None, {"loss": {"tau": 2}})
    with pytest.raises(UsageError, match="--grid decoder=3 is not valid; name a decoder"):
        request.with_options({"decoder": 3}, "--grid")
