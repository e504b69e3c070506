"""LLM-CF: who is shown what, the reconstruction against numbers computed by hand, and how texts are written."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from recbench.errors import UsageError
from recbench.interfaces import SilentReporter
from recbench.testing import TinyTeacher, tiny_split
from recbench.types import Sequences
from recbench_plugins.backbones.llmcf import LLMCF, LLMCFOptions

pytest.importorskip("recbole", reason="RecBole is not installed")

from recbench_plugins.backbones.llmcf import texts
from recbench_plugins.backbones.llmcf.context import Context, memory, reconstruction

SIZES = {"layers": 1, "heads": 2, "hidden": 16, "inner": 16, "dropout": 0.2, "attention_dropout": 0.1}
WRITING = {"share": 0.5, "tokens": 5, "candidates": 2}


def learn(seed: int = 3, teacher: TinyTeacher | None = None, **options):
    model = LLMCF(LLMCFOptions(**{**WRITING, **options}))
    return model.lessons(tiny_split(), teacher or TinyTeacher(tiny_split()), seed, SilentReporter())


@pytest.fixture(scope="module")
def lessons():
    return learn()


@pytest.fixture(scope="module")
def context(lessons):
    split = tiny_split()
    torch.manual_seed(0)
    return Context(memory(split.train, lessons.arrays), torch.ones(len(split.users), dtype=torch.bool), 16, True)


def examples(context, cases: Sequences, official: bool = False) -> np.ndarray:
    model = LLMCF(LLMCFOptions(**SIZES, retrieval="official" if official else "corrected"))
    model.build(tiny_split())
    model.module.context = context
    return model.inputs(cases)["examples"].numpy()


# ---- reconstruction ----------------------------------------------------------------------------------------------


def test_reconstruction_of_the_worked_example() -> None:
    decoded = torch.tensor([[[1.0, 0.0], [0.0, 1.0], [1.0, 1.0], [-1.0, 0.0]]])
    cots = torch.tensor([[1.0, 0.0]]).expand(1, 4, 2)
    total, count = reconstruction(decoded, cots, torch.ones(1, 4, dtype=torch.bool))
    assert float(total / count) == pytest.approx(0.823223, abs=1e-6)
    total, count = reconstruction(decoded, cots, torch.tensor([[True, True, True, False]]))
    assert float(total / count) == pytest.approx((4 * 0.823223 - 2) / 3, abs=1e-5), "what is missing does not count"


# ---- retrieval ---------------------------------------------------------------------------------------------------


def test_no_window_finds_itself_or_the_users_later_ones(context, lessons) -> None:
    train, rows = tiny_split().train, lessons.arrays["rows"]
    found = examples(context, train)
    for case, slots in enumerate(found):
        for window in slots[slots < 2 * len(rows)] // 2:
            other = rows[window]
            assert other != case
            assert train.users[other] != train.users[case] or train.time[other] < train.time[case]


def test_officially_windows_find_themselves(context, lessons) -> None:
    train, rows = tiny_split().train, lessons.arrays["rows"]
    found = examples(context, train.take(rows), official=True)
    themselves = (found // 2 == np.arange(len(rows))[:, None]).any(axis=1)
    assert themselves.any()


def test_the_most_similar_histories_are_found(context, lessons) -> None:
    split = tiny_split()
    train, rows, titles = split.train, lessons.arrays["rows"], lessons.arrays["titles"].astype(np.float64)

    def mean(row):
        return titles[row[row >= 0]].mean(axis=0)

    known = np.stack([mean(train.history[row]) for row in rows])
    cases = split.test.histories()
    found = examples(context, cases)
    for case in range(len(cases)):
        likeness = (known @ mean(cases.history[case])).astype(np.float32)
        same = train.users[rows] == cases.users[case]
        likeness[same & (train.time[rows] >= cases.time[case])] = -np.inf
        best = np.argsort(-likeness, kind="stable")[:2]
        assert sorted(found[case]) == sorted([*(2 * best), *(2 * best + 1)])


def test_two_examples_of_each_outcome_in_changing_order(context) -> None:
    found = examples(context, tiny_split().test)
    assert ((found % 2).sum(axis=1) == 2).all()
    assert len({tuple(row % 2) for row in found}) > 2
    alone = examples(context, tiny_split().test.take(np.array([5])))
    assert alone[0].tolist() == found[5].tolist(), "a case is shown the same whatever batch it stands in"


def test_too_few_windows_leave_places_empty(trained) -> None:
    split = tiny_split()
    arrays = dict(learn(share=0.01).arrays)
    assert len(arrays["rows"]) == 1
    model = trained("llmcf", "ce", arrays, **SIZES)
    found = model.inputs(split.test)["examples"]
    assert ((found == 2).sum(dim=1) == 2).all(), "one window gives two examples, two places stay empty"
    assert np.isfinite(model.scores(split.test.histories())).all()
    own = split.train.take(arrays["rows"])
    assert (model.inputs(own)["examples"] == 2).all(), "the only window there is must not be shown itself"


# ---- what the model sees -----------------------------------------------------------------------------------------


def changed(lessons, window: int):
    """The lessons and the training data as if the outcome of one explained window had been another."""
    split = tiny_split()
    row = int(lessons.arrays["rows"][window])
    target = split.train.target.copy()
    target[row] = (target[row] + 7) % len(split.catalog)
    cots = lessons.arrays["cots"].copy()
    cots[window] = -cots[window]
    train = Sequences(split.train.users, split.train.history, target, split.train.time)
    return replace(split, train=train), {**lessons.arrays, "cots": cots}, row


@pytest.mark.parametrize("retrieval", ["corrected", "official"])
def test_a_windows_own_target_does_not_change_its_scores(trained, lessons, retrieval) -> None:
    model = trained("llmcf", "ce", lessons.arrays, retrieval=retrieval, weight=1.0, **SIZES)
    moved = []
    for window in range(len(lessons.arrays["rows"])):
        split, arrays, row = changed(lessons, window)
        case = split.train.take(np.array([row]))
        before = model.scores(case)
        kept = model.state()
        state = dict(kept)
        state |= {f"context.{name}": value.numpy() for name, value in memory(split.train, arrays).items()}
        model.restore(split, state)
        moved.append(not np.array_equal(model.scores(case), before))
        model.restore(tiny_split(), kept)
    assert any(moved) == (retrieval == "official"), "only the official retrieval shows a window its own outcome"


def test_explanations_and_outcomes_of_others_are_read(trained, lessons) -> None:
    model = trained("llmcf", "ce", lessons.arrays, weight=1.0, **SIZES)
    cases = tiny_split().test.histories()
    before = model.scores(cases)
    with torch.no_grad():
        model.module.context.cots.mul_(-1)
    assert not np.allclose(model.scores(cases), before)
    with torch.no_grad():
        model.module.context.cots.mul_(-1)
        model.module.context.outcome.weight.copy_(model.module.context.outcome.weight.flip(0))
    assert not np.allclose(model.scores(cases), before)


def test_users_whom_training_lacks_are_zeros(trained, lessons) -> None:
    """Two users have test windows and no training windows: nothing trains their embeddings, so they say nothing."""
    split = tiny_split()
    assert len(split.users) == 8
    windows = split.train.take(split.train.users < 6)
    teacher = TinyTeacher(replace(split, train=windows))
    model = LLMCF(LLMCFOptions(**WRITING))
    arrays = model.lessons(replace(split, train=windows), teacher, 3, SilentReporter()).arrays
    model = trained("llmcf", "ce", arrays, replace(split, train=windows), weight=1.0, **SIZES)
    table = model.module.context.user.weight.detach()
    assert not table[6:].any()
    assert (table[:6].norm(dim=1) > 0).all()
    cases = split.test.take(split.test.users >= 6).histories()
    columns = model.inputs(cases)
    for users, same in ((-1, True), (0, False)):
        other = {**columns, "users": torch.full_like(columns["users"], users)}
        with torch.inference_mode():
            assert torch.equal(model.states(other), model.states(columns)) == same
    again = LLMCF(model.options)
    again.restore(split, model.state())
    assert np.array_equal(again.scores(cases), model.scores(cases))


def test_user_embeddings_begin_as_xaviers(lessons) -> None:
    torch.manual_seed(1)
    kept = memory(tiny_split().train, lessons.arrays)
    table = Context(kept, torch.ones(2000, dtype=torch.bool), 64, False).user.weight
    assert float(table.detach().std()) == pytest.approx((2 / (2000 + 64)) ** 0.5, rel=0.02)


def test_switched_off_it_is_sasrec(trained, lessons) -> None:
    cases = tiny_split().test.histories()
    plain = trained("sasrec", "ce", **SIZES).scores(cases)
    assert np.array_equal(trained("llmcf", "ce", lessons.arrays, weight=0, rec_weight=0, **SIZES).scores(cases), plain)
    for on in ({"weight": 0.1, "rec_weight": 0.0}, {"weight": 0.0, "rec_weight": 1.0}):
        other = trained("llmcf", "ce", lessons.arrays, **on, **SIZES)
        assert not np.array_equal(other.scores(cases), plain)


def test_every_parameter_is_trained(trained, lessons) -> None:
    split = tiny_split()
    model = trained("llmcf", "ce", lessons.arrays, **SIZES)
    columns = model.inputs(split.train) | {"target": torch.from_numpy(split.train.target).long()}
    model.module.train()
    model.objective(columns).backward()
    silent = [name for name, p in model.module.named_parameters() if p.requires_grad and p.grad is None]
    assert not silent, f"several devices would wait for the gradient of {silent}"


# ---- writing -----------------------------------------------------------------------------------------------------


def test_lessons(lessons) -> None:
    split, arrays = tiny_split(), lessons.arrays
    number = len(arrays["rows"])
    assert number == round(0.5 * len(split.train))
    assert (arrays["declined"] != split.train.target[arrays["rows"]]).all()
    assert arrays["cots"].shape == (number, 2, 32)
    assert np.linalg.norm(arrays["cots"].astype(np.float32), axis=2) == pytest.approx(1.0, abs=1e-2)
    assert len(lessons.texts) == 2 * number
    for text in lessons.texts:
        json.dumps(text)
        row = text["row"]
        offered = split.catalog.titles.index(text["offered"])
        assert (offered == split.train.target[row]) == text["taken"]
        assert text["user"] == split.users[split.train.users[row]]
        assert text["history"] == [split.catalog.titles[i] for i in split.train.history[row] if i >= 0]


def test_the_seed_decides_the_texts(lessons) -> None:
    torch.manual_seed(77)
    assert [text["text"] for text in learn().texts] == [text["text"] for text in lessons.texts]
    assert [text["text"] for text in learn(seed=4).texts] != [text["text"] for text in lessons.texts]


def test_the_models_own_generation_settings_do_not_leak() -> None:
    teacher = TinyTeacher(tiny_split())
    plain = [text["text"] for text in learn(teacher=teacher).texts]
    own = teacher.model.causal.generation_config
    own.top_k, own.repetition_penalty, own.max_new_tokens = 1, 5.0, 1
    assert [text["text"] for text in learn(teacher=teacher).texts] == plain
    assert teacher.model.causal.generation_config is own


def test_a_writer_without_adapters_is_refused() -> None:
    with pytest.raises(UsageError, match="writer=tuned"):
        learn(writer="base")


def test_the_base_writer_leaves_the_adapters_out() -> None:
    from peft import LoraConfig, get_peft_model

    teacher = TinyTeacher(tiny_split())
    plain = learn(teacher=teacher)
    config = LoraConfig(r=2, target_modules=["q_proj", "v_proj"], init_lora_weights=False)
    teacher.model.lm = get_peft_model(teacher.model.lm, config).eval()
    based, tuned = learn(teacher=teacher, writer="base"), learn(teacher=teacher)
    assert [text["text"] for text in based.texts] == [text["text"] for text in plain.texts]
    assert np.array_equal(based.arrays["titles"], plain.arrays["titles"])
    assert not np.array_equal(tuned.arrays["titles"], plain.arrays["titles"])


def test_questions_state_history_item_and_outcome() -> None:
    taken, declined = (texts.question(["Red River", "Last Road"], "Blue Clock", outcome) for outcome in (1, 0))
    for found in (taken, declined):
        assert found.index("Red River") < found.index("Last Road") < found.index("Blue Clock")
        assert all(step in found for step in texts.STEPS)
    assert texts.OUTCOMES[1] in taken
    assert texts.OUTCOMES[0] in declined
    assert texts.OUTCOMES[0] not in taken


def test_a_chat_model_is_asked_in_a_turn() -> None:
    tokenizer = TinyTeacher(tiny_split()).model.encoder.tokenizer
    assert tokenizer.decode(texts._ids(tokenizer, "Why?")).startswith("Why?")
    tokenizer.chat_template = "{% for m in messages %}[{{ m.role }}]{{ m.content }}{% endfor %}[answer]"
    assert tokenizer.decode(texts._ids(tokenizer, "Why?")) == "[user]Why?[answer]"


def test_scores_of_candidates() -> None:
    turn = np.sqrt(0.5)
    embedded = np.array([[1.0, 0.0], [turn, turn], [0.0, 1.0]])
    steps = np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0], [0.0, 1.0]])
    found = texts.score(
        ["one word one Word", "every word is another", "short"], embedded, steps, embedded[0], embedded[2]
    )
    assert found[0].tolist() == pytest.approx([0.5, 0.5, 1.0, 0.0])
    assert found[1].tolist() == pytest.approx([1.0, turn, turn, turn])
    assert found[2].tolist() == [0.0, 0.0, 0.0, 0.0]
