"""Masked softmax loss with the adaptive temperature strategy (ATS).

Paper: Wang et al., "MSL: Not All Tokens Are What You Need for Tuning LLM as a Recommender", SIGIR 2025,
https://doi.org/10.1145/3726302.3730041: Eq. (5), with temperature Eq. (9), ATS Eq. (11) and (12).
Original code: github.com/WANGBohaO-jpg/MSL.

Known differences between paper and code, and what ``variant`` chooses:

=========================  =======================  ==========================  ===============================
choice                     corrected (default)      official (the code)         paper (the equations)
=========================  =======================  ==========================  ===============================
root of the quadratic      larger                   larger                      smaller, as printed
statistics taken from      each title's position    positions whose fan-out     every position with a
                           with most valid tokens   equals the first row's      choice
no tau gives P = eta       the tau whose P is       d / (2 C), as if a double   as official
                           nearest to eta           root were there
clamps of tau              0.25 and 5               1.5 and 5                   1.5 and 5
loss times tau (Eq. 9)     yes                      with ATS only               yes
forced positions in mean   left out                 left out with ATS only      summed over the title (Eq. 5)
=========================  =======================  ==========================  ===============================

``reduction`` is how losses are averaged: over the answer tokens of a batch, as every script does, or by title, as
Eq. (5) sums. Epochs are chosen by validation NDCG@10; the paper reports the epoch with the best NDCG@5 on test.

The equations have no clamps. The printed (smaller) root is an artefact of the Gaussian expansion: it gives P = eta in
the expansion, but a temperature so low that the true P is near 1. The first position offers no choice where a tokenizer
isolates the opening quote, and few where titles begin with one of two quotes: the statistics of the code are then an
average over nothing, or a C near 0, which sends tau to its upper clamp.

**Where eta is out of reach.** The expansion's P has its largest value, exp(d^2 / 2 s^2) / m, at tau = s^2 / d. While
that is below eta, as for a small model that is never that confident (``llm=tiny`` on ml-100k: d 2, s^2 4, m 867), there
is no root. The code then computes d / (2 C), here 0.2, far below s^2 / d = 2, which the lower clamp turns into 1.5 at
every step: "ATS" is the constant 1.5. With wider clamps it never settles either: logits shrink with tau, the next
estimate with them, and tau falls to any lower clamp. The corrected variant takes s^2 / d, which joins the larger root
without a jump. But a calibrated model has s^2 / d = tau at *every* tau, since its logits grow with it: if eta is out of
reach, tau follows the training and does not converge to a value (the tiny model with BIGRec on ml-100k ends at 2.5 to
3.0 with ``train.targets=last`` and at 1.3 to 1.4 with ``all``; SmolLM2 was at 0.4 after 250 steps of ``all`` on Book,
and at 0.65 to 0.71 after 93 steps of ``last`` on Toy, still falling). Say then that ATS had no target to reach, not
that it found a temperature. With SmolLM2 on Book, in its first steps, eta is out of reach too (d 4, s^2 7, m 1,103) and
s^2 / d between 1.2 and 4.2.

``FitReport.watched`` shows what happened: ``tau``; ``tau_estimate``, the median of the last 200 estimates before
the clamps; ``tau_clamped``, the share of all estimates beyond a clamp (1: tau was a constant, the clamp); and
``eta_unreached``, the share of batches without a root.

The paper's code decodes the plain logits, whatever tau was. ``decoder.temperature=loss`` divides them by tau, see
``constrained_beam``.

Two choices of the paper that its code does not have: ``scope=token`` gives every position the temperature of Eq. (11),
from its own logits and with neither smoothing nor gradient; ``alpha`` is Table 6's coefficient of the negative tokens,
there set to |Z| / |Z_valid| (``auto``), which makes up for the tokens that the mask took out of the denominator.
"""

from __future__ import annotations

import math
import statistics
from collections import deque
from typing import TYPE_CHECKING, Literal

from pydantic import Field, field_validator, model_validator

from recbench.interfaces import Loss, LossPlugin, Options

