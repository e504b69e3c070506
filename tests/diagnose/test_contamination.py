"""What a language model has seen of a data set: a model that knows it by heart, one that knows nothing, a real one."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from recbench.diagnose import contamination as module
from recbench.errors import UsageError
from recbench.interfaces import SilentReporter
from recbench.spec.request import Request
from recbench.testing import tiny_split
from recbench.testing.models import tiny_text_model
from recbench.types import PAD


@pytest.fixture
def split() -> Any:
    return tiny_split()


def _by_heart(split: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A model that knows titles, the catalogue's order and every history."""
    titles = split.catalog.titles
    known = {
        "\n".join(titles[i] for i in history) + "\n": titles[target] for history, target in module._histories(split)
    }

    def continued(model: Any, beginnings: Sequence[str]) -> list[str]:
        def of(text: str) -> str:
            return text + known[text] if text in known else next(t for t in titles if t.startswith(text)) + " and so on"

        return [of(text) for text in beginnings]

    def log_probabilities(model: Any, texts: Sequence[str]) -> np.ndarray:
        return np.array([0.0] + [-1.0] * (len(texts) - 1))

    monkeypatch.setattr(module, "_continued", continued)
    monkeypatch.setattr(module, "_log_probabilities", log_probabilities)


def test_a_model_that_knows_the_data_by_heart(split: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    _by_heart(split, monkeypatch)
    answer = module.probe(None, split, 1, SilentReporter())  # type: ignore[arg-type]
    # several titles begin alike; it says the first of them
    halves = [(title, " ".join(title.split()[: (len(title.split()) + 1) // 2])) for title in split.catalog.titles]
    said = [next(t for t in split.catalog.titles if t.startswith(half)).startswith(title) for title, half in halves]
    assert answer["titles completed"]["all"]["count"] == sum(said) > 0
    assert answer["next item named"]["share"] == 1
    targets = [target for _, target in module._histories(split)]
    apart = sum(a != b for a, b in zip(targets, targets[-1:] + targets[:-1], strict=True))
    assert answer["next item named"]["p"] == pytest.approx(0.5**apart)
    for order in answer["own order preferred"].values():
        assert (order["share"], order["by chance"]) == (1, 0.2)
        assert order["p"] == pytest.approx(0.2 ** order["of"])
    words = module.sentences({"llm": "it", **answer})
    assert words[0] == f"it completes {sum(said)} of {len(said)} titles from the first half of their words."
    assert len(words) == 2 + len(answer["own order preferred"])


def test_a_model_that_knows_nothing(split: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    draw = random.Random(0)
    monkeypatch.setattr(module, "_continued", lambda model, texts: [f"{text} nothing" for text in texts])
    monkeypatch.setattr(module, "_log_probabilities", lambda model, texts: np.array([draw.random() for _ in texts]))
    answer = module.probe(None, split, 1, SilentReporter())  # type: ignore[arg-type]
    assert answer["titles completed"]["all"]["count"] == 0
    assert (answer["next item named"]["count"], answer["next item named"]["p"]) == (0, 1.0)
    for order in answer["own order preferred"].values():
        assert order["p"] > 0.001


def test_a_data_set_without_a_full_history(split: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    _by_heart(split, monkeypatch)
    history = np.where(np.arange(split.train.history.shape[1]) == 0, PAD, split.train.history)
    short = replace(split, train=replace(split.train, history=history))
    answer = module.probe(None, short, 1, SilentReporter())  # type: ignore[arg-type]
    said = module.sentences(answer | {"llm": "x"})
    assert (
        "Of 0 lists of the histories, 0 are most probable in their own order; by chance 0 would be (p 1.000)." in said
    )


def test_log_probabilities_are_those_of_each_text_alone() -> None:
    model = tiny_text_model()
    texts = ["Apple pie\nRed car", "Blue"]
    found = module._log_probabilities(model, texts)
    for text, value in zip(texts, found, strict=True):
        ids = torch.tensor([model.encoder.tokenizer(text)["input_ids"]])
        with torch.no_grad():
            loss = model.causal(input_ids=ids, labels=ids).loss  # a mean over the tokens behind the first
        expected = 0.0 if ids.shape[1] == 1 else -float(loss) * (ids.shape[1] - 1)
        assert value == pytest.approx(expected, abs=1e-4)


def test_a_text_goes_on_greedily() -> None:
    model = tiny_text_model()
    text = model.encoder.tokenizer.decode(model.encoder.answers[0][:1])
    (said,) = module._continued(model, [text])
    ids = model.encoder.tokenizer(text)["input_ids"]
    row = list(ids)
    for _ in range(max(map(len, model.encoder.answers))):
        with torch.no_grad():
            token = int(model.causal(input_ids=torch.tensor([row])).logits[0, -1].argmax())
        if token == model.encoder.tokenizer.eos_token_id:
            break
        row.append(token)
    assert said.startswith(text)
    assert said.endswith(model.encoder.tokenizer.decode(row[len(ids) :], skip_special_tokens=True))


def test_older_and_newer_items(split: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    _by_heart(split, monkeypatch)
    plain = module.probe(None, split, 1, SilentReporter())  # type: ignore[arg-type]
    assert not any("up to" in name for name in [*plain["titles completed"], *plain["next item named"]])
    undated, namesake = 2, 3
    titles = [f"{title} ({1990 + item % 10})" for item, title in enumerate(split.catalog.titles)]
    titles[undated], titles[namesake] = split.catalog.titles[undated], f"{titles[namesake]} (2)"
    dated = replace(split, catalog=replace(split.catalog, titles=tuple(titles)))
    _by_heart(dated, monkeypatch)
    answer = module.probe(None, dated, 1, SilentReporter())  # type: ignore[arg-type]
    years = [1990 + item % 10 for item in range(len(titles)) if item != undated]
    middle = int(np.median(years))
    completed = answer["titles completed"]
    assert completed[f"up to {middle}"]["of"] == sum(year <= middle for year in years)
    assert completed[f"after {middle}"]["of"] == sum(year > middle for year in years)
    parts = [completed[f"up to {middle}"]["count"], completed[f"after {middle}"]["count"]]
    assert 0 <= completed["all"]["count"] - sum(parts) <= 1  # the undated one is in neither
    named = answer["next item named"]
    older, newer = named[f"up to {middle}"], named[f"after {middle}"]
    targets = [target for _, target in module._histories(dated)]
    assert (older["count"], newer["count"]) == (older["of"], newer["of"])
    assert older["of"] == sum(1990 + target % 10 <= middle for target in targets if target != undated)
    assert older["of"] + newer["of"] == sum(target != undated for target in targets)
    said = module.sentences({"llm": "it", **answer})
    of = [completed[name]["of"] for name in (f"up to {middle}", f"after {middle}")]
    assert said[0].endswith(f"; {parts[0]} of {of[0]} up to {middle}; {parts[1]} of {of[1]} after {middle}.")
    assert f"; {older['of']} of {older['of']} up to {middle}" in said[-1]


@pytest.mark.parametrize(
    ("titles", "middle"),
    [
        (["Alien (1979)", "Heat (1995)", "Heat (1996) (2)", "Fargo"], 1995),
        (["Alien (1979)", "Heat (1995)", "Up (2009)"], 1995),
        (["LEGO Tipper (8189)", "LEGO Jet (3841)", "LEGO Town (1851)"], None),
        (["Alien (1979)", "Fargo", "Heat"], None),
        (["Alien (1979)", "Heat (1979)"], None),
        (["Alien (1979) (2004)", "Heat (1995)", "Up (2009)"], 2004),
        ([], None),
    ],
)
def test_the_cut_between_older_and_newer(titles: list[str], middle: int | None) -> None:
    """There is none if most titles have no year (numbers of LEGO sets are none), or if no item is newer."""
    assert module._middle(titles) == middle


def test_a_pretrained_model_end_to_end(tmp_path: Path, split: Any) -> None:
    from click.testing import CliRunner

    from recbench.cli import cli

    model = tiny_text_model(split)
    for part in (model.lm, model.encoder.tokenizer):
        part.save_pretrained(tmp_path / "lm")
    table = tmp_path / "plays.csv"
    rows = ["user,item,timestamp,title"]
    for user in range(12):
        for step in range(16):
            item = (user + step) % len(split.catalog.titles)
            rows.append(f"{user},{item},{step * 100 + user},{split.catalog.titles[item]}")
    table.write_text("\n".join(rows) + "\n")
    said = CliRunner().invoke(
        cli,
        [
            "diagnose",
            "--model",
            "bigrec",
            "--probe",
            "contamination",
            "--llm",
            str(tmp_path / "lm"),
            "--data-dir",
            str(table),
            "--dataset",
            "csv",
            "--device",
            "cpu",
            "--runs",
            str(tmp_path / "runs"),
            "--out",
            str(tmp_path / "out"),
        ],
    )
    assert said.exit_code == 0, said.output
    answer = json.loads((tmp_path / "out" / "contamination.json").read_text())
    assert module.sentences(answer)[0] in said.stdout
    assert answer["dataset"] == "csv"
    assert answer["titles completed"]["all"]["of"] > 0
    assert answer["own order preferred"]["catalogue"]["of"] > 0


def test_it_is_about_titles_of_a_pretrained_model(tmp_path: Path, split: Any) -> None:
    model = tiny_text_model(split)
    for part in (model.lm, model.encoder.tokenizer):
        part.save_pretrained(tmp_path / "lm")
    for llm, identifier, said in (
        ("tiny", None, "name one with --llm"),
        (str(tmp_path / "lm"), "index", "leave out --id"),
    ):
        request = Request(model="bigrec", llm=llm, identifier=identifier, device="cpu")
        with pytest.raises(UsageError, match=said):
            module.contamination(request, tmp_path / "runs", None, SilentReporter())
    assert not (tmp_path / "runs").exists()
