"""MSL, ATS and LML against a float64 brute force over random logits and catalogues."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from recbench.prompts.trie import Trie
from recbench.testing import tiny_answers
from recbench.training.answers import AnswerBatch
from recbench_plugins.losses.lml import LML, LMLOptions
from recbench_plugins.losses.msl import MSL, MSLOptions, ats_estimate, ats_roots

VOCABULARY, END = 12, 11
titles = st.lists(st.lists(st.integers(0, 6), min_size=1, max_size=5), min_size=1, max_size=12, unique_by=tuple)


class Case:
    """A random catalogue, a batch of its titles, and random logits for every position."""

    def __init__(self, rows: list[list[int]], seed: int, spread: float = 3.0) -> None:
        random = np.random.default_rng(seed)
        self.answers = [[*row, END] for row in rows]
        self.trie = Trie.build(self.answers)
        self.targets = random.integers(len(rows), size=4)
        chosen = [self.answers[t] for t in self.targets]
        self.labels = [t for row in chosen for t in row]
        self.rows = [i for i, row in enumerate(chosen) for _ in row]
        self.depth = [d for row in chosen for d in range(len(row))]
        nodes = np.concatenate([self.trie.path(row) for row in chosen])
        self.indptr, self.allowed = self.trie.allowed(nodes)
        self.logits = torch.tensor(random.normal(0, spread, (len(self.labels), VOCABULARY)))

    def batch(self, logits: torch.Tensor, training: bool = True) -> AnswerBatch:
        """The batch whose head is the identity, so that hidden states are the logits."""
        head = nn.Linear(VOCABULARY, VOCABULARY, bias=False, dtype=logits.dtype)
        head.weight = nn.Parameter(torch.eye(VOCABULARY, dtype=logits.dtype), requires_grad=False)
        return AnswerBatch(
            torch.tensor(self.labels),
            logits,
            head,
            torch.tensor(self.rows),
            torch.tensor(self.depth),
            torch.from_numpy(self.indptr),
            torch.from_numpy(self.allowed).long(),
            training,
        )

    def valid(self, i: int) -> list[int]:
        """The valid tokens of position i, from the titles alone."""
        start = i - self.depth[i]
        prefix = self.labels[start:i]
        n = len(prefix)
        return sorted({a[n] for a in self.answers if len(a) > n and a[:n] == prefix})


def brute_msl(case: Case, logits: torch.Tensor, tau: float) -> list[torch.Tensor]:
    """Eq. (9) without the leading tau, position by position."""
    losses = []
    for i, label in enumerate(case.labels):
        scores = torch.stack([torch.exp(logits[i, z] / tau) for z in case.valid(i)])
        losses.append(-torch.log(torch.exp(logits[i, label] / tau) / scores.sum()))
    return losses


def brute_statistics(case: Case, positions: list[int]) -> tuple[float, float, float]:
    """d, variance and m of Eq. (12) over the given positions."""
    everything = [float(case.logits[i, z]) for i in positions for z in case.valid(i)]
    right = [float(case.logits[i, case.labels[i]]) for i in positions]
    d = float(np.mean(right) - np.mean(everything))
    return d, float(np.var(everything, ddof=1)), len(everything) / len(positions)


variants = st.sampled_from(["corrected", "official", "paper"])


@given(titles, st.integers(0, 999), st.sampled_from([0.5, 1.0, 2.0]), variants)
@settings(max_examples=60)
def test_fixed_temperature_and_gradient(rows: Any, seed: int, tau: float, variant: str) -> None:
    case = Case(rows, seed)
    mine = case.logits.clone().requires_grad_()
    total, count = MSL(MSLOptions(tau=tau, variant=variant))(case.batch(mine))
    theirs = case.logits.clone().requires_grad_()
    losses = torch.stack(brute_msl(case, theirs, tau))
    branching = sum(len(case.valid(i)) > 1 for i in range(len(case.labels)))
    factor = 1.0 if variant == "official" else tau
    expected_count = {"corrected": branching, "official": len(losses), "paper": 4}[variant]
    assert total.item() == pytest.approx(losses.sum().item() * factor, rel=1e-9, abs=1e-9)
    assert float(count) == expected_count
    total.backward()
    (losses.sum() * factor).backward()
    assert torch.allclose(mine.grad, theirs.grad, rtol=1e-9, atol=1e-9)


def brute_tau(d: float, variance: float, m: float, eta: float, variant: str) -> float:
    """The root of Eq. (12) by the table in msl.py; nan: the statistics say nothing.

    Without a root the corrected variant takes the maximum of the expansion's P, here found on a grid.
    """
    c = math.log(m * eta)
    if c == 0 or (variant == "corrected" and (c < 0 or d <= 0)):
        return math.nan
    square = d * d - 2 * c * variance
    if square < 0 and variant == "corrected":
        grid = np.geomspace(1e-3, 1e5, 2_000_001)
        return float(grid[np.argmax(d / grid - variance / (2 * grid * grid))])
    root = math.sqrt(max(square, 0))
    return (d - root if variant == "paper" else d + root) / (2 * c)


@given(titles, st.integers(0, 999), variants)
@settings(max_examples=60)
def test_adaptive_temperature(rows: Any, seed: int, variant: str) -> None:
    case = Case(rows, seed)
    loss = MSL(MSLOptions(variant=variant, tau_min=0.3, tau_max=9.0))
    loss.tau = 1.5
    fanout = [len(case.valid(i)) for i in range(len(case.labels))]
    branching = [i for i, f in enumerate(fanout) if f > 1]
    if variant == "paper":
        positions = branching
    elif variant == "official":
        positions = [i for i in branching if fanout[i] == fanout[0]]
    else:
        widest: dict[int, int] = {}
        for i in branching:
            if case.rows[i] not in widest or fanout[i] > fanout[widest[case.rows[i]]]:
                widest[case.rows[i]] = i
        positions = list(widest.values())
    expected = 1.5
    if positions:
        d, spread, m = brute_statistics(case, positions)
        tau = brute_tau(d, spread, m, 0.25, variant)
        if not math.isnan(tau):
            expected += 0.05 * (min(max(tau, 0.3), 9.0) - 1.5)
    total, _ = loss(case.batch(case.logits))
    # the brute search steps by 9.2e-6 of a tau of at most 9, a twentieth of which gets into the average
    assert loss.tau == pytest.approx(expected, abs=5e-6)
    losses = torch.stack(brute_msl(case, case.logits, loss.tau))
    assert float(total) == pytest.approx(float(losses.sum()) * loss.tau, rel=1e-9, abs=1e-9)


def brute_token_tau(case: Case, i: int, options: MSLOptions) -> float:
    """Eq. (11) at one position, from its own valid logits, clamped."""
    valid = case.valid(i)
    logits = np.array([float(case.logits[i, z]) for z in valid])
    d = float(case.logits[i, case.labels[i]]) - logits.mean()
    tau = brute_tau(d, float(np.var(logits, ddof=1)), len(valid), options.eta, options.variant)
    if math.isnan(tau):
        few = len(valid) * options.eta <= 1
        tau = (options.tau_start if few else math.inf) if options.variant == "corrected" else 0.0
    return min(max(tau, options.clamps[0]), options.clamps[1])


@given(titles, st.integers(0, 999), variants, st.sampled_from([0.25, 0.4, 0.9]))
@settings(max_examples=60)
def test_a_temperature_for_every_token(rows: Any, seed: int, variant: str, eta: float) -> None:
    """Eq. (11): tau from the position's own logits, a constant for the gradient, the same whether training or not."""
    case = Case(rows, seed)
    options = MSLOptions(variant=variant, scope="token", eta=eta, tau_min=0.3, tau_max=9.0)
    branching = [i for i in range(len(case.labels)) if len(case.valid(i)) > 1]
    taus = [brute_token_tau(case, i, options) for i in branching]
    theirs = case.logits.clone().requires_grad_()
    expected = theirs.sum() * 0.0
    for i, tau in zip(branching, taus, strict=True):
        expected = expected + tau * brute_msl(case, theirs, tau)[i]
    expected.backward()
    for training in (True, False):
        mine = case.logits.clone().requires_grad_()
        loss = MSL(options)
        total, _ = loss(case.batch(mine, training))
        total.backward()
        assert total.item() == pytest.approx(expected.item(), rel=1e-5, abs=1e-9)
        assert torch.allclose(mine.grad, theirs.grad, rtol=1e-5, atol=1e-5)
        shown = float(np.mean(taus)) if taus and training else 1.5
        assert loss.state()["tau"] == pytest.approx(shown, rel=1e-5)