if TYPE_CHECKING:
    from torch import Tensor

    from recbench.training.answers import AnswerBatch


CLAMPS = {"corrected": (0.25, 5.0), "official": (1.5, 5.0), "paper": (1.5, 5.0)}
RECENT = 200  # estimates whose median is shown


class MSLOptions(Options):
    """Options of ``--loss msl``."""

    tau: float | Literal["ats", "none"] = Field("ats", description="ats (adaptive), none (1), or a fixed temperature")
    variant: Literal["corrected", "official", "paper"] = Field("corrected", description="see the table in msl.py")
    reduction: Literal["variant", "token_mean", "title_sum"] = Field(
        "variant", description="mean over answer tokens, sum over a title's (Eq. 5), or what the variant does"
    )
    eta: float = Field(0.25, gt=0, lt=1, description="ATS: target probability of the right token")
    tau_min: float | Literal["auto"] = Field("auto", description="ATS: lower clamp; auto: the variant's, see msl.py")
    tau_max: float | Literal["auto"] = Field("auto", description="ATS: upper clamp; auto: the variant's")
    tau_start: float = Field(1.5, gt=0, description="ATS: starting value, limited to the clamps")
    momentum: float = Field(0.05, gt=0, le=1, description="ATS: weight of a batch's estimate in the running average")
    scope: Literal["batch", "token"] = Field(
        "batch", description="ATS: one temperature for all positions (Eq. 12), or each position its own (Eq. 11)"
    )
    alpha: float | Literal["auto"] = Field(
        1.0, description="factor of the negative tokens in the denominator (Table 6); auto: |Z| / |Z_valid| by position"
    )

    @field_validator("tau", mode="before")
    @classmethod
    def _temperature(cls, tau: object) -> object:
        return tau if tau in ("ats", "none") else _positive(tau, "tau must be ats, none or a positive number")

    @field_validator("tau_min", "tau_max", mode="before")
    @classmethod
    def _clamp(cls, bound: object) -> object:
        return bound if bound == "auto" else _positive(bound, "a clamp of tau must be auto or a positive number")

    @field_validator("alpha", mode="before")
    @classmethod
    def _coefficient(cls, alpha: object) -> object:
        return alpha if alpha == "auto" else _positive(alpha, "alpha must be auto or a positive number")

    @model_validator(mode="after")
    def _fits(self) -> MSLOptions:
        low, high = self.clamps
        if low > high:
            raise ValueError(f"tau_min={low:g} exceeds tau_max={high:g}")
        if self.scope == "token" and self.tau != "ats":
            raise ValueError(f"scope=token needs tau=ats, not tau={self.tau}")
        return self

    @property
    def clamps(self) -> tuple[float, float]:
        """The smallest and the largest tau that ATS may set."""
        low, high = CLAMPS[self.variant]
        return (
            low if self.tau_min == "auto" else float(self.tau_min),
            high if self.tau_max == "auto" else float(self.tau_max),
        )


def _positive(value: object, wanted: str) -> float:
    try:
        number = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        number = math.nan
    if not (number > 0 and math.isfinite(number)):
        raise ValueError(wanted)
    return number


def ats_roots(d: float, variance: float, m: float, eta: float) -> tuple[float, float]:
    """Both solutions of ``P_valid = eta`` in the Gaussian expansion (Eq. 12): (larger, smaller).

    Args:
        d: mean logit of the right tokens minus mean logit of all valid tokens.
        variance: unbiased variance of the valid logits.
        m: mean number of valid tokens.
        eta: the wanted probability.

    A negative discriminant counts as 0, as in the code. Where ``m * eta < 1`` the expansion has no sensible solution
    (the code then computes a negative number, which its clamp turns into ``tau_min``); at 1 both are nan.
    """
    c = math.log(m * eta)
    if c == 0:
        return math.nan, math.nan
    root = math.sqrt(max(d * d - 2.0 * c * variance, 0.0))
    return (d + root) / (2.0 * c), (d - root) / (2.0 * c)


