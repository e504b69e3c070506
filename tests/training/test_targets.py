"""Every title of a window a target: the same as separate prompts that end before each title."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from recbench.errors import RecbenchError
from recbench.interfaces import USER, Options, TextBackbone
from recbench.language.textmodel import TextModel
from recbench.testing import RandomScores, tiny_split, tiny_text_model
from recbench.training.answers import AnswerModel
from recbench.training.text import Examples, collate
from recbench_plugins.backbones.allmrec import ALLMRec, ALLMRecOptions
from recbench_plugins.backbones.bigrec import BIGRec
from recbench_plugins.backbones.llara import LLaRA, LLaRAOptions
from recbench_plugins.losses.lml import LML, LMLOptions
from recbench_plugins.losses.msl import MSL, MSLOptions

SPLIT = tiny_split()
ROWS = np.arange(16)


def backbone(name: str) -> TextBackbone[Any]:
    scores = RandomScores(len(SPLIT.catalog))
    if name == "bigrec":
        return BIGRec(Options())
    if name == "llara":
        return LLaRA(LLaRAOptions(), scores)
    found = ALLMRec(ALLMRecOptions(), scores)
    codes = np.random.default_rng(1).normal(size=(len(SPLIT.catalog), 128)).astype(np.float32)
    found.restore({"codes": codes})
    return found


def losses(name: str) -> Any:
    return LML(LMLOptions()) if name == "lml" else MSL(MSLOptions(tau=1.3))


def separate(model: TextModel, loss: str) -> torch.Tensor:
    """The mean loss over one prompt for each target, each run by itself, softmax and masks dense."""
    total, count, answers = torch.zeros((), dtype=torch.float64), 0, model.encoder.answers
    windows = SPLIT.train.take(ROWS)
    for prompt, last in zip(model.encoder.read(windows.histories()), windows.target.tolist(), strict=True):
        ends = [*prompt.starts[1:], len(prompt.ids)]
        for end, item in zip(ends, [*prompt.items[1:], last], strict=True):
            answer = answers[item]
            logits = model.causal(input_ids=torch.tensor([[*prompt.ids[:end], *answer]])).logits[0, end - 1 : -1]
            for place, token in enumerate(answer):
                valid = sorted({a[place] for a in answers if a[:place] == answer[:place]})
                if loss == "lml":
                    total, count = total + logits[place].logsumexp(0) - logits[place, token], count + 1
                elif len(valid) > 1:
                    scaled = logits[place] / 1.3
                    total, count = total + 1.3 * (scaled[valid].logsumexp(0) - scaled[token]), count + 1
    return total / count


@pytest.mark.parametrize("loss", ["lml", "msl"])
@pytest.mark.parametrize("name", ["bigrec", "llara", "allmrec"])
def test_loss_and_gradients_are_those_of_separate_prompts(name: str, loss: str) -> None:
    model = tiny_text_model(SPLIT, backbone(name), apart=True)
    model.lm.double()
    chosen = losses(loss)
    examples = Examples(model, SPLIT.train.take(ROWS), chosen.positions == "choices", every=True)
    value = AnswerModel(model, chosen)(collate([examples[i] for i in range(len(examples))]))["loss"]
    value.backward()
    got = {n: p.grad.clone() for n, p in model.lm.named_parameters() if p.grad is not None}
    model.lm.zero_grad(set_to_none=True)
    expected = separate(model, loss)
    expected.backward()
    assert float(value.detach()) == pytest.approx(float(expected.detach()), rel=1e-12)
    wanted = {n: p.grad for n, p in model.lm.named_parameters() if p.grad is not None}
    assert got.keys() == wanted.keys()
    for n, gradient in wanted.items():  # Llama's norms are computed in fp32 whatever comes in
        assert torch.allclose(got[n], gradient, atol=1e-6 * float(gradient.abs().max())), n


def test_the_user_token_stands_behind_what_it_tells() -> None:
    model = tiny_text_model(SPLIT, backbone("allmrec"), apart=True)
    users = model.encoder.vocabulary + len(SPLIT.catalog)
    for prompt in model.encoder.read(SPLIT.test.histories()):
        (place,) = [n for n, token in enumerate(prompt.ids) if token >= users]
        assert place > prompt.starts[-1]
    joined = tiny_text_model(SPLIT, backbone("allmrec"))
    assert all(ids[0] >= users for ids in joined.encoder.prompts(SPLIT.test.histories()))


def test_a_prompt_that_is_too_long_loses_its_oldest_titles() -> None:
    import dataclasses

    model = tiny_text_model(SPLIT, backbone("llara"), apart=True)
    whole = model.encoder.read(SPLIT.test.histories())
    encoder = dataclasses.replace(model.encoder, max_tokens=max(len(one.ids) for one in whole) - 1)
    for long, short in zip(whole, encoder.read(SPLIT.test.histories()), strict=True):
        assert short.items == long.items[len(long.items) - len(short.items) :]
        assert len(short.ids) <= encoder.max_tokens
        for item, start in zip(short.items, short.starts, strict=True):
            assert tuple(short.ids[start:])[: len(encoder.answers[item]) - 1] == encoder.answers[item][:-1]


class Odd(TextBackbone[Options]):
    """Makes whatever prompt a test wants."""

    pieces: Any

    def prompt(self, titles: Any, items: Any, template: Any) -> list[Any]:
        return list(self.pieces(titles, items))


def test_neighbouring_texts_are_one_text() -> None:
    odd, plain = Odd(Options()), Odd(Options())
    odd.pieces = lambda titles, items: ["the user ", "saw ", *titles, " and", " now"]
    plain.pieces = lambda titles, items: ["the user saw ", *titles, " and now"]
    texts = [tiny_text_model(SPLIT, one, apart=True).encoder.prompts(SPLIT.test.histories()) for one in (odd, plain)]
    assert texts[0] == texts[1]


@pytest.mark.parametrize("count", [1, 2, 4])
@pytest.mark.parametrize("draw_rows", [0, 8])
def test_several_processes_draw_what_one_does(monkeypatch: pytest.MonkeyPatch, count: int, draw_rows: int) -> None:
    from recbench.interfaces import TrainOptions
    from recbench.training import text

    class Half(Odd):
        def hybrid(self, step: int, steps: int, epochs: int, draw: float) -> bool:
            return draw < 0.5

    budget, shown = TrainOptions(epochs=1, batch_size=32, learning_rate=0.1), Half(Options())
    monkeypatch.setattr(Half, "draw_rows", draw_rows)

    def drawn(number: int, of: int) -> torch.Tensor:
        monkeypatch.setattr(text, "processes", lambda: of)
        monkeypatch.setattr(text, "process", lambda: number)
        draws = np.random.default_rng(5)
        return torch.stack([text._curriculum(shown, budget, step, 20, draws) for step in range(20)])

    whole = drawn(0, 1)
    assert torch.equal(torch.cat([drawn(number, count) for number in range(count)], dim=1), whole)
    assert 0 < int(whole.sum()) < whole.numel()


@pytest.mark.parametrize(
    ("pieces", "says"),
    [
        (lambda titles, items: [" ".join(titles)], "give each title as a separate piece"),
        (lambda titles, items: titles[:-1], "give each title as a separate piece"),
        (lambda titles, items: titles[::-1], "once each, in the history's order"),
        (lambda titles, items: [*titles, titles[0]], "once each, in the history's order"),
        (
            lambda titles, items: [p for pair in zip(items, titles, strict=True) for p in pair],
            "before the item's title",
        ),
        (lambda titles, items: [USER, *titles], "has no case_vectors"),
    ],
)
def test_a_prompt_that_tells_a_title_beforehand_is_refused(pieces: Any, says: str) -> None:
    odd = Odd(Options())
    odd.pieces = pieces
    model = tiny_text_model(SPLIT, odd, apart=True)
    long = SPLIT.test.take(np.flatnonzero((SPLIT.test.history >= 0).sum(axis=1) > 2)[:1])
    with pytest.raises(RecbenchError, match=says):
        model.encoder.prompts(long.histories())
