"""The temperature of a search: a number, or what the model's loss divided logits by."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from recbench.interfaces import SilentReporter
from recbench.language.textmodel import TextModel
from recbench.results import read
from recbench.spec.model import Decoder, Spec
from recbench.testing import tiny_split, tiny_text_model
from recbench_plugins.decoders.constrained_beam import BeamOptions, ConstrainedBeam
from recbench_plugins.decoders.exact import Exact, ExactOptions
from title_scores import brute_force

SPLIT = tiny_split()
DECODERS = {"constrained_beam": (ConstrainedBeam, BeamOptions), "exact": (Exact, ExactOptions)}


@pytest.fixture(scope="module")
def model() -> TextModel:
    found = tiny_text_model(SPLIT)
    with torch.no_grad():
        found.head.weight.mul_(8.0)
    found.trained_at = 2.5
    return found


@pytest.mark.parametrize("name", DECODERS)
@pytest.mark.parametrize(("given_as", "means"), [("loss", 2.5), (0.5, 0.5), (1.0, 1.0)])
def test_the_best_titles_at_a_temperature(model: TextModel, name: str, given_as: Any, means: float) -> None:
    implementation, options = DECODERS[name]
    wide = {"beams": len(SPLIT.catalog)} if name == "constrained_beam" else {}
    cases = SPLIT.test.histories()
    found = implementation(options(temperature=given_as, **wide)).rank(model, cases, 5, False, SilentReporter())
    for row, prompt in enumerate(model.encoder.prompts(cases)):
        expected = brute_force(model, prompt, False, means)
        assert found.items[row].tolist() == np.argsort(-expected, kind="stable")[:5].tolist()
        assert found.scores[row] == pytest.approx(np.sort(expected)[::-1][:5], abs=2e-5)
    assert model.temperature == 1.0  # as it was before


def test_it_changes_the_order_of_titles_with_several_choices(model: TextModel) -> None:
    lists = {
        temperature: Exact(ExactOptions(temperature=temperature)).rank(
            model, SPLIT.test.histories(), 5, False, SilentReporter()
        )
        for temperature in (1.0, "loss")
    }
    assert not np.array_equal(lists[1.0].items, lists["loss"].items)


@given(st.lists(st.floats(-4, 4), min_size=2, max_size=9), st.floats(0.3, 5).filter(lambda tau: abs(tau - 1) > 0.05))
def test_what_a_step_scores_at_1_when_it_was_trained_at_tau(logits: list[float], tau: float) -> None:
    """tau log p plus (tau - 1) times the step's Renyi entropy of order tau, as the decoder's page says."""
    z = np.array(logits)
    p = np.exp(z / tau) / np.exp(z / tau).sum()
    entropy = np.log((p**tau).sum()) / (1 - tau)
    np.testing.assert_allclose(z - np.log(np.exp(z).sum()), tau * np.log(p) + (tau - 1) * entropy, atol=1e-8)


@pytest.mark.parametrize("name", DECODERS)
def test_runs_without_the_option_keep_their_names(name: str) -> None:
    plain = Decoder.model_validate({"name": name}).plain()
    assert "temperature" not in plain["options"]
    one = Decoder.model_validate({"name": name, "options": {"temperature": 1}})
    assert one.plain() == plain
    other = Decoder.model_validate({"name": name, "options": {"temperature": "loss"}}).plain()
    assert other["options"] == {**plain["options"], "temperature": "loss"}
    assert Decoder.model_validate(other).options.temperature == "loss"  # type: ignore[attr-defined]


@pytest.mark.parametrize("wrong", [0, -1, "nan", "inf", "tau", None, True])
def test_a_wrong_temperature_is_named(wrong: Any) -> None:
    with pytest.raises(ValidationError, match="it must be loss or a positive number"):
        BeamOptions(temperature=wrong)


def test_a_search_that_fails_leaves_the_temperature_as_it_was(model: TextModel) -> None:
    decoder: Any = Exact(ExactOptions(temperature="loss"))
    with pytest.raises(AttributeError):
        decoder.rank(model, SPLIT.test.histories(), 5, False, None)  # no reporter
    assert model.temperature == 1.0
    with model.at(3.0):
        with model.at("loss"):
            assert model.temperature == 2.5
        assert model.temperature == 3.0


@pytest.mark.parametrize(
    "file", ["ml-100k-bigrec-msl-constrained_beam-1e4f91f5", "book-bigrec-lml-constrained_beam-a9884ed0"]
)
def test_a_committed_record_keeps_its_hash(file: str) -> None:
    record = read(Path(__file__).parents[2] / "leaderboards/records" / f"{file}.json")
    assert Spec.from_record(record.spec).spec_hash()[:8] == file.rpartition("-")[2]
