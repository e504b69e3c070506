"""Random interactions as a file of ``--dataset csv``."""

from __future__ import annotations

from pathlib import Path

import numpy as np


def write_random(path: Path, users: int, items: int, each: int, title: str = "Film {item}") -> None:
    """``each`` interactions of every user with items drawn at random, one a minute.

    Args:
        title: of an item, by ``{item}`` and, for titles that begin or end alike, ``{third}``, its remainder by 3.
    """
    random, rows = np.random.default_rng(0), ["user,item,timestamp,title"]
    for user in range(users):
        for step, item in enumerate(random.integers(items, size=each)):
            rows.append(f"{user},i{item},{60 * step + user},{title.format(item=item, third=item % 3)}")
    path.write_text("\n".join(rows) + "\n")
