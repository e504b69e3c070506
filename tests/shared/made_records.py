"""Records of runs that never were: random ranks at a given rate of hits, and lists that agree with them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from recbench.results import Cases, Dataset, PluginCode, RunRecord, SeedResult, StepRecord, spec_hash

ITEMS = 50
SOURCES = {"ml-100k.inter": "ab" * 32}


def results(
    key: Sequence[int],
    target: np.ndarray,
    hits: float,
    seeds: int,
    steps: Sequence[tuple[str, str, float]],
    **more: Any,
) -> list[SeedResult]:
    """A result for each of the seeds 1, 2 ...

    Args:
        key: decides the draws.
        target: [N] of the cases.
        hits: share of lists that hold the target.
        steps: role, phase and seconds of each step.
        more: what every seed has.
    """
    rng, found, n = np.random.default_rng(list(key)), [], len(target)
    for seed in range(1, seeds + 1):
        ranks = np.where(rng.random(n) < hits, rng.integers(1, 11, size=n), 0)
        # a list of other items, the target put where its rank says
        top = (target[:, None] + 1 + np.argsort(rng.random((n, ITEMS - 1)), axis=1)[:, :10]) % ITEMS
        rows = np.flatnonzero(ranks)
        top[rows, ranks[rows] - 1] = target[rows]
        parts = tuple(StepRecord(role=r, kind="step", phase=p, seconds=s) for r, p, s in steps)  # type: ignore[arg-type]
        found.append(SeedResult(seed=seed, ranks=ranks, top=top, steps=parts, peak_memory_bytes=3 * 2**29, **more))
    return found


def record_of(
    run: str,
    dataset: str,
    recommender: dict[str, Any],
    users: np.ndarray,
    target: np.ndarray,
    seeds: Sequence[SeedResult],
    *,
    depth: int = 10,
    options: dict[str, Any] | None = None,
    label: str = "at most 20 windows a user",
    distribution: str = "dist",
    code: str = "ab12cd34ef",
    plugin: str = "topk",
    **more: Any,
) -> RunRecord:
    """The record of those results; item i occurs i times in training, and ``more`` are other fields of it."""
    popularity, n = np.arange(ITEMS), len(target)
    spec = {
        "dataset": {"name": dataset, "options": {"protocol": "sliding", **(options or {})}},
        "recommender": recommender,
        "evaluate": {"depth": depth},
    }
    last = more.pop("last", np.zeros(0, np.int32))
    fields: dict[str, Any] = {
        "run": run,
        "spec": spec,
        "spec_hash": spec_hash(spec),
        "command": f"recbench run --model {recommender['backbone']['name']} --seeds {len(seeds)}",
        "dataset": Dataset(name=dataset, label=more.pop("dataset_label", dataset), sources=SOURCES),
        "cases": Cases(
            digest=f"{n:064d}",
            label=label,
            users=users,
            cold=(popularity[target] == 0).astype(int),
            history_length=np.full(n, 10),
            popularity=popularity[target],
            target=target,
            item_popularity=popularity,
            last=last,
        ),
        "plugins": (PluginCode(kind="decoder", name=plugin, distribution=distribution, version="1.2", code=code),),
        "seeds": tuple(seeds),
    }
    return RunRecord(**{**fields, **more})
