"""A-LLMRec: stage 1 against its oracle number, and its tokens in the prompt."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from recbench import registry
from recbench.interfaces import Fit, SilentReporter, TrainOptions
from recbench.testing import RandomScores, TextBackboneTests, tiny_split
from recbench.types import PAD
from recbench_plugins.backbones.allmrec import _had, agreement, alignment_loss, unseen


class TestALLMRec(TextBackboneTests):
    name = "allmrec"
    options = {"alignment_steps": 0}


class TestALLMRecWithoutStageOne(TextBackboneTests):
    name = "allmrec"
    options = {"alignment": "none"}


def test_stage_one_oracle() -> None:
    def row(*values: float) -> torch.Tensor:
        return torch.tensor([values], dtype=torch.float)

    value = alignment_loss(
        row(1, 1),
        (row(1, 1), row(0, 0)),
        (row(1, 0), row(0, 1)),
        (row(0.5), row(0.5)),
        (row(0, 0), row(3, 4)),
        (row(1, 0), row(3, 4)),
        (row(0.25), row(0.5)),
    )
    assert float(value) == pytest.approx(2.110654, abs=1e-6)


def test_text_gets_no_gradient_through_its_own_target() -> None:
    text = torch.randn(3, 4, requires_grad=True)
    zero = torch.zeros(3, 2)
    value = alignment_loss(
        zero, (zero, zero), (zero, zero), (zero, zero), (text, text), (text * 0, text * 0), (zero, zero)
    )
    value.backward()
    assert not text.grad.any()


def learned(seed: int = 1, split: Any = None, **options: Any) -> Any:
    split = split or tiny_split()
    plugin = registry.get("backbone", "allmrec")
    backbone = registry.get("backbone", "allmrec").implementation(
        plugin.options(**{"alignment_steps": 0, **options}), RandomScores(len(split.catalog))
    )
    texts = np.random.default_rng(0).normal(size=(len(split.catalog), 12)).astype(np.float32)
    budget = TrainOptions(epochs=1, batch_size=4, learning_rate=1.0)
    backbone.learn(split, lambda titles: texts[: len(titles)], Fit(budget, seed, "cpu", 1, None, SilentReporter()))
    return backbone


def test_stage_one_is_repeatable_and_lowers_the_loss() -> None:
    torch.manual_seed(3)
    a = learned(alignment="all", alignment_rate=1e-2)
    torch.manual_seed(4)
    b = learned(alignment="all", alignment_rate=1e-2)
    assert np.array_equal(a.codes, b.codes)
    assert not np.array_equal(a.codes, learned(seed=2, alignment="all", alignment_rate=1e-2).codes)
    assert a.codes.shape == (24, 128)
    assert (a.codes > 0).all()
    assert (a.codes < 1).all()


def test_cold_items_take_their_titles_code() -> None:
    split = tiny_split()
    few = replace(split, train=split.train.take(np.arange(6)))
    text, own = learned(split=few, cold="text").codes, learned(split=few, cold="collaborative").codes
    warm = few.warm_items()
    assert 0 < warm.sum() < len(warm)
    assert np.array_equal(text[warm], own[warm])
    assert (text[~warm] != own[~warm]).any()


def test_state_restores_the_codes() -> None:
    a = learned()
    again = registry.get("backbone", "allmrec").implementation(a.options, a.collaborative)
    again.restore(a.state())
    assert np.array_equal(again.item_vectors(), a.item_vectors())
    assert abs(a.item_vectors().mean()) < 1e-5
    raw = learned(vectors="raw")
    assert np.array_equal(raw.item_vectors(), raw.codes)


def test_the_users_token_is_the_windows_own() -> None:
    """Each prompt starts with the token of its own window, whichever other windows are encoded beside it."""
    from recbench.testing import tiny_text_model

    split = tiny_split()
    backbone = learned()
    model = tiny_text_model(split, backbone)
    embedding = model.collaborative
    rows = model.encoder.prompts(split.test.histories())
    vectors = backbone.case_vectors(split.test.histories())
    first = embedding(torch.tensor([row[0] for row in rows]))
    expected = embedding.case_projector(torch.from_numpy(vectors))
    torch.testing.assert_close(first, expected)
    alone = model.encoder.prompts(split.test.histories().take(np.array([3])))
    assert alone[0][1:] == rows[3][1:]
    torch.testing.assert_close(embedding(torch.tensor(alone[0][:1]))[0], expected[3])
    again = model.encoder.prompts(split.test.histories())
    assert again == rows, "the same windows must not grow the table again"


@pytest.mark.parametrize(
    ("tune", "pretrained", "expected"),
    [("auto", True, False), ("auto", False, True), ("lora", True, True), ("frozen", False, False)],
)
def test_what_is_tuned(tune: str, pretrained: bool, expected: bool) -> None:
    assert learned(tune=tune).tunes_language_model(pretrained) is expected


class Told(SilentReporter):
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.messages: list[str] = []

    def message(self, text: str) -> None:
        self.messages.append(text)


def related(split: Any, **options: Any) -> tuple[Any, Any, list[str]]:
    """A backbone whose text embeddings are a map of its item embeddings: there is something to align."""
    plugin, told = registry.get("backbone", "allmrec"), Told()
    backbone = plugin.implementation(plugin.options(**options), RandomScores(len(split.catalog)))
    random = np.random.default_rng(0)
    texts = (backbone.collaborative.item_vectors() @ random.normal(size=(8, 12))).astype(np.float32)
    plan = Fit(TrainOptions(epochs=1, batch_size=4, learning_rate=1.0), 1, "cpu", 1, None, told)
    return backbone, backbone.learn(split, lambda titles: texts, plan), told.messages


def test_a_least_number_of_steps_aligns_the_codes() -> None:
    """Epochs are added until there are enough steps; the cosines that are reported are those of the two codes."""
    split = tiny_split(users=8)
    sizes = {"alignment_epochs": 2, "alignment_batch": 4, "alignment_rate": 1e-2, "cold": "collaborative"}
    _, few, _ = related(split, alignment_steps=3, **sizes)
    backbone, many, said = related(split, alignment_steps=301, **sizes)
    assert (few.steps, many.steps) == (4, 302)
    assert few.watched["alignment"] < 0.2
    assert many.watched["alignment"] > 0.6
    assert abs(many.watched["alignment_shuffled"]) < 0.2
    assert len(said) == 1
    assert f"{many.watched['alignment']:.2f}" in said[0]
    assert "302 steps" in said[0]
    assert backbone.codes.shape == (24, 128)


def test_agreement_by_hand() -> None:
    item = torch.tensor([[1.0, 0.0], [0.0, 1.0], [-1.0, -1.0]]) + 5.0
    assert agreement(item, item * 3.0)["alignment"] == pytest.approx(1.0)
    text = torch.tensor([[0.0, 2.0], [3.0, 1.0], [1.0, -1.0]])
    first, second = (code - code.mean(0) for code in (item, text))
    cosines = torch.tensor([[float(a @ b / a.norm() / b.norm()) for b in second] for a in first])
    found = agreement(item, text)
    assert found["alignment"] == pytest.approx(float(cosines.diag().mean()), abs=1e-6)
    assert found["alignment_shuffled"] == pytest.approx(
        float(cosines[~torch.eye(3, dtype=torch.bool)].mean()), abs=1e-6
    )


def test_without_stage_one_the_item_embeddings_are_shown() -> None:
    """The control: nothing is trained, no text is embedded, and the prompt has the collaborative model's vectors."""
    split, plugin = tiny_split(), registry.get("backbone", "allmrec")
    collaborative = RandomScores(len(split.catalog))
    backbone = plugin.implementation(plugin.options(alignment="none", vectors="raw"), collaborative)

    def embed(titles: Any) -> Any:
        raise AssertionError("stage 1 embeds titles")

    plan = Fit(TrainOptions(epochs=1, batch_size=4, learning_rate=1.0), 1, "cpu", 1, None, SilentReporter())
    assert backbone.learn(split, embed, plan).steps == 0
    assert np.array_equal(backbone.item_vectors(), collaborative.item_vectors())