def ats_estimate(d: float, variance: float, m: float, options: MSLOptions) -> tuple[float, bool]:
    """The temperature that a variant takes from its statistics, before the clamps; and whether P = eta has a solution.

    The arguments are those of :func:`ats_roots`. nan where they say nothing: too few valid tokens, or right tokens that
    are on average no likelier than the others.
    """
    c = math.log(m * options.eta)
    larger, smaller = ats_roots(d, variance, m, options.eta)
    solvable = c > 0 and d > 0 and d * d >= 2.0 * c * variance
    if options.variant != "corrected":
        return (smaller if options.variant == "paper" else larger), solvable
    if c <= 0 or d <= 0:
        return math.nan, False
    return (larger if solvable else variance / d), solvable


def token_temperatures(values: Tensor, position: Tensor, positive: Tensor, options: MSLOptions) -> Tensor:
    """[N] temperature of each position from its own valid logits (Eq. 11), before the clamps; no gradient.

    Args:
        values, position: [edges] valid logits and the position of each; at least two a position.
        positive: [N] index into ``values`` of each position's label.
        options: eta, and the root that the variant takes.

    As :func:`ats_estimate`, but where it gives nan: the starting value at a position with 1 / eta valid tokens or fewer
    (corrected; the others' roots are negative there, or undefined and 0 here), and infinity where the right token lies
    below the mean, since every higher temperature brings its P nearer to eta.
    """
    import torch

    values = values.detach().double()
    count = position.bincount(minlength=len(positive)).double()
    mean = values.new_zeros(len(positive)).index_add(0, position, values) / count
    deviation = values - mean[position]
    variance = values.new_zeros(len(positive)).index_add(0, position, deviation.square()) / (count - 1.0)
    c = (count * options.eta).log()
    d = deviation[positive]
    square = d.square() - 2.0 * c * variance
    root = square.clamp_min(0.0).sqrt()
    if options.variant != "corrected":
        estimate = (d - root if options.variant == "paper" else d + root) / (2.0 * c)
        return torch.where(c == 0, 0.0, estimate)
    estimate = torch.where(square >= 0, (d + root) / (2.0 * c), variance / d)
    estimate = torch.where(d <= 0, torch.inf, estimate)
    return torch.where(c <= 0, options.tau_start, estimate)


