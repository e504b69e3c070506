"""Cross-entropy in blocks against torch's own over all logits at once."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from recbench.training.vocabulary import BLOCK, cross_entropy_sum


def inputs(
    n: int, dtype: torch.dtype, bias: bool, frozen: bool
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor | None]:
    torch.manual_seed(n)
    hidden = torch.randn(n, 12, dtype=dtype, requires_grad=True)
    weight = torch.randn(50, 12, dtype=dtype, requires_grad=not frozen)
    return hidden, weight, torch.randn(50, dtype=dtype, requires_grad=True) if bias else None


@pytest.mark.parametrize("n", [1, BLOCK, 2 * BLOCK + 7])
@pytest.mark.parametrize("tau", [1.0, 0.3])
@pytest.mark.parametrize(("bias", "frozen"), [(False, False), (True, False), (True, True)])
def test_value_and_gradients_in_float64(n: int, tau: float, bias: bool, frozen: bool) -> None:
    ours, theirs = inputs(n, torch.float64, bias, frozen), inputs(n, torch.float64, bias, frozen)
    labels = torch.randint(50, (n,), generator=torch.Generator().manual_seed(1))
    value = cross_entropy_sum(*ours, labels, tau)
    hidden, weight, shift = theirs
    logits = functional.linear(hidden, weight, shift)
    expected = tau * functional.cross_entropy(logits / tau, labels, reduction="sum")
    (3.0 * value).backward()
    (3.0 * expected).backward()
    assert float(value.detach()) == pytest.approx(float(expected.detach()), rel=1e-13)
    assert (weight.grad is None) is frozen
    for mine, right in zip(ours, theirs, strict=True):
        if mine is None or right is None or right.grad is None:
            assert mine is right is None or (mine is not None and mine.grad is None)
        else:
            assert mine.grad is not None
            assert torch.allclose(mine.grad, right.grad, rtol=1e-11, atol=1e-11)


def test_large_logits_do_not_overflow() -> None:
    hidden = torch.tensor([[1000.0]], requires_grad=True)
    value = cross_entropy_sum(hidden, torch.tensor([[1.0], [-1.0]]), None, torch.tensor([1]))
    value.backward()
    assert float(value.detach()) == 2000.0
    assert hidden.grad is not None
    assert float(hidden.grad) == 2.0


def test_nothing_to_predict() -> None:
    hidden = torch.zeros(0, 4, requires_grad=True)
    value = cross_entropy_sum(hidden, torch.zeros(5, 4), None, torch.zeros(0, dtype=torch.long))
    value.backward()
    assert float(value.detach()) == 0.0


def test_half_precision_is_summed_in_single() -> None:
    ours = inputs(300, torch.bfloat16, False, False)
    labels = torch.arange(300) % 50
    value = cross_entropy_sum(*ours, labels)
    assert value.dtype == torch.float32
    hidden, weight, _ = ours
    logits = (hidden @ weight.T).float()
    assert float(value.detach()) == pytest.approx(
        float(functional.cross_entropy(logits, labels, reduction="sum")), rel=1e-5
    )
    value.backward()
    assert hidden is not None
    assert hidden.grad is not None
    assert hidden.grad.dtype == torch.bfloat16
