"""What a loss is given, and the sparse MSL against dense float64 over every logit of every position."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from recbench.interfaces import Loss, Options, Positions
from recbench.testing import tiny_split, tiny_text_model
from recbench.training.answers import AnswerBatch, AnswerModel
from recbench.training.text import Examples, collate
from recbench_plugins.losses.msl import MSL, MSLOptions

SETTINGS = [
    {"tau": 1.7, "variant": "official"},
    {"tau": 1.7, "variant": "corrected"},
    {"tau": 0.6, "variant": "paper"},
    {"tau": 1.7, "reduction": "token_mean"},
    {"tau": "ats", "variant": "corrected"},
    {"tau": "ats", "variant": "official"},
    {"tau": "ats", "variant": "paper"},
]


class Seen(Loss[Options]):
    """Keeps what it is given."""

    def __init__(self, positions: Positions) -> None:
        super().__init__(Options())
        self.positions = positions  # type: ignore[misc]

    def __call__(self, batch: AnswerBatch) -> tuple[torch.Tensor, float]:
        self.batch = batch
        return batch.hidden.sum(), 1.0


def gradients(model: Any) -> list[torch.Tensor]:
    found = [p.grad.clone() for p in model.lm.parameters() if p.grad is not None]
    model.lm.zero_grad(set_to_none=True)
    return found


@pytest.mark.parametrize("options", SETTINGS, ids=str)
def test_dropped_tails_change_nothing(options: dict[str, Any]) -> None:
    """Value, gradient and temperature are those of whole titles."""
    split = tiny_split()
    model = tiny_text_model(split)
    found = []
    for choices in (False, True):
        loss = MSL(MSLOptions(**options))
        module, examples = AnswerModel(model, loss), Examples(model, split.train, choices)
        batch = collate([examples[i] for i in range(24)])
        assert (batch["dropped"] > 0) is choices
        value = module(batch)["loss"]
        value.backward()
        found.append((float(value.detach()), loss.tau, gradients(model)))
    (whole, tau, expected), (value, own, got) = found
    assert value == pytest.approx(whole, rel=1e-6)
    assert own == pytest.approx(tau, rel=1e-6)
    assert all(torch.allclose(a, b, atol=1e-6) for a, b in zip(got, expected, strict=True))


def test_every_title_keeps_its_choices_and_its_first_position() -> None:
    split = tiny_split()
    model = tiny_text_model(split)
    whole, short = Seen("valid"), Seen("choices")
    for loss, choices in ((whole, False), (short, True)):
        examples = Examples(model, split.train, choices)
        AnswerModel(model, loss)(collate([examples[i] for i in range(24)]))
    assert whole.batch.dropped == 0
    assert short.batch.dropped == len(whole.batch) - len(short.batch)
    keep = torch.zeros(len(whole.batch), dtype=torch.bool)
    for row in range(24):
        at = (whole.batch.row == row).nonzero().squeeze(1)
        choice = whole.batch.fanout[at] > 1
        last = int(choice.nonzero().max()) if choice.any() else 0
        keep[at[: last + 1]] = True
    assert torch.equal(whole.batch.labels[keep], short.batch.labels)
    assert torch.equal(whole.batch.depth[keep], short.batch.depth)
    assert torch.equal(whole.batch.row[keep], short.batch.row)
    assert torch.equal(whole.batch.fanout[keep], short.batch.fanout)
    assert torch.allclose(whole.batch.hidden[keep], short.batch.hidden, atol=1e-5)
    assert short.batch.branching().dropped == len(whole.batch) - int((whole.batch.fanout > 1).sum())


def test_sparse_msl_equals_dense_masks_in_float64() -> None:
    """Padded rows, logits of every position, masks made from the titles: the paper's way, in double precision."""
    split = tiny_split()
    model = tiny_text_model(split)
    model.lm.double()
    examples = Examples(model, split.train, choices=True)
    rows = [examples[i] for i in range(12)]
    value = AnswerModel(model, MSL(MSLOptions(tau=1.3, variant="corrected")))(collate(rows))["loss"]
    value.backward()
    got = gradients(model)
    total, count, answers = torch.zeros((), dtype=torch.float64), 0, model.encoder.answers
    for row in rows:
        (target,) = row.targets
        answer = tuple(target.labels)
        logits = model.causal(input_ids=torch.tensor([[*row.tokens[: target.ask + 1], *answer]])).logits[0]
        for place, token in enumerate(answer):
            valid = sorted({a[place] for a in answers if a[:place] == answer[:place]})
            if len(valid) > 1:
                scaled = logits[target.ask + place] / 1.3
                total = total + 1.3 * (scaled[valid].logsumexp(0) - scaled[token])
                count += 1
    (total / count).backward()
    assert float(value.detach()) == pytest.approx(float(total.detach()) / count, rel=1e-12)
    for mine, dense in zip(got, gradients(model), strict=True):  # Llama's norms are computed in fp32 whatever comes in
        assert torch.allclose(mine, dense, atol=1e-6 * float(dense.abs().max()))


def test_a_beginning_that_a_batch_shares_is_read_once() -> None:
    split = tiny_split()
    model = tiny_text_model(split)
    examples = Examples(model, split.train)
    for prompt in examples.prompts:
        prompt.ids[:0] = list(range(3, 33))
    batch = collate([examples[i] for i in range(8)])
    assert batch["shared"] >= 30
    assert len(batch["ids"]) == batch["shared"] + int(batch["lengths"].sum())
    assert sum(examples.lengths[:8]) == len(batch["ids"]) + 7 * batch["shared"]
    seen = Seen("valid")
    AnswerModel(model, seen)(batch)
    for row in range(8):
        prompt, answer = examples.prompts[row].ids, examples.answers[examples.targets[row]]
        at = len(prompt) - 1 + np.arange(len(answer))
        ids = torch.tensor([[*prompt, *answer]])
        expected = model.decoder(input_ids=ids).last_hidden_state[0, at]
        assert torch.allclose(seen.batch.hidden[seen.batch.row == row], expected, atol=1e-5)
