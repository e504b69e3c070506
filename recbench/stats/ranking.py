"""How far to trust an order of runs: shared places, resolution of the test set, and the stability of first place."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from recbench.stats.compare import SEED, detectable
from recbench.stats.resample import batches, draw_counts, seed_moves
from recbench.stats.sums import UserSums
from recbench.types import Floats

SEEDS = 5  # of the two typical systems whose difference a resolution is about
DRAWS = 2_000
_SAME = 1e-12  # far below what a page shows, and above the rounding of sums


class Stability(NamedTuple):
    """How often the first run stays first.

    Attributes:
        users: share of random halves of the users in which it is; None with one user, and where no two runs differ.
        seeds: share of draws of every run's seeds in which it is; None where no run has two seeds or no two differ.
    """

    users: float | None
    seeds: float | None


def places(runs: int, differs: Callable[[int, int], bool]) -> list[int]:
    """The place of each run, shared by runs of which no two differ: groups built from the top.

    The first run opens the first group. Going down, a run joins the open group unless it differs from any run in it;
    then it opens the next. Differing is not transitive (the first and second may not differ, nor the second and third,
    while the first and third do): no two runs that share a place differ, but runs with different places need not.

    Args:
        runs: how many there are, best first.
        differs: whether the test separates run i from a later run j.

    Returns:
        For each run the position, from 1, of the first of its group.
    """
    found: list[int] = []
    first = 0
    for run in range(runs):
        if any(differs(other, run) for other in range(first, run)):
            first = run
        found.append(first + 1)
    return found


def differing(sums: UserSums) -> bool:
    """Whether any two runs differ for any user; False for runs that are all 0, and for one run."""
    return bool((np.ptp(sums.averaged, axis=1) > _SAME).any())


def resolution(sums: UserSums, seeds: int = SEEDS) -> float:
    """The smallest true difference that the test set shows for two typical systems, 80 % power at two-sided alpha .05.

    The median over pairs of runs of :func:`recbench.stats.compare.detectable`, with the seeds' variance brought from
    the runs' own number of seeds to ``seeds`` each. Uncorrected: one comparison, planned beforehand. NaN with one user
    or one run, and where typical runs do not differ at all. Runs with one seed have no seed part; they count only
    where fewer than two runs have more.

    Args:
        sums: the runs.
        seeds: of each of the two systems, two or more.
    """
    several = [run for run, found in enumerate(sums.sums) if len(found) > 1]
    pairs = list(itertools.combinations(several if len(several) > 1 else range(len(sums.sums)), 2))
    if not pairs or sums.n_users < 2:
        return math.nan
    levels = [sums.levels(*pair, seeds) for pair in pairs]
    return float(np.median([detectable(x.users + x.seeds, x.freedom) for x in levels])) or math.nan


def stability(sums: UserSums, draws: int = DRAWS, seed: int = SEED) -> Stability:
    """How often the run with the highest mean has it again, over halves of the users and over seeds drawn.

    Args:
        sums: the runs; at least one.
        draws: halves of users (each split gives two), and draws of seeds.
        seed: of the draws.
    """
    if len(sums.sums) > 1 and not differing(sums):
        return Stability(None, None)
    means = np.array([run.mean() for run in sums.seed_means])
    first = int(means.argmax())
    rng = np.random.default_rng([seed, 4])
    users = _first_again(_halves(sums, draws // 2, rng), first) if sums.n_users > 1 else None
    if all(len(run) == 1 for run in sums.sums):
        return Stability(users, None)
    drawn = np.tile(means, (draws, 1))
    for run, by_seed in enumerate(sums.seed_means):
        if len(by_seed) > 1:
            drawn[:, run] += seed_moves(by_seed, draw_counts(draws, len(by_seed), rng))
    return Stability(users, _first_again(drawn, first))


def _halves(sums: UserSums, splits: int, rng: np.random.Generator) -> Floats:
    """[2 splits, m] means over cases of both halves of the users; with an odd number one user sits out."""
    users, half = sums.n_users, sums.n_users // 2
    means = []
    for n in batches(splits, users):
        order = rng.random((n, users)).argsort(axis=1)
        chosen = np.concatenate([order < half, (order >= half) & (order < 2 * half)]).astype(np.float64)
        means.append(chosen @ sums.averaged / (chosen @ sums.counts)[:, None])
    return np.concatenate(means)


def _first_again(means: Floats, first: int) -> float:
    """The share of [R, m] means in which no run is above the first."""
    return float((means[:, first] >= means.max(axis=1) - _SAME).mean())
