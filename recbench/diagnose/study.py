"""Figures 3 to 6 and 8 of the MSL paper for any text recommender: train by LML and by another loss, watch, draw.

A watched training is a separate step in the store, so that an interrupted study continues; the models of Figure 6
are the ones that ``recbench run`` and ``recbench tune`` make.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from recbench import processes, registry
from recbench.description import run_id
from recbench.diagnose import figures
from recbench.errors import DataError, UsageError
from recbench.experiment import ready
from recbench.files import read_json, write_atomic
from recbench.interfaces import Reporter
from recbench.planning import Plan, plan
from recbench.spec.model import Method
from recbench.spec.options import MachineOptions
from recbench.spec.request import Request
from recbench.steps.executor import Serial
from recbench.steps.graph import graph
from recbench.steps.remote import store_of
from recbench.steps.step import Step, Work
from recbench.steps.tuned import TunedModel
from recbench.tuning import validated, validation_score

if TYPE_CHECKING:
    from recbench.cluster.client import Cluster

FIGURES = (3, 4, 5, 6, 8)
POINTS, TITLES = 40, 64
LML, MSL = "LML", "MSL without temperature"  # the second trains L2 of Eq. (4) alone
SMALL, FIRST = 0.1, 3  # section 4.2.1: weights below it, and tokens that come first
_ROWS = "watched.json"


def study(
    request: Request,
    seeds: Sequence[int],
    wanted: Sequence[int],
    taus: Sequence[float],
    runs: Path,
    out: Path | None,
    reporter: Reporter,
    cluster: Cluster | None = None,
) -> tuple[dict[str, Any], Path]:
    """Draw the figures, each with its numbers as JSON.

    Args:
        request: a text recommender; its loss (MSL, if none is named) is watched next to LML.
        seeds: the first is watched; Figure 6 takes all.
        wanted: of :data:`FIGURES`.
        taus: temperatures of Figure 6.
        runs: folder of runs.
        out: folder of the figures; ``runs/diagnose/RUN-seedN`` if left out.
        reporter: progress.
        cluster: builds the steps; this process without one.

    Returns:
        What the figures say about the paper's claims, also written as ``claims.json``, and the folder.

    Raises:
        UsageError: the backbone writes no titles, or the request is invalid.
        RecbenchError: of any step.
    """
    if processes.world() > 1:
        raise UsageError("diagnose watches one process's training: start it without torchrun.")
    if registry.get("backbone", request.model).signal != "text":
        raise UsageError(
            f"--model {request.model} scores items; the figures are about losses of models that write titles."
        )
    second = MSL if request.loss in (None, "msl") else str(request.loss)
    plans = {
        LML: plan(request.model_copy(update={"loss": "lml"})),
        second: plan(_with_tau(request, "none") if second == MSL else request),
    }
    for found in plans.values():  # before anything is trained
        _training(found, seeds[0])
    name = run_id(plans[LML].spec).replace("-lml-", "-").rpartition("-")[0]
    title = f"{name}, seed {seeds[0]}"
    claims: dict[str, Any] = {"what": title}
    out = out or runs / "diagnose" / f"{run_id(plans[second].spec)}-seed{seeds[0]}"
    draw = _Drawer(out, title)
    if cluster is not None:
        _build_ahead(request, plans, seeds, wanted, taus, cluster)
    if {3, 4, 5, 8} & set(wanted):
        watched = {loss: _watched(one, seeds[0], runs, reporter) for loss, one in plans.items()}
        claims |= _draw_watched(draw, wanted, watched, second)
    if 6 in wanted:
        claims["figure 6"] = _draw_temperatures(draw, _temperatures(request, seeds, taus, runs, reporter))
    write_atomic(out / "claims.json", (json.dumps(claims, indent=1) + "\n").encode())
    return claims, out


def _build_ahead(
    request: Request,
    plans: Mapping[str, Plan],
    seeds: Sequence[int],
    wanted: Sequence[int],
    taus: Sequence[float],
    cluster: Cluster,
) -> None:
    """All that the figures need, at once."""
    steps: list[Step] = []
    if {3, 4, 5, 8} & set(wanted):
        steps += [Watched(_training(one, seeds[0])) for one in plans.values()]
    if 6 in wanted:
        settings: list[float | str] = [*taus, "ats"]
        found = [plan(_with_tau(request, tau)) for tau in settings]
        steps += [validated(one, seed) for one in found for seed in seeds]
    with cluster.store.using(step for last in steps for step in last.closure()):
        cluster.run(steps)


class _Drawer:
    """Writes a figure and, next to it, the numbers in it."""

    def __init__(self, out: Path, title: str) -> None:
        self.out, self.title = out, title

    def __call__(self, number: int, draw: Callable[[Mapping[str, Any], Path], None], data: Mapping[str, Any]) -> None:
        self.out.mkdir(parents=True, exist_ok=True)
        full = {"title": f"Figure {number} of the MSL paper: {self.title}", **data}
        write_atomic(self.out / f"figure{number}.json", (json.dumps(full) + "\n").encode())
        draw(full, self.out / f"figure{number}.png")


def _draw_watched(
    draw: _Drawer, wanted: Sequence[int], watched: Mapping[str, Mapping[str, Any]], second: str
) -> dict[str, Any]:
    """The figures of what happens inside a training; returns what each says."""
    claims: dict[str, Any] = {}
    rows = {loss: found["rows"] for loss, found in watched.items()}
    ends = {loss: found["end"] for loss, found in watched.items()}
    if 3 in wanted:
        draw(3, figures.gradient_norms, rows[LML])
        claims["figure 3"] = _gradient_claim(rows[LML])
    if 4 in wanted:
        draw(
            4,
            figures.ranking_loss,
            {"curves": {k: {n: r[n] for n in ("step", "ranking")} for k, r in rows.items()}},
        )
        claims["figure 4"] = _loss_claim(rows, second)
    if 5 in wanted:
        own = {**ends[second], "over_vocabulary": ends[LML]["over_vocabulary"]}
        draw(5, figures.weights, {k: own[k] for k in ("over_vocabulary", "over_valid", "branching", "depth")})
        claims["figure 5"] = {"each loss's own model": _weight_claim(own), "LML's model": _weight_claim(ends[LML])}
    if 8 in wanted:
        draw(8, figures.valid_logits, {k: ends[second][k] for k in ("logits", "centred")})
        claims["figure 8"] = {k: figures.moments(ends[second][k]) for k in ("logits", "centred")}
    return claims


def _draw_temperatures(draw: _Drawer, data: Mapping[str, Any]) -> dict[str, Any]:
    """Figure 6; returns what it says."""
    draw(6, figures.temperatures, data)
    means = {tau: float(np.mean(v)) for tau, v in zip(data["tau"], data["values"], strict=True)}
    ats = {name: float(np.mean(v)) for name, v in data["marks"].items()}
    return {"best tau": max(means, key=lambda tau: means[tau]), "means": means, **ats}


def _with_tau(request: Request, tau: float | str) -> Request:
    return request.model_copy(update={"loss": "msl"}).with_options({"loss.tau": tau}, "diagnose")


@dataclass(frozen=True, eq=False)
class Watched(Step):
    """A training with its probe: what was recorded on the way, and the model at its best epoch."""

    tuned: TunedModel

    kind = "watched"
    phase = "training"

    @property
    def title(self) -> str:
        """What is watched."""
        return self.tuned.title.replace("train", "watch", 1)

    @property
    def facts(self) -> Mapping[str, Any]:
        """The training itself, and how often it is looked at."""
        return {"tuned": self.tuned.folder, "points": POINTS, "titles": TITLES}

    @property
    def needs(self) -> Mapping[str, Step]:
        """What the training needs; the model that it would leave is not kept."""
        return self.tuned.needs

    @property
    def methods(self) -> tuple[Method, ...]:
        """Those of the training."""
        return self.tuned.methods

    @property
    def machine(self) -> MachineOptions:
        """The training's."""
        return self.tuned.setting.machine

    def build(self, folder: Path, work: Work) -> None:
        """Train and record."""
        from recbench.diagnose.probe import Recorder
        from recbench.steps.text import untuned

        model, backbone = untuned(self.tuned.recommender, self.tuned.setting, self.needs, work)
        recorder = Recorder(model, work.value(self.needs["prepare"]).train, POINTS, TITLES)
        self.tuned.train(model, backbone, work, recorder)
        found = {"rows": recorder.columns(), "end": recorder.snapshot()}
        (folder / _ROWS).write_text(json.dumps(found))

    def load(self, folder: Path, work: Work, made: Any = None) -> dict[str, Any]:
        """What was recorded."""
        try:
            found: dict[str, Any] = read_json(folder / _ROWS)
        except (OSError, ValueError) as error:
            raise DataError(f"{folder / _ROWS} is truncated or damaged: remove its folder and run again.") from error
        return found