@given(titles, st.integers(0, 999), st.sampled_from(["auto", 0.25, 40.0]), st.sampled_from([1.0, 2.0]))
@settings(max_examples=60)
def test_coefficient_of_the_negative_tokens(rows: Any, seed: int, alpha: Any, tau: float) -> None:
    """Table 6: the negative part of the denominator times alpha, written out with plain exponentials."""
    case = Case(rows, seed)
    mine = case.logits.clone().requires_grad_()
    total, _ = MSL(MSLOptions(alpha=alpha, tau=tau))(case.batch(mine))
    theirs = case.logits.clone().requires_grad_()
    expected = theirs.sum() * 0.0
    for i, label in enumerate(case.labels):
        valid = case.valid(i)
        factor = VOCABULARY / len(valid) if alpha == "auto" else alpha
        right = torch.exp(theirs[i, label] / tau)
        wrong = sum((torch.exp(theirs[i, z] / tau) for z in valid if z != label), torch.zeros((), dtype=theirs.dtype))
        expected = expected - tau * torch.log(right / (right + factor * wrong))
    assert total.item() == pytest.approx(expected.item(), rel=1e-9, abs=1e-9)
    total.backward()
    expected.backward()
    assert torch.allclose(mine.grad, theirs.grad, rtol=1e-9, atol=1e-9)


