import math

import pytest

from recbench import registry
from recbench.testing import LossTests, tiny_answers

pytest.importorskip("recbench_psl", reason="pip install ./plugins/recbench-psl")

ALLOWED = [[0, 1, 2], [3], [1, 2, 3, 4]]
LABELS = [1, 3, 4]
LOGITS = [[0.5, -0.25, 2.0, 9.0, 9.0], [0.0, 0.0, 0.0, 1.0, 0.0], [9.0, 0.1, -7.0, 0.9, 0.3]]
FUNCTIONS = {"tanh": math.tanh, "relu": lambda d: max(d, -1.0), "atan": lambda d: max(math.atan(d), -1.0)}


class TestPSL(LossTests):
    name = "psl"


class TestPSLWithReLU(LossTests):
    name = "psl"
    options = {"activation": "relu", "tau": 0.1}


class TestPSLWithArcTan(LossTests):
    name = "psl"
    options = {"activation": "atan", "tau": 0.1}


def value(name: str = "psl", **options) -> tuple[float, float]:
    import torch

    loss = registry.get("loss", name)
    logits = torch.tensor(LOGITS, dtype=torch.float64)
    total, count = loss.implementation(loss.options(**options))(tiny_answers(logits, ALLOWED, LABELS, [0, 0, 1]))
    return float(total), float(count)


@pytest.mark.parametrize("activation", FUNCTIONS)
@pytest.mark.parametrize("tau", [0.1, 0.2, 1.0])
def test_by_the_formula(activation: str, tau: float) -> None:
    """The sum of the paper's Eq. written out, token by token; the forced position counts for nothing."""
    expected = 0.0
    for row, tokens, label in zip(LOGITS, ALLOWED, LABELS, strict=True):
        powers = [(FUNCTIONS[activation](tau * (row[j] - row[label])) + 1) ** (1 / tau) for j in tokens]
        expected += math.log(sum(powers))
    total, count = value(activation=activation, tau=tau)
    assert total == pytest.approx(expected, rel=1e-9)
    assert count == 2


@pytest.mark.parametrize("activation", FUNCTIONS)
def test_the_masked_softmax_is_its_limit(activation: str) -> None:
    assert value(activation=activation, tau=1e-5)[0] == pytest.approx(value("msl", tau="none")[0], rel=1e-3)


def test_a_wrong_token_far_above_pushes_less_than_under_softmax() -> None:
    import torch

    pushed = {}
    for name, options in (("psl", {}), ("msl", {"tau": "none"})):
        loss = registry.get("loss", name)
        logits = torch.tensor([[0.0, 30.0, 0.0]], dtype=torch.float64, requires_grad=True)
        total, _ = loss.implementation(loss.options(**options))(tiny_answers(logits, [[0, 1, 2]], [0], [0]))
        (gradient,) = torch.autograd.grad(total, logits)
        pushed[name] = float(gradient[0, 1])
    assert pushed["msl"] == pytest.approx(1.0)
    assert 0 < pushed["psl"] < 0.01
