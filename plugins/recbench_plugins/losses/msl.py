"""Masked softmax loss with the adaptive temperature strategy (ATS).

Paper: Wang et al., "MSL: Not All Tokens Are What You Need for Tuning LLM as a Recommender", SIGIR 2025,
https://doi.org/10.1145/3726302.3730041: Eq. (5), with temperature Eq. (9), ATS Eq. (11) and (12).
Original code: github.com/WANGBohaO-jpg/MSL.

Known differences between paper and code, and what ``variant`` chooses:

=========================  =======================  ==========================  ===============================
choice                     corrected (default)      official (the code)         paper (the equations)
=========================  =======================  ==========================  ===============================
root of the quadratic      larger                   larger                      smaller, as printed
statistics taken from      each title's first       positions whose fan-out     every position with a
                           position with a choice   equals the first row's      choice
loss times tau (Eq. 9)     yes                      with ATS only               yes
forced positions in mean   left out                 left out with ATS only      summed over the title (Eq. 5)
=========================  =======================  ==========================  ===============================

Whatever the variant, tau stays between ``tau_min`` and ``tau_max`` (the code's 1.5 and 5; the equations have no such
bounds). The printed (smaller) root is an artefact of the Gaussian expansion: it gives P = eta in the expansion, but a
temperature so low that the true P is near 1. The first position offers no choice where a tokenizer isolates the
opening quote: the statistics of the code are then an average over nothing.

Two choices of the paper that its code does not have: ``scope=token`` gives every position the temperature of Eq. (11),
from its own logits and with neither smoothing nor gradient; ``alpha`` is Table 6's coefficient of the negative tokens,
there set to |Z| / |Z_valid| (``auto``), which makes up for the tokens that the mask took out of the denominator.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal

from pydantic import Field, field_validator, model_validator

from recbench.interfaces import Loss, LossPlugin, Options

if TYPE_CHECKING:
    from torch import Tensor

    from recbench.training.answers import AnswerBatch


class MSLOptions(Options):
    """Options of ``--loss msl``."""

    tau: float | Literal["ats", "none"] = Field("ats", description="ats (adaptive), none (1), or a fixed temperature")
    variant: Literal["corrected", "official", "paper"] = Field("corrected", description="see the table in msl.py")
    reduction: Literal["variant", "token_mean", "title_sum"] = Field(
        "variant", description="mean over answer tokens, sum over a title's (Eq. 5), or what the variant does"
    )
    eta: float = Field(0.25, gt=0, lt=1, description="ATS: the probability that the right token is kept near")
    tau_min: float = Field(1.5, gt=0, description="ATS: lower clamp, and the value it starts from")
    tau_max: float = Field(5.0, gt=0, description="ATS: upper clamp")
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

    @field_validator("alpha", mode="before")
    @classmethod
    def _coefficient(cls, alpha: object) -> object:
        return alpha if alpha == "auto" else _positive(alpha, "alpha must be auto or a positive number")

    @model_validator(mode="after")
    def _fits(self) -> MSLOptions:
        if self.tau_min > self.tau_max:
            raise ValueError(f"tau_min={self.tau_min} exceeds tau_max={self.tau_max}")
        if self.scope == "token" and self.tau != "ats":
            raise ValueError(f"scope=token needs tau=ats, not tau={self.tau}")
        return self


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


def token_temperatures(values: Tensor, position: Tensor, positive: Tensor, options: MSLOptions) -> Tensor:
    """[N] temperature of each position from its own valid logits (Eq. 11), between the clamps; no gradient.

    Args:
        values, position: [edges] valid logits and the position of each; at least two a position.
        positive: [N] index into ``values`` of each position's label.
        options: eta, the clamps, and the root that the variant takes.

    Where a position has 1 / eta valid tokens or fewer the larger root is negative or undefined: its tau is ``tau_min``.
    """
    import torch

    values = values.detach().double()
    count = position.bincount(minlength=len(positive)).double()
    mean = values.new_zeros(len(positive)).index_add(0, position, values) / count
    deviation = values - mean[position]
    variance = values.new_zeros(len(positive)).index_add(0, position, deviation.square()) / (count - 1.0)
    c = (count * options.eta).log()
    d = deviation[positive]
    root = (d.square() - 2.0 * c * variance).clamp_min(0.0).sqrt()
    estimate = (d - root if options.variant == "paper" else d + root) / (2.0 * c)
    estimate = torch.where(c == 0, options.tau_min, estimate)
    return estimate.clamp(options.tau_min, options.tau_max)


class MSL(Loss[MSLOptions]):
    """Softmax over the tokens that can continue some title of the catalogue."""

    positions = "choices"

    def __init__(self, options: MSLOptions) -> None:
        super().__init__(options)
        self.tau = options.tau_min if options.tau == "ats" else 1.0 if options.tau == "none" else float(options.tau)

    def state(self) -> dict[str, float]:
        """The temperature in force; with ``scope=token`` the mean of the last training batch's."""
        return {"tau": self.tau}

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
            tau = token_temperatures(values, position, positive, options).to(values.dtype)
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
        larger, smaller = ats_roots(right / count - mean, variance, fanout, self.options.eta)
        estimate = smaller if self.options.variant == "paper" else larger
        if math.isnan(estimate) or (self.options.variant == "corrected" and fanout * self.options.eta <= 1):
            return  # too few valid tokens to say anything: keep tau
        estimate = min(max(estimate, self.options.tau_min), self.options.tau_max)
        self.tau += self.options.momentum * (estimate - self.tau)

    def _statistics_rows(self, batch: AnswerBatch, choice: AnswerBatch) -> Tensor:
        """[branching positions] which of them the statistics are taken from."""
        import torch

        if self.options.variant == "paper":
            return torch.ones(len(choice), dtype=torch.bool, device=choice.labels.device)
        if self.options.variant == "official":
            return choice.fanout == batch.fanout[0]
        first = torch.full((int(batch.row.max()) + 1,), torch.iinfo(torch.long).max, device=choice.row.device)
        first = first.scatter_reduce(0, choice.row, choice.depth, "amin")
        return choice.depth == first[choice.row]


plugin = LossPlugin(
    implementation=MSL,
    summary="masked softmax over valid tokens, adaptive temperature",
    options=MSLOptions,
    paper="Wang et al., MSL, SIGIR 2025. https://doi.org/10.1145/3726302.3730041",
)