def test_oracle_of_the_roots() -> None:
    larger, smaller = ats_roots(12, 4, 1000, 0.25)
    assert (larger, smaller) == (pytest.approx(1.991449, abs=1e-6), pytest.approx(0.181889, abs=1e-6))
    c = math.log(250)
    for tau in (larger, smaller):  # both solve P = eta in the expansion: d / tau - s^2 / (2 tau^2) = log(m eta)
        assert 12 / tau - 4 / (2 * tau * tau) == pytest.approx(c)
    assert 1.5 + 0.05 * (larger - 1.5) == pytest.approx(1.524572, abs=1e-6)
    assert ats_roots(6, 4, 1000, 0.25)[0] == pytest.approx(0.543, abs=1e-3)


def logits_of_the_oracle(d: float) -> list[float]:
    """1,000 valid logits, the right one first: its distance to their mean is ``d``, their unbiased variance 4."""
    rest = 999
    # with the right logit at d and the mean at 0 the others average -d/999; half lie s above that and half below
    centre = -d / rest
    s = math.sqrt((4 * rest - d * d - rest * centre * centre) / (rest - 1))
    return [d] + [centre] + [centre + s, centre - s] * (rest // 2)


@pytest.mark.parametrize(
    ("d", "variant", "scope", "tau"),
    [
        (12, "corrected", "batch", 1.524572),
        (12, "official", "batch", 1.524572),
        (12, "corrected", "token", 1.991449),
        (12, "paper", "batch", 1.5),  # .181889, below the clamp
        (12, "paper", "token", 1.5),
        (6, "official", "batch", 1.5),  # no real root: .543, below the clamp
        (6, "official", "token", 1.5),
        (6, "corrected", "batch", 1.5 + 0.05 * (4 / 6 - 1.5)),  # no real root: s^2 / d
        (6, "corrected", "token", 4 / 6),
    ],
)
def test_oracle_of_the_temperature(d: float, variant: str, scope: str, tau: float) -> None:
    """methods.md: d = 12, variance 4, m = 1,000, eta = .25, through the loss itself."""
    logits = torch.tensor([logits_of_the_oracle(d)], dtype=torch.float64)
    assert float(logits[0, 0] - logits.mean()) == pytest.approx(d)
    assert float(logits.var()) == pytest.approx(4)
    loss = MSL(MSLOptions(variant=variant, scope=scope))
    loss(tiny_answers(logits, [list(range(1000))], [0], [0], training=True))
    assert loss.tau == pytest.approx(tau, abs=1e-6)


@pytest.mark.parametrize("variant", ["corrected", "official"])
def test_the_state_tells_a_constant_from_an_adaptive_temperature(variant: str) -> None:
    """methods.md: d = 6 has no root, and the code's estimate of .543 lies below its clamp at every step."""
    loss = MSL(MSLOptions(variant=variant))
    assert loss.state() == {"tau": 1.5}
    for d in (6, 6, 6, 12):
        logits = torch.tensor([logits_of_the_oracle(d)], dtype=torch.float64)
        loss(tiny_answers(logits, [list(range(1000))], [0], [0], training=True))
    found = loss.state()
    assert found["eta_unreached"] == 0.75
    assert found["tau_clamped"] == (0.0 if variant == "corrected" else 0.75)
    without_root = 4 / 6 if variant == "corrected" else 6 / (2 * math.log(250))
    assert found["tau_estimate"] == pytest.approx(without_root)
    assert MSL(MSLOptions(tau=2)).state() == {"tau": 2.0}


def test_without_a_root_the_estimate_is_the_likeliest_temperature() -> None:
    """s^2 / d is the maximum of the expansion's P, and joins the larger root without a jump."""
    options, d, c = MSLOptions(), 2.0, math.log(250)

    def log_p(tau: float, variance: float) -> float:
        return d / tau - variance / (2 * tau * tau) - math.log(1000)

    tau, solvable = ats_estimate(d, 4.0, 1000, options)
    assert not solvable
    assert tau == 2.0
    assert all(log_p(tau * f, 4.0) < log_p(tau, 4.0) < math.log(0.25) for f in (0.9, 0.99, 1.01, 1.1))
    edge = d * d / (2 * c)  # the variance of a double root
    below, above = (ats_estimate(d, edge * f, 1000, options) for f in (1 - 1e-9, 1 + 1e-9))
    assert (below[1], above[1]) == (True, False)
    assert below[0] == pytest.approx(above[0], rel=1e-3)


def test_clamps_of_the_variants() -> None:
    assert MSLOptions().clamps == (0.25, 5.0)
    assert MSLOptions(variant="official").clamps == MSLOptions(variant="paper").clamps == (1.5, 5.0)
    assert MSLOptions(variant="paper", tau_max="8", tau_min="auto").clamps == (1.5, 8.0)
    assert MSL(MSLOptions(tau_min=3)).tau == 3.0, "the start lies between the clamps"


def test_the_temperature_rests_outside_training() -> None:
    case = Case([[0, 1], [2], [3, 4]], 0)
    loss = MSL(MSLOptions())
    loss(case.batch(case.logits, training=False))
    assert loss.tau == 1.5


@given(titles, st.integers(0, 999))
@settings(max_examples=60)
def test_decomposition_and_upper_bound(rows: Any, seed: int) -> None:
    """Eq. (2) to (4): LML = validity part + MSL at tau 1, so that MSL <= LML (Lemma 1), title by title."""
    case = Case(rows, seed)
    masked = torch.stack(brute_msl(case, case.logits, 1.0))
    probability = case.logits.softmax(1)
    validity = torch.stack([-torch.log(probability[i, case.valid(i)].sum()) for i in range(len(case.labels))])
    lml, tokens = LML(LMLOptions())(case.batch(case.logits))
    msl, _ = MSL(MSLOptions(tau=1.0))(case.batch(case.logits))
    assert float(lml) == pytest.approx(float((masked + validity).sum()), rel=1e-6)
    assert tokens == len(case.labels)
    assert float(msl) <= float(lml) + 1e-6


def test_one_valid_token_costs_nothing_and_teaches_nothing() -> None:
    case = Case([[0, 1, 2]], 0)
    logits = case.logits.clone().requires_grad_()
    for options in (
        MSLOptions(),
        MSLOptions(tau=2.0, variant="official"),
        MSLOptions(reduction="title_sum"),
        MSLOptions(scope="token", alpha="auto"),
    ):
        total, _ = MSL(options)(case.batch(logits))
        total.backward()
        assert float(total) == 0.0
        assert not logits.grad.any()


def test_large_logits_do_not_overflow() -> None:
    case = Case([[0], [1], [2]], 1, spread=1e4)
    total, _ = MSL(MSLOptions())(case.batch(case.logits.float()))
    assert torch.isfinite(total)


@given(titles, st.integers(0, 99), st.sampled_from([1.0, 2.5]))
@settings(max_examples=30)
def test_lml_is_torch_cross_entropy(rows: Any, seed: int, tau: float) -> None:
    case = Case(rows, seed)
    total, count = LML(LMLOptions(tau=tau))(case.batch(case.logits))
    expected = tau * nn.functional.cross_entropy(case.logits / tau, torch.tensor(case.labels))
    assert float(total) / float(count) == pytest.approx(float(expected), rel=1e-6)


@pytest.mark.parametrize(
    "bad",
    [
        {"tau": 0}, {"tau": -1.0}, {"tau": "hot"}, {"eta": 1.0}, {"gamma": 2}, {"alpha": 0}, {"alpha": "much"},
        {"scope": "token", "tau": 2.0}, {"tau_min": 16.0},
        {"tau_min": "low"}, {"tau_max": 0}, {"tau_start": -1},
    ],
)  # fmt: skip
def test_impossible_options_are_refused(bad: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(bad))):
        MSLOptions(**bad)