class MSL(Loss[MSLOptions]):
    """Softmax over the tokens that can continue some title of the catalogue."""

    positions = "choices"

    def __init__(self, options: MSLOptions) -> None:
        super().__init__(options)
        self.low, self.high = options.clamps
        start = min(max(options.tau_start, self.low), self.high)
        self.tau = start if options.tau == "ats" else 1.0 if options.tau == "none" else float(options.tau)
        self.recent: deque[float] = deque(maxlen=RECENT)
        self.estimates = self.clamped = self.unreached = 0

    def state(self) -> dict[str, float]:
        """The current temperature (with ``scope=token`` the mean of the last training batch's), and how it was chosen.

        Once ATS has made an estimate also ``tau_estimate``, ``tau_clamped`` and ``eta_unreached``: see the module.
        """
        found = {"tau": self.tau}
        if self.estimates:
            found["tau_estimate"] = statistics.median(self.recent)
            found["tau_clamped"] = self.clamped / self.estimates
            found["eta_unreached"] = self.unreached / self.estimates
        return found

    @property
    def softmax_temperature(self) -> float:
        """The current tau; 1 with ``scope=token``, whose temperatures depend on the right tokens."""
        return self.tau if self.options.scope == "batch" else 1.0

    def __call__(self, batch: AnswerBatch) -> tuple[Tensor, Tensor | float]:
        """See :class:`recbench.interfaces.Loss`.

        Positions with one valid token have loss 0 and no gradient; they only count where the variant averages over
        them.
        """
        from recbench.training.segments import segment_logsumexp

        options = self.options
        adaptive = options.tau == "ats"
        tau: float | Tensor
        choice = batch.branching()
        if len(choice) == 0:  # still part of the graph, so that every parameter gets its (zero) gradient
            return (batch.hidden * 0.0).sum(), float(self._count(batch, 0))
        values, position, positive = choice.valid_logits()
        if options.scope == "token":
            tau = token_temperatures(values, position, positive, options).clamp(self.low, self.high).to(values.dtype)
            if batch.training:
                self.tau = float(tau.mean())
            logits = values / tau[position]
        else:
            if adaptive and batch.training:
                self._update(batch, choice, values, position, positive)
            tau = self.tau
            logits = values / tau
        denominator = logits if options.alpha == 1.0 else logits + self._weights(choice, position, positive, logits)
        losses = segment_logsumexp(denominator, position, len(choice)) - logits[positive]
        scaled = losses if options.variant == "official" and not adaptive else losses * tau
        return scaled.sum(), float(self._count(batch, len(choice)))

    def _weights(self, choice: AnswerBatch, position: Tensor, positive: Tensor, like: Tensor) -> Tensor:
        """[edges] what alpha adds to the logits of the denominator: its logarithm, and 0 for the right token."""
        if self.options.alpha == "auto":
            weights = (choice.head.weight.shape[0] / choice.fanout.to(like.dtype)).log()[position]
        else:
            weights = like.new_full(like.shape, math.log(self.options.alpha))
        return weights.index_fill(0, positive, 0.0)

    def _count(self, batch: AnswerBatch, branching: int) -> int:
        reduction = self.options.reduction
        if reduction == "title_sum" or (reduction == "variant" and self.options.variant == "paper"):
            return int(batch.row.unique().numel())
        if reduction == "token_mean" or (self.options.variant == "official" and self.options.tau != "ats"):
            return len(batch) + batch.dropped
        return branching

    def _update(
        self, batch: AnswerBatch, choice: AnswerBatch, values: Tensor, position: Tensor, positive: Tensor
    ) -> None:
        """Move tau towards the batch's estimate (pooled over devices)."""
        import torch

        from recbench.training.devices import sum_over_devices

        values = values.detach().double()
        rows = self._statistics_rows(batch, choice)
        edges = rows[position]
        sums = torch.stack(
            [
                rows.sum().double(),
                edges.sum().double(),
                values[positive][rows].sum(),
                values[edges].sum(),
                values[edges].square().sum(),
            ]
        )
        count, edge_count, right, total, squares = sum_over_devices(sums).tolist()
        if edge_count < 2:
            return
        mean = total / edge_count
        variance = max(squares - edge_count * mean * mean, 0.0) / (edge_count - 1)
        fanout = edge_count / count
        estimate, solvable = ats_estimate(right / count - mean, variance, fanout, self.options)
        if math.isnan(estimate):
            return  # the batch says nothing: keep tau
        self.recent.append(estimate)
        self.estimates += 1
        self.unreached += not solvable
        self.clamped += not self.low <= estimate <= self.high
        estimate = min(max(estimate, self.low), self.high)
        self.tau += self.options.momentum * (estimate - self.tau)

    def _statistics_rows(self, batch: AnswerBatch, choice: AnswerBatch) -> Tensor:
        """[branching positions] which of them the statistics are taken from."""
        import torch

        if self.options.variant == "paper":
            return torch.ones(len(choice), dtype=torch.bool, device=choice.labels.device)
        if self.options.variant == "official":
            return choice.fanout == batch.fanout[0]
        titles, row = int(batch.row.max()) + 1, choice.row
        most = choice.fanout.new_zeros(titles).scatter_reduce(0, row, choice.fanout, "amax")
        widest = choice.fanout == most[row]
        first = torch.full((titles,), torch.iinfo(torch.long).max, device=row.device)
        first = first.scatter_reduce(0, row[widest], choice.depth[widest], "amin")
        return widest & (choice.depth == first[row])


plugin = LossPlugin(
    implementation=MSL,
    summary="masked softmax over valid tokens, adaptive temperature",
    options=MSLOptions,
    paper="Wang et al., MSL, SIGIR 2025. https://doi.org/10.1145/3726302.3730041",
)
