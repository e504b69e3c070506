"""What a record says about how its training ended: whether it had converged, and the values that were watched."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

from recbench.results import RunRecord, SeedResult

LATE = "†"
WRITTEN = ("tokens_an_item", "choices_an_item")  # of the names in a catalogue, the same from begin to end
ON_CLAMP = 0.9  # the share of estimates beyond a bound from which the value is called a constant


def best_epochs(record: RunRecord) -> str:
    """``2, 2, 1 of 2``: the epoch that validation chose, seed by seed, of those trained; empty without a training."""
    seeds = [seed for seed in record.seeds if seed.best_epoch]
    if not seeds:
        return ""
    trained = sorted({len(seed.validation) for seed in seeds})
    of = str(trained[0]) if len(trained) == 1 else f"{trained[0]} to {trained[-1]}"
    return f"{', '.join(str(seed.best_epoch) for seed in seeds)} of {of}"


def best_is_last(record: RunRecord) -> int:
    """The number of seeds whose best epoch is the last one trained: still improving, or trained for one only."""
    return sum(seed.best_epoch > 0 and seed.best_epoch == len(seed.validation) for seed in record.seeds)


def watched(record: RunRecord) -> dict[str, list[float]]:
    """What the loss and what was learned before it watched, at the end of each seed that has it: name -> values."""
    found: dict[str, list[float]] = {}
    for seed in record.seeds:
        for name, value in seed.watched.items():
            if name not in WRITTEN:
                found.setdefault(name, []).append(value)
    return found


def written(record: RunRecord) -> tuple[float | None, float | None]:
    """Tokens and choices of an item, as means over the catalogue and seeds; None where they were not measured."""
    found = ([seed.watched[name] for seed in record.seeds if name in seed.watched] for name in WRITTEN)
    tokens, choices = (fmean(values) if values else None for values in found)
    return tokens, choices


def on_clamp(record: RunRecord) -> dict[str, tuple[float, int]]:
    """Adaptive values that were a constant in effect, since they sat on a bound: name -> (the bound, number of seeds).

    A loss that watches ``NAME`` may also watch ``NAME_clamped``, the share of its estimates beyond a bound; of one that
    does not, the options ``NAME_min`` and ``NAME_max`` are the bounds. A value that an option fixes is not adaptive.
    """
    options = record.spec["recommender"].get("loss", {}).get("options", {})
    found: dict[str, list[float]] = {}
    for seed in record.seeds:
        for name, value in seed.watched.items():
            if isinstance(options.get(name), str) and options[name] != "none" and _clamped(name, seed, options):
                found.setdefault(name, []).append(value)
    return {name: (sum(values) / len(values), len(values)) for name, values in found.items()}


def _clamped(name: str, seed: SeedResult, options: Mapping[str, Any]) -> bool:
    if (share := seed.watched.get(f"{name}_clamped")) is not None:
        return share >= ON_CLAMP
    bounds = (options.get(f"{name}_{end}") for end in ("min", "max"))
    return any(
        isinstance(bound, int | float) and math.isclose(seed.watched[name], bound, rel_tol=0.01) for bound in bounds
    )


def label(name: str, record: RunRecord) -> str:
    """A row's name with what a reader must know before comparing it.

    A value that sat on its bound is named, since the row is then not what its name says; :data:`LATE` stands for a
    best epoch that is the last, which :func:`footnote` spells out.
    """
    n = len(record.seeds)
    bounded = [f" [{value} sat on its clamp, {at:.3g}{_share(k, n)}]" for value, (at, k) in on_clamp(record).items()]
    return name + "".join(bounded) + f" {LATE}" * bool(best_is_last(record))


def footnote(rows: Sequence[tuple[str, RunRecord]]) -> str:
    """What :data:`LATE` says of these rows, each once; empty where none has it."""
    late = {name: best_is_last(record) for name, record in rows}
    words = ", ".join(f"{name}{_share(late[name], len(record.seeds))}" for name, record in rows if late[name])
    return f"{LATE} The best epoch was the last, so more epochs might help: {words}." if words else ""


def watched_text(record: RunRecord) -> str:
    """``tau 1.5, 1.5, 1.52``: what :func:`watched` finds, seed by seed; empty where nothing is watched."""
    return "; ".join(f"{name} {', '.join(f'{v:.3g}' for v in values)}" for name, values in watched(record).items())


def _share(seeds: int, n: int) -> str:
    return "" if seeds == n else f" ({seeds} of {n} seeds)"
