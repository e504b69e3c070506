"""What every test here starts from: each user's summed metric under each seed, and how far seeds and users scatter."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from recbench.errors import UsageError
from recbench.types import CaseResults, Floats


class SeedSpread(NamedTuple):
    """How much of a run's mean is its S seeds.

    Attributes:
        variance: of the mean over seeds, as the S means show it: sample variance / S; 0 with one seed.
        interaction: the part of ``variance`` that is each user's own scatter over seeds; 0 with one seed.
        freedom: S - 1.
    """

    variance: float
    interaction: float
    freedom: int


class Levels(NamedTuple):
    """The variance of A minus B, by what is resampled.

    Attributes:
        users: over users, given these seeds; each user's own scatter over seeds is in it. NaN with one user.
        users_freedom: degrees of freedom of ``users``, from the fourth moment of the users' residuals: U - 1, or fewer
            where a few users with many cases decide.
        seeds: what the seeds add to it; 0 where their scatter is no larger than that of the users.
        share: ``seeds`` over the variance of the two runs' seed means.
        freedom: degrees of freedom of ``users + seeds`` (Satterthwaite, Biometrics Bulletin 2, 1946). Few seeds lower
            it also where ``seeds`` is 0: by chance it may be.
    """

    users: float
    users_freedom: float
    seeds: float
    share: float
    freedom: float


@dataclass(frozen=True)
class UserSums:
    """m runs on the same cases.

    Attributes:
        counts: [U] a user's number of cases.
        sums: for each run [S, U] the user's summed metric under each seed; S may differ between runs.
    """

    counts: Floats
    sums: tuple[Floats, ...]

    @property
    def n_users(self) -> int:
        """U."""
        return len(self.counts)

    @cached_property
    def averaged(self) -> Floats:
        """[U, m] a user's summed metric, averaged over seeds."""
        return np.stack([run.mean(axis=0) for run in self.sums], axis=1)

    @cached_property
    def seed_means(self) -> tuple[Floats, ...]:
        """For each run [S] the mean over cases under each seed."""
        return tuple(run.sum(axis=1) / self.counts.sum() for run in self.sums)

    @cached_property
    def spreads(self) -> tuple[SeedSpread, ...]:
        """For each run how far its seeds scatter.

        Two-way random effects, user x seed (Searle, Casella and McCulloch, Variance Components, 1992):
        with one case a user, ``variance`` is MS_seed / (U S) and ``interaction`` is MS_residual / (U S).
        """
        return tuple(self._spread(run, means) for run, means in zip(self.sums, self.seed_means, strict=True))

    def _spread(self, run: Floats, means: Floats) -> SeedSpread:
        seeds, users = run.shape
        if seeds < 2 or users < 2:
            return SeedSpread(0.0, 0.0, seeds - 1)
        own = run - run.mean(axis=0) - (means - means.mean())[:, None] * self.counts
        interaction = (own**2).sum() / self.counts.sum() ** 2 / (seeds * (seeds - 1)) * users / (users - 1)
        return SeedSpread(float(means.var(ddof=1) / seeds), float(interaction), seeds - 1)

    def difference(self, a: int, b: int) -> Floats:
        """[U] a user's summed difference of two runs, averaged over seeds; rounding next to 0 is a tie."""
        found: Floats = self.averaged[:, a] - self.averaged[:, b]
        found[np.abs(found) < 1e-12 * self.counts] = 0.0
        return found

    def levels(self, a: int, b: int, seeds: int | None = None) -> Levels:
        """The variance of A minus B over users (cluster-robust, by linearisation) and over seeds.

        Args:
            a, b: positions of the runs.
            seeds: as if each run had this many, two or more; None: the seeds it has. A run with one seed says nothing
                about others: its seed is taken as fixed.
        """
        users, total, difference = self.n_users, self.counts.sum(), self.difference(a, b)
        if users < 2:
            return Levels(math.nan, math.nan, math.nan, 0.0, math.nan)
        residual = difference - difference.sum() / total * self.counts
        squares = residual**2
        over_users = float(squares.sum() / total**2 * users / (users - 1))
        # a mean of U squares has the relative variance 2 / freedom; for normal residuals that gives U
        heavy = float((squares**2).sum() - squares.sum() ** 2 / users)
        users_freedom = max(1.0, min(users - 1.0, 2 * float(squares.sum()) ** 2 / heavy)) if heavy > 0 else users - 1.0
        spreads = [self._spread_of(run, seeds) for run in (a, b)]
        shown, scatter = sum(s.variance for s in spreads), sum(s.interaction for s in spreads)
        over_users = max(over_users + scatter - sum(self.spreads[run].interaction for run in (a, b)), 0.0)
        own = max(shown - scatter, 0.0)
        parts = [(over_users, users_freedom), *((s.variance, float(s.freedom)) for s in spreads if s.freedom)]
        uncertain = sum(variance**2 / freedom for variance, freedom in parts)
        least = min(freedom for _, freedom in parts)
        freedom = max((over_users + own) ** 2 / uncertain, least) if uncertain else users_freedom
        return Levels(over_users, users_freedom, own, own / shown if shown else 0.0, freedom)

    def _spread_of(self, run: int, seeds: int | None) -> SeedSpread:
        found = self.spreads[run]
        if seeds is None or not found.freedom:
            return found
        scale = len(self.sums[run]) / seeds
        return SeedSpread(found.variance * scale, found.interaction * scale, seeds - 1)


def user_sums(results: Sequence[CaseResults], values: Callable[[CaseResults], Floats]) -> UserSums:
    """The runs' sums.

    Args:
        results: of one run or more, over the same cases in the same order.
        values: the metric: results -> [S, N] a value for each seed and case.

    Raises:
        UsageError: the runs were not evaluated on the same cases, or on none.
    """
    first = results[0]
    for other in results[1:]:
        check_same_cases(first, other)
    if not len(first.users):
        raise UsageError("the runs have no test cases; there is nothing to compare")
    _, index = np.unique(first.users, return_inverse=True)
    sums = tuple(_summed(values(found), index) for found in results)
    return UserSums(np.bincount(index).astype(np.float64), sums)


def check_same_cases(a: CaseResults, b: CaseResults) -> None:
    """Check that two runs were evaluated on the same cases in the same order.

    Raises:
        UsageError: they were not.
    """
    columns = ((getattr(a, name), getattr(b, name)) for name in ("users", "cold", "history_length", "popularity"))
    if len(a.users) != len(b.users):
        sizes = f"{len(a.users):,} and {len(b.users):,} cases"
        raise UsageError(f"the two runs were evaluated on different test cases ({sizes}); compare runs of one test set")
    if not all(np.array_equal(x, y) for x, y in columns):
        raise UsageError("the two runs were evaluated on different test cases; compare runs of one test set")


def _summed(values: Floats, index: npt.NDArray[np.intp]) -> Floats:
    return np.stack([np.bincount(index, weights=row) for row in values]).astype(np.float64)
