"""The interval of a run's own mean."""

from __future__ import annotations

import numpy as np

from recbench.stats.compare import RESAMPLES, SEED
from recbench.stats.resample import Bootstrap
from recbench.stats.sums import UserSums


def mean_intervals(sums: UserSums, *, resamples: int = RESAMPLES, seed: int = SEED) -> list[tuple[float, float]]:
    """95 % interval of each run's mean over cases, over users and seeds; NaN with one user.

    It is the interval of the difference from a run that scores 0 everywhere, so it is made as every other interval.
    Runs share their users: whether two differ is said by the interval of their difference, not by these two.

    Args:
        sums: the runs.
        resamples, seed: as in :func:`recbench.stats.compare_all`.
    """
    nothing = UserSums(sums.counts, (*sums.sums, np.zeros((1, sums.n_users))))
    bootstrap = Bootstrap(nothing, resamples, seed)
    return [bootstrap.users_and_seeds((run, len(sums.sums))) for run in range(len(sums.sums))]
