"""S-DPO against its oracle numbers, against TRL's own DPO, and from end to end."""

from __future__ import annotations

import copy
import math
from typing import Any

import numpy as np
import pytest
import torch

from recbench import registry
from recbench.errors import UsageError
from recbench.interfaces import Fit, SilentReporter, TrainOptions
from recbench.testing import tiny_split, tiny_text_model
from recbench.training.preference import collate, prefer, sample_rejected
from recbench.types import PAD

BUDGET = TrainOptions(epochs=3, batch_size=16, learning_rate=1e-3, schedule="constant", gradient_clip=0.0)


def loss(**options: Any) -> Any:
    return registry.get("loss", "sdpo").implementation(registry.get("loss", "sdpo").options(**options))


@pytest.mark.parametrize(("beta", "expected"), [(1.0, 1.287339), (0.1, 1.362856)])
def test_oracle(beta: float, expected: float) -> None:
    value = loss(beta=beta)(torch.tensor([0.5]), torch.tensor([[-0.5, 0.0, 1.0]]))
    assert float(value) == pytest.approx(expected, abs=1e-6)


def test_more_oracles() -> None:
    zero = loss()(torch.zeros(1), torch.zeros(1, 3))
    assert float(zero) == pytest.approx(math.log(4), abs=1e-6)
    single = loss(negatives=1)(torch.tensor([0.5]), torch.tensor([[-0.5]]))
    assert float(single) == pytest.approx(0.313262, abs=1e-6)
    far = loss(negatives=1)(torch.tensor([-100.0]), torch.tensor([[100.0]]))
    assert float(far) == pytest.approx(200.0)


def test_one_negative_trains_as_trl_does() -> None:
    """n = 1 through our trainer gives the weights that TRL's own DPOTrainer gives, step for step."""
    from datasets import Dataset
    from trl import DPOConfig, DPOTrainer

    split = tiny_split()
    windows = split.train.take(np.arange(12))  # fewer than a batch: one batch, so the order does not matter
    ours = tiny_text_model(split)
    start = copy.deepcopy(ours.lm)
    report = prefer(ours, loss(negatives=1, beta=0.3), windows, _plan(), "fp32")
    assert report.steps == 3

    rejected = sample_rejected(windows, len(split.catalog), 1, 5)
    encoder = tiny_text_model(split).encoder
    rows = [
        {
            "prompt_ids": prompt,
            "chosen_ids": list(encoder.answers[int(t)]),
            "rejected_ids": list(encoder.answers[int(r)]),
        }
        for prompt, t, r in zip(encoder.prompts(windows.histories()), windows.target, rejected[:, 0], strict=True)
    ]

    class Theirs(DPOTrainer):
        def _prepare_dataset(self, dataset: Any, *_: Any) -> Any:
            return dataset

    arguments = DPOConfig(
        output_dir="unused",
        num_train_epochs=3,
        per_device_train_batch_size=16,
        learning_rate=1e-3,
        lr_scheduler_type="constant",
        max_grad_norm=0.0,
        optim="adamw_torch_fused",
        beta=0.3,
        max_length=None,
        save_strategy="no",
        report_to=[],
        disable_tqdm=True,
        use_cpu=True,
        bf16=False,
        activation_checkpointing=False,
    )
    trainer = Theirs(
        model=copy.deepcopy(start),
        ref_model=copy.deepcopy(start),
        args=arguments,
        train_dataset=Dataset.from_list(rows),
        processing_class=encoder.tokenizer,
    )
    trainer.train()
    theirs = dict(trainer.model.named_parameters())
    moved = 0.0
    for name, parameter in ours.lm.named_parameters():
        torch.testing.assert_close(parameter, theirs[name], rtol=1e-4, atol=2e-5)
        moved = max(moved, float((parameter - dict(start.named_parameters())[name]).detach().abs().max()))
    assert moved > 1e-4


def test_prefers_the_targets() -> None:
    """After training, targets have gained on the rejected titles relative to the reference; same seed, same model."""
    split = tiny_split()
    windows = split.train
    before = tiny_text_model(split)
    found = []
    for _ in range(2):
        model = tiny_text_model(split)
        prefer(model, loss(negatives=2), windows, _plan(), "fp32")
        found.append(model)
    rejected = sample_rejected(windows, len(split.catalog), 2, 5)
    gain = _log_probability(found[0], windows, windows.target) - _log_probability(before, windows, windows.target)
    other = [_log_probability(found[0], windows, r) - _log_probability(before, windows, r) for r in rejected.T]
    assert float((gain - sum(other) / 2).mean()) > 0.25
    for (name, a), b in zip(found[0].lm.named_parameters(), found[1].lm.parameters(), strict=True):
        assert torch.equal(a, b), name


def test_rejected_items_are_others() -> None:
    windows = tiny_split().train
    found = sample_rejected(windows, 24, 5, 3)
    assert np.array_equal(found, sample_rejected(windows, 24, 5, 3))
    assert not np.array_equal(found, sample_rejected(windows, 24, 5, 4))
    for row, history, target in zip(found, windows.history, windows.target, strict=True):
        assert len(set(row.tolist())) == 5
        assert not set(row.tolist()) & ({int(target)} | {int(i) for i in history if i != PAD})
    counts = np.bincount(np.concatenate([sample_rejected(windows, 24, 5, seed).ravel() for seed in range(40)]))
    assert counts.min() > 0.6 * counts.mean()
    with pytest.raises(UsageError, match="negatives=24"):
        sample_rejected(windows, 24, 24, 3)


def test_collate() -> None:
    rows = [
        {"prompt_ids": [1, 2], "answer_ids": [[3, 4], [5]], "ref_logps": [-1.0, -2.0]},
        {"prompt_ids": [6], "answer_ids": [[7], [8, 9]], "ref_logps": [-3.0, -4.0]},
    ]
    batch = collate(0)(rows)
    assert batch["input_ids"].tolist() == [[1, 2, 3, 4], [1, 2, 5, 0], [0, 6, 7, 0], [0, 6, 8, 9]]
    assert batch["attention_mask"].tolist() == [[1, 1, 1, 1], [1, 1, 1, 0], [0, 1, 1, 0], [0, 1, 1, 1]]
    assert batch["position_ids"].tolist() == [[0, 1, 2, 3], [0, 1, 2, 2], [0, 0, 1, 1], [0, 0, 1, 2]]
    assert batch["labels"].tolist() == [[3, 4], [5, -100], [7, -100], [8, 9]]
    assert batch["ref_logps"].tolist() == [[-1.0, -2.0], [-3.0, -4.0]]


def _plan() -> Fit:
    return Fit(BUDGET, 5, "cpu", 1, None, SilentReporter())


def _log_probability(model: Any, windows: Any, items: Any) -> torch.Tensor:
    found = []
    with torch.no_grad():
        for prompt, item in zip(model.encoder.prompts(windows.histories()), items, strict=True):
            answer = list(model.encoder.answers[int(item)])
            logits = model.lm(input_ids=torch.tensor([[*prompt, *answer]])).logits[0, len(prompt) - 1 : -1].double()
            found.append(logits.log_softmax(-1)[torch.arange(len(answer)), torch.tensor(answer)].sum())
    return torch.stack(found)