def _training(found: Plan, seed: int) -> TunedModel:
    model, loss = graph(found.spec, seed).model, found.spec.recommender.loss
    if not isinstance(model, TunedModel):
        raise UsageError(f"--loss {loss.name if loss else ''} compares answers; diagnose watches losses over tokens.")
    return model


def _watched(found: Plan, seed: int, runs: Path, reporter: Reporter) -> dict[str, Any]:
    step, store = Watched(_training(found, seed)), store_of(runs)
    ready(found.spec, store, [step])
    with store.using(step.closure()):
        watched: dict[str, Any] = Serial(store, reporter).value(step)
    return watched


def _temperatures(
    request: Request, seeds: Sequence[int], taus: Sequence[float], runs: Path, reporter: Reporter
) -> dict[str, Any]:
    """Validation NDCG@10 of every seed at every temperature, and under ATS."""

    def scores(tau: float | str) -> list[float]:
        found = plan(_with_tau(request, tau))
        return [validation_score(found, seed, runs, reporter) for seed in seeds]

    found = [scores(tau) for tau in taus]
    return {"metric": "validation NDCG@10", "tau": list(taus), "values": found, "marks": {"ATS": scores("ats")}}


def _gradient_claim(rows: Mapping[str, Sequence[float]]) -> dict[str, float]:
    """Figure 3: does L1's gradient dominate under LML?"""
    first, second = np.asarray(rows["validity_gradient"]), np.asarray(rows["ranking_gradient"])
    ratio = first / np.maximum(second, 1e-12)
    return {
        "median of |grad L1| / |grad L2|": float(np.median(ratio)),
        "in the last quarter": float(np.median(ratio[-max(len(ratio) // 4, 1) :])),
        "share of steps with L1 ahead": float(np.mean(ratio > 1)),
    }


def _loss_claim(rows: Mapping[str, Mapping[str, Sequence[float]]], second: str) -> dict[str, Any]:
    """Figure 4: does L2 fall faster when it is trained alone?"""
    curves = {name: np.asarray(r["ranking"]) for name, r in rows.items()}
    final = {name: float(curve[-1]) for name, curve in curves.items()}
    reached = np.flatnonzero(curves[second] <= final[LML])
    steps = rows[second]["step"]
    when = {f"step at which {second} reaches LML's last L2": int(steps[reached[0]]) if len(reached) else None}
    return {"L2 at the last recorded step": final, **when, "last recorded step": int(steps[-1])}


def _weight_claim(snapshot: Mapping[str, Sequence[float]]) -> dict[str, dict[str, float | None]]:
    """Figure 5 and section 4.2.1: does w shrink when only valid tokens count, and for the first tokens of a title?

    The share of small weights among the first three tokens means something next to the share of all tokens that they
    are; both are given over all tokens and over those with a choice, since a forced token's weight over valid tokens
    is 0.
    """
    choice, first = np.asarray(snapshot["branching"]) > 0, np.asarray(snapshot["depth"]) < FIRST
    found: dict[str, dict[str, float | None]] = {}
    for name, label in (("over_vocabulary", "LML"), ("over_valid", "MSL")):
        values = np.asarray(snapshot[name])
        found[label] = {
            "mean w": float(values.mean()),
            "mean w where there is a choice": float(values[choice].mean()),
            "share below 0.1": float(np.mean(values < SMALL)),
            "share below 0.1 where there is a choice": float(np.mean(values[choice] < SMALL)),
            **_among_first(values < SMALL, first, ""),
            **_among_first((values < SMALL)[choice], first[choice], " where there is a choice"),
        }
    return found


def _among_first(small: np.ndarray, first: np.ndarray, where: str) -> dict[str, float | None]:
    """How many of the small weights, and of all tokens, are among a title's first; None without a small weight."""
    share = float(first[small].mean()) if small.any() else None
    return {
        f"of the weights below 0.1{where}, share among the first three tokens": share,
        f"of all tokens{where}, share among the first three": float(first.mean()) if len(first) else None,
    }