def test_negatives_are_outside_the_users_training_items_and_drawn_anew() -> None:
    split = tiny_split()
    items = len(split.catalog)
    own: dict[int, set[int]] = {}
    for user, row, target in zip(split.train.users, split.train.history, split.train.target, strict=True):
        own.setdefault(int(user), set()).update({*row.tolist(), int(target)} - {PAD})
    had = _had(split.train, items)
    assert had.tolist() == sorted(user * items + item for user, theirs in own.items() for item in theirs)
    users = torch.tensor(sorted(own)).repeat_interleave(200)
    torch.manual_seed(0)
    drawn, again = unseen(had, users, items), unseen(had, users, items)
    assert not torch.equal(drawn, again)
    for user in own:
        found = set(drawn[users == user].tolist())
        assert found == set(range(items)) - own[user]  # all of the others, and no other


@given(st.lists(st.sets(st.integers(0, 6)), min_size=1, max_size=5), st.integers(0, 2**31))
@settings(max_examples=40)
def test_each_free_item_is_equally_likely(own: list[set[int]], shift: int) -> None:
    """Against a loop over the free items, for the smallest, the largest and other uniform numbers."""
    items = 8
    had = torch.tensor(sorted((shift + user) * items + item for user, theirs in enumerate(own) for item in theirs))
    users = torch.arange(len(own)).repeat_interleave(32) + shift
    uniform = torch.linspace(0, 1, 33, dtype=torch.float64)[:-1].repeat(len(own))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("recbench.training.devices.own_uniform", lambda size, device: uniform)
        found = unseen(had.long(), users, items).tolist()
    for row, (user, number) in enumerate(zip(users.tolist(), uniform.tolist(), strict=True)):
        free = sorted(set(range(items)) - own[user - shift])
        assert found[row] == free[int(number * len(free))]


def test_stage_one_draws_negatives_for_every_step(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: dict[int, set[int]] = {}

    def spy(had: torch.Tensor, users: torch.Tensor, items: int) -> torch.Tensor:
        found = unseen(had, users, items)
        for user, item in zip(users.tolist(), found.tolist(), strict=True):
            drawn.setdefault(user, set()).add(item)
        return found

    monkeypatch.setattr("recbench_plugins.backbones.allmrec.unseen", spy)
    learned(alignment_epochs=5)
    split = tiny_split()
    assert set(drawn) <= set(split.train.users.tolist())
    assert max(len(found) for found in drawn.values()) > 2  # one window a user, five epochs


def test_a_user_who_has_every_item_gets_one_of_them() -> None:
    assert unseen(torch.arange(3), torch.zeros(4, dtype=torch.long), 3).max() < 3


def test_last_window_of_each_user() -> None:
    """``alignment=last`` sees one window a user: as many steps as that makes."""
    split = tiny_split(users=8)
    backbone = learned(alignment="last", alignment_epochs=2, alignment_batch=4)
    plan = Fit(TrainOptions(epochs=1, batch_size=4, learning_rate=1.0), 1, "cpu", 1, None, SilentReporter())
    texts = np.zeros((24, 5), np.float32)
    report = backbone.learn(split, lambda titles: texts, replace(plan))
    assert report.steps == 2 * (8 // 4)
