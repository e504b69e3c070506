"""Plans of experiments on your own small data set."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from recbench.planning import Plan, plan
from recbench.spec.request import Layer, combine
from recbench.steps.graph import graph


def layers(model: str, options: tuple[str, ...], flags: dict[str, Any]) -> list[Layer]:
    from recbench.cli.request import set_layer

    return [Layer({"model": model, **flags}, lambda name: f"--{name}"), set_layer(options)]


@pytest.fixture
def own(tmp_path: Path) -> SimpleNamespace:
    """``own.plan(model, "loss.tau=2", loss="msl")``; ``own.spec(...)``; ``own.keys(spec, seed)`` by role."""
    rows = [f"{u},{(u + i) % 40},{60 * i + u},The {(u + i) % 40}th Film" for u in range(60) for i in range(15)]
    file = tmp_path / "own.csv"
    file.write_text("\n".join(["user,item,timestamp,title", *rows]) + "\n")

    def planned(model: str, *options: str, **flags: Any) -> Plan:
        data = {"dataset": "csv", "data_dir": str(file), "device": "cpu"}
        return plan(combine(layers(model, options, {**data, **flags})))

    spec: Callable[..., Any] = lambda *words, **flags: planned(*words, **flags).spec  # noqa: E731
    keys = lambda spec, seed=1: {r: s.folder for r, s in graph(spec, seed).steps.items()}  # noqa: E731
    return SimpleNamespace(folder=tmp_path, plan=planned, spec=spec, keys=keys)
