"""What a record keeps for people to look at: a few cases with titles, and the course of what a loss watched."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from recbench.results.record import Examples, SeedResult
from recbench.types import PAD, Ints, Sequences

CASES = 10
POINTS = 60
LONGEST = 300
"""The most characters of a title that an example keeps."""
_OTHERS = frozenset({"step", "epoch", "loss", "learning_rate", "validation", "validation_error"})


def examples(cases: Sequences, titles: Sequence[str], seeds: Sequence[SeedResult]) -> Examples:
    """Ten cases with the titles of all that their histories, targets and top lists hold.

    Half of them are hits of the first seed, from its best rank to its worst, and half are misses; where it has too few
    of one, more are taken of the other. The same ranks always give the same cases.

    Args:
        cases: [N] the test cases.
        titles: of the catalogue.
        seeds: the results; at least one.
    """
    chosen = chosen_cases(seeds[0].ranks)
    histories = tuple(tuple(i for i in cases.history[case].tolist() if i != PAD) for case in chosen)
    lists = [result.top[chosen].ravel() for result in seeds if result.top is not None]
    shown = {*np.concatenate([cases.target[chosen], *lists]).tolist(), *(i for row in histories for i in row)} - {PAD}
    return Examples(
        cases=tuple(chosen),
        histories=histories,
        titles={str(item): _short(titles[item]) for item in sorted(shown)},
    )


def chosen_cases(ranks: Ints) -> list[int]:
    """Which cases :func:`examples` takes, by one seed's ranks."""
    hits = np.flatnonzero(ranks)
    hits, misses = hits[np.argsort(ranks[hits], kind="stable")], np.flatnonzero(ranks == 0)
    half = CASES // 2
    taken = _spread(hits, max(half, CASES - len(misses)))
    return [*taken, *_spread(misses, CASES - len(taken))]


def _spread(rows: np.ndarray, n: int) -> list[int]:
    """Up to ``n`` of the rows at equal distances, the first and the last among them."""
    places = np.unique(np.linspace(0, len(rows) - 1, min(n, len(rows))).round().astype(int))
    return rows[places].tolist() if len(rows) else []


def _short(title: str) -> str:
    return title if len(title) <= LONGEST else title[: LONGEST - 1] + "…"


def course(lines: Iterable[Mapping[str, Any]]) -> dict[str, tuple[tuple[int, float | None], ...]]:
    """The values that a loss watched: name -> (step, value) at up to :data:`POINTS` steps, the last one included.

    Args:
        lines: of a training's log, see :class:`recbench.interfaces.FitReport`; those that say nothing are passed over.
    """
    found: dict[str, list[tuple[int, float | None]]] = {}
    for line in lines:
        for name, value in line.items():
            if name not in _OTHERS:
                known = isinstance(value, int | float) and math.isfinite(value)
                found.setdefault(name, []).append((int(line["step"]), float(f"{value:.6g}") if known else None))
    return {name: tuple(points[i] for i in _spread(np.arange(len(points)), POINTS)) for name, points in found.items()}
