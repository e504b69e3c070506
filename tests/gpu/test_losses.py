"""Every loss gives on CUDA the value, the gradients and the temperature that it gives on the CPU."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from recbench import registry
from recbench.testing import tiny_split, tiny_text_model
from recbench.training.answers import AnswerModel
from recbench.training.text import Examples, collate

LOSSES: list[tuple[str, dict[str, Any]]] = [
    ("lml", {}),
    ("msl", {}),
    ("msl", {"variant": "official"}),
    ("msl", {"variant": "paper", "reduction": "title_sum"}),
    ("msl", {"scope": "token"}),
    ("msl", {"tau": 2.0, "alpha": "auto"}),
]


Step = tuple[float, dict[str, Any], dict[str, float]]


def step(name: str, options: dict[str, Any], every: bool, device: str) -> Step:
    """The loss of a batch, the gradients, and what the loss watches."""
    split = tiny_split()
    model = tiny_text_model(split, apart=every)
    model.lm.to(device)
    model.device = device
    plugin = registry.get("loss", name)
    loss = plugin.implementation(plugin.options(**options))
    module = AnswerModel(model, loss).to(device).train()
    examples = Examples(model, split.train, choices=loss.positions == "choices", every=every)
    batch = {k: v.to(device) if torch.is_tensor(v) else v for k, v in collate([examples[i] for i in range(8)]).items()}
    value = module(batch)["loss"]
    value.backward()
    grown = {n: p.grad.cpu() for n, p in model.lm.named_parameters() if p.grad is not None}
    return float(value.detach()), grown, dict(loss.state())


@pytest.mark.parametrize("every", [False, True])
@pytest.mark.parametrize(("name", "options"), LOSSES)
def test_a_step(name: str, options: dict[str, Any], every: bool, device: str) -> None:
    expected, gradients, watched = step(name, options, every, "cpu")
    value, found, state = step(name, options, every, device)
    assert value == pytest.approx(expected, rel=1e-4)
    assert found.keys() == gradients.keys()
    assert any(bool(g.abs().sum()) for g in gradients.values())
    for parameter, gradient in gradients.items():
        torch.testing.assert_close(found[parameter], gradient, rtol=1e-3, atol=1e-5)
    assert state == pytest.approx(watched, rel=1e-3)
