"""The k-core: users and items that have at least k interactions with one another."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from recbench.types import Longs


def k_core(users: Longs, items: Longs, k: int) -> npt.NDArray[np.bool_]:
    """Remove users and items with fewer than ``k`` interactions until none is left (MSL paper, 5.1.1: k = 5).

    Every row counts, also where a user meets the same item twice. The result does not depend on the order of the rows.

    Args:
        users, items: [N] index of each interaction's user and item, from 0.

    Returns:
        [N] which interactions remain.
    """
    keep = np.ones(len(users), dtype=bool)
    while keep.any():
        enough_users = np.bincount(users[keep], minlength=int(users.max()) + 1) >= k
        enough_items = np.bincount(items[keep], minlength=int(items.max()) + 1) >= k
        remaining = keep & enough_users[users] & enough_items[items]
        if (remaining == keep).all():
            break
        keep = remaining
    return keep
