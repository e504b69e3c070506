"""Resampling: sign flips of users, and bootstraps of users and of seeds, for many pairs of runs at once."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

import numpy as np
from scipy import stats

from recbench.stats.sums import UserSums
from recbench.types import Floats

LEVEL = 0.95
Z = float(stats.norm.ppf((1 + LEVEL) / 2))
Pair = tuple[int, int]
LEAST = 9_999  # patterns that every pair sees
ENOUGH = 100  # as extreme as observed: p is known to a tenth of itself
_CELLS = 2_000_000  # resampled values held at a time: 16 MB a float64 array


def sign_flip_p(rows: Floats, pairs: Sequence[Pair], resamples: int, rng: np.random.Generator) -> list[float]:
    """Two-sided p for each pair of the hypothesis that the two are exchangeable within each user.

    A pattern of signs swaps the two runs within the users that it picks. All pairs see the same patterns: each p is
    valid, and the signed sum of a pair is the difference of two columns of one product. Many pairs need many patterns,
    but only those whose p is small: a pair is left out of further patterns once :data:`ENOUGH` have been as extreme as
    what was observed, after :data:`LEAST` patterns or more (Besag and Clifford, Biometrika 78, 1991).

    Args:
        rows: [U, m] a number for each user and run.
        pairs: columns of ``rows``.
        resamples: sign patterns drawn; all 2^k are enumerated instead for a pair of which k users differ, where they
            are no more than ``resamples``.
        rng: draws the patterns.

    Returns:
        For each pair p in (0, 1]; 1 where fewer than two users differ.
    """
    a, b = (np.array([pair[side] for pair in pairs], dtype=np.intp) for side in (0, 1))
    total, size = rows.sum(axis=0), np.abs(rows).max(axis=0, initial=0.0)
    slack = 1e-12 * len(rows) * np.maximum(size[a], size[b])  # rounding does not make a tie less extreme
    observed = np.abs(total[a] - total[b]) - slack
    reached, drawn = np.zeros(len(pairs)), np.zeros(len(pairs))
    live = np.arange(len(pairs))
    for n in batches(resamples, len(rows)):
        swapped = rng.integers(2, size=(n, len(rows)), dtype=np.uint8).astype(np.float64) @ rows
        flipped = np.ascontiguousarray((total - 2 * swapped).T)  # [m, n]: a run's sums lie next to each other
        apart = np.empty(n)
        for i in live.tolist():
            np.abs(np.subtract(flipped[a[i]], flipped[b[i]], out=apart), out=apart)
            reached[i] += np.count_nonzero(apart >= observed[i])
        drawn[live] += n
        live = live[(reached[live] < ENOUGH) | (drawn[live] < LEAST)]
        if not len(live):
            break
    found = ((reached + 1) / (drawn + 1)).tolist()
    for i, (left, right) in enumerate(pairs):
        differing = rows[:, left] - rows[:, right]
        differing = differing[np.abs(differing) > 1e-12 * max(size[left], size[right])]
        if len(differing) < 2:  # one user's two patterns are equally extreme
            found[i] = 1.0
        elif len(differing) < (resamples + 1).bit_length():  # 2^k patterns are no more than resamples + 1
            signs = np.array(list(itertools.product((-1.0, 1.0), repeat=len(differing))))
            found[i] = float((np.abs(signs @ differing) >= observed[i]).mean())
    return found


class Bootstrap:
    """95 % intervals from draws of users and seeds, the same draws for every pair.

    Args:
        sums: the runs.
        resamples: number of draws.
        seed: of the draws; users and each side's seeds have separate streams, so a pair's intervals do not depend
            on which other runs are there.
    """

    def __init__(self, sums: UserSums, resamples: int, seed: int) -> None:
        self._sums = sums
        rng = np.random.default_rng([seed, 1])
        means = []
        for n in batches(resamples, sums.n_users):
            drawn = draw_counts(n, sums.n_users, rng)
            means.append(drawn @ sums.averaged / (drawn @ sums.counts)[:, None])
        self._drawn = np.concatenate(means)  # [R, m] means over cases, users drawn
        sizes = {len(run) for run in sums.sums if len(run) > 1}
        self._seeds = [
            {size: draw_counts(resamples, size, np.random.default_rng([seed, side, size])) for size in sizes}
            for side in (2, 3)
        ]

    def users(self, pair: Pair) -> tuple[float, float]:
        """A minus B over users, given these seeds; NaN with one user.

        The percentile interval, widened by sqrt(U / (U - 1)) and from the normal to the t distribution: by itself it is
        too narrow (Hesterberg, The American Statistician 69, 2015), the more so where a few users decide.
        """
        return self._interval(pair, 0.0, self._sums.levels(*pair).users_freedom)

    def users_and_seeds(self, pair: Pair) -> tuple[float, float]:
        """A minus B over users and seeds; NaN with one user.

        Users are drawn once for both sides (they pair A and B), seeds for each side on its own (they do not). A side
        with one seed has no seed part: nothing says how far it scatters. ``benchmarks/CALIBRATION.md`` measures that
        the interval needs all three of these where there are few seeds:

        - S seeds drawn of S vary (S - 1) / S too little: their deviations are scaled by sqrt(S / (S - 1)).
        - Each user's own scatter over seeds is in the draws of users already; drawing seeds within drawn users counts
          it three times (Owen, The pigeonhole bootstrap, Annals of Applied Statistics 1, 2007). Here seeds move whole
          runs, and by what is left after that scatter is taken off their variance.
        - The seeds' variance is known from a few numbers: the interval is widened from the normal to the t
          distribution, with Satterthwaite's degrees of freedom (:class:`recbench.stats.sums.Levels`).
        """
        levels = self._sums.levels(*pair)
        return self._interval(pair, levels.share, levels.freedom)

    def _interval(self, pair: Pair, share: float, freedom: float) -> tuple[float, float]:
        users = self._sums.n_users
        if users < 2:
            return np.nan, np.nan
        means = self._sums.averaged.sum(axis=0) / self._sums.counts.sum()
        estimate = means[pair[0]] - means[pair[1]]
        moved = (self._drawn[:, pair[0]] - self._drawn[:, pair[1]] - estimate) * np.sqrt(users / (users - 1))
        for run, drawn, sign in zip(pair, self._seeds, (1, -1), strict=True):
            if share and len(self._sums.sums[run]) > 1:
                means_of_seeds = self._sums.seed_means[run]
                moved = moved + sign * np.sqrt(share) * seed_moves(means_of_seeds, drawn[len(means_of_seeds)])
        widened = moved * float(stats.t.ppf((1 + LEVEL) / 2, freedom)) / Z
        low, high = estimate + np.quantile(widened, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
        return float(low), float(high)


def seed_moves(means: Floats, drawn: Floats) -> Floats:
    """[R] what resampling seeds adds to a run's mean, with the variance that S draws of S means lack.

    Args:
        means: [S] the run's mean under each seed, S > 1.
        drawn: [R, S] how often each seed was drawn.
    """
    seeds = len(means)
    moves: Floats = drawn @ (means - means.mean()) / seeds * np.sqrt(seeds / (seeds - 1))
    return moves


def batches(total: int, width: int) -> Iterator[int]:
    """How many of ``total`` rows of ``width`` numbers to hold at a time."""
    size = max(1, _CELLS // max(1, width))
    return (min(size, total - start) for start in range(0, total, size))


def draw_counts(rows: int, n: int, rng: np.random.Generator) -> Floats:
    """[rows, n] how often each of n is drawn in n draws with replacement."""
    drawn = rng.integers(n, size=(rows, n)) + np.arange(rows)[:, None] * n
    return np.bincount(drawn.ravel(), minlength=rows * n).reshape(rows, n).astype(np.float64)
