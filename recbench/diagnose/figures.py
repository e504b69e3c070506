"""The figures of the MSL paper, redrawn from what was recorded; each takes a dictionary and writes a PNG file.

Every dictionary is plain JSON with a ``title`` (what was run). Source: Wang et al., MSL, SIGIR 2025
(https://doi.org/10.1145/3726302.3730041), Figures 3 to 8.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Data = Mapping[str, Any]

# Okabe and Ito's palette, which colour-blind readers can tell apart; line styles differ as well
BLUE, VERMILION, GREEN, GREY = "#0072B2", "#D55E00", "#009E73", "#666666"


def gradient_norms(data: Data, path: Path) -> None:
    """Figure 3: the gradient norms of both parts of the LML while it trains.

    Args:
        data: ``title``, ``step``, ``validity_gradient``, ``ranking_gradient`` (columns of a ``probe.Recorder``).
        path: of the PNG file.
    """
    figure, (axes,) = _figure(data)
    axes.plot(data["step"], data["validity_gradient"], color=VERMILION, label="valid over invalid tokens (L1, Eq. 3)")
    axes.plot(data["step"], data["ranking_gradient"], "--", color=BLUE, label="right over valid tokens (L2, Eq. 4)")
    axes.set_yscale("log")
    _finish(axes, "training step", "gradient norm (loss summed over a title)")
    _save(figure, path)


def ranking_loss(data: Data, path: Path) -> None:
    """Figure 4: the ranking part of the LML on the probe batch, by the loss that was trained with.

    Args:
        data: ``title``, and ``curves``: name of the training loss to its ``step`` and ``ranking`` columns.
        path: of the PNG file.
    """
    figure, (axes,) = _figure(data)
    styles = zip((VERMILION, BLUE, GREEN, GREY), ("-", "--", "-.", ":"), strict=True)
    for (name, curve), (colour, style) in zip(data["curves"].items(), styles, strict=False):
        axes.plot(curve["step"], curve["ranking"], style, color=colour, label=f"trained with {name}")
    _finish(axes, "training step", "L2 of the probe batch (nats a title)")
    _save(figure, path)


def weights(data: Data, path: Path) -> None:
    """Figure 5: the weights w = 1 - P of a batch's answer tokens, over the vocabulary (LML) and valid tokens (MSL).

    Each of the model trained with that loss: what MSL leaves on invalid tokens is arbitrary.

    Args:
        data: ``title``, ``over_vocabulary``, ``over_valid``, ``branching`` (``probe.Recorder.snapshot``).
        path: of the PNG file.
    """
    figure, (axes,) = _figure(data)
    for name, label, colour, style in (
        ("over_vocabulary", "LML's model, P over the vocabulary", VERMILION, "-"),
        ("over_valid", "MSL's model, P over valid tokens", BLUE, "--"),
    ):
        values = np.sort(data[name])[::-1]
        low = float(np.mean(values < 0.1))
        axes.plot(np.arange(1, len(values) + 1), values, style, color=colour, label=f"{label} ({low:.0%} below 0.1)")
    choices = int(np.sum(data["branching"]))
    axes.axvline(choices, color=GREY, linewidth=1, linestyle=":", label=f"{choices} tokens with a choice")
    axes.set_ylim(-0.02, 1.02)
    _finish(axes, "answer token, by falling weight", "weight w = 1 - P(right token)")
    _save(figure, path)


def temperatures(data: Data, path: Path) -> None:
    """Figure 6: the metric over fixed temperatures, mean and range of the seeds.

    Args:
        data: ``title``, ``metric``, ``tau``: temperatures, ``values``: the metric of every seed at each of them; and
            ``marks``, if any: name (``ats``) to the metric of its seeds, drawn as a level.
        path: of the PNG file.
    """
    figure, (axes,) = _figure(data)
    order = np.argsort(data["tau"])
    tau = np.asarray(data["tau"], np.float64)[order]
    values = [np.asarray(data["values"][i], np.float64) for i in order]
    axes.plot(tau, [v.mean() for v in values], "o-", color=BLUE, label="fixed temperature, mean of the seeds")
    if max(map(len, values)) > 1:
        low, high = [v.min() for v in values], [v.max() for v in values]
        axes.fill_between(tau, low, high, color=BLUE, alpha=0.2, linewidth=0, label="range of the seeds")
    for name, seeds in data.get("marks", {}).items():
        axes.axhline(float(np.mean(seeds)), color=VERMILION, linestyle="--", label=name)
        axes.axhspan(min(seeds), max(seeds), color=VERMILION, alpha=0.1, linewidth=0)
    _finish(axes, "temperature tau", str(data["metric"]))
    _save(figure, path)


def valid_logits(data: Data, path: Path) -> None:
    """Figure 8: are the valid logits Gaussian, as the ATS assumes: pooled (Eq. 12), and about each position's mean.

    Args:
        data: ``title``, ``logits``, ``centred`` (``probe.Recorder.snapshot``).
        path: of the PNG file.
    """
    figure, panels = _figure(data, panels=2)
    labels = {"logits": "logit of a valid token", "centred": "logit minus its position's mean"}
    for axes, (name, label) in zip(panels, labels.items(), strict=True):
        values = np.asarray(data[name], np.float64)
        shape = moments(values)
        axes.hist(values, bins=60, density=True, color=BLUE, alpha=0.5, label=f"{len(values):,} logits")
        if shape["deviation"] > 0:
            grid = np.linspace(values.min(), values.max(), 300)
            density = np.exp(-0.5 * ((grid - shape["mean"]) / shape["deviation"]) ** 2)
            density /= shape["deviation"] * np.sqrt(2 * np.pi)
            fit = f"Gaussian ({shape['mean']:.2f}, {shape['deviation']:.2f}²)"
            axes.plot(grid, density, color=VERMILION, label=fit)
        axes.set_title(f"skewness {shape['skewness']:.2f}, excess kurtosis {shape['kurtosis']:.2f}", fontsize=9)
        _finish(axes, label, "density")
    _save(figure, path)


def accuracy_and_time(data: Data, path: Path) -> None:
    """Figure 7: the metric against the training time, a point a seed and its name at the mean.

    Args:
        data: ``title``, ``metric`` and ``rows``, each with its ``name``, ``seconds`` and ``values`` by seed
            (:func:`recbench.pages.efficiency.accuracy_and_time`).
        path: of the PNG file.
    """
    figure, (axes,) = _figure(data)
    for row, look in zip(
        data["rows"], itertools.cycle(itertools.product("osD^v", (BLUE, VERMILION, GREEN, GREY))), strict=False
    ):
        marker, colour = look
        label = f"{row['name']} ({np.mean(row['seconds']):,.0f} s)"
        axes.plot(row["seconds"], row["values"], marker, color=colour, alpha=0.8, label=label)
    axes.set_xlim(left=0)
    _finish(axes, "training time of a seed (s)", str(data["metric"]))
    _save(figure, path)


def moments(values: Sequence[float] | np.ndarray) -> dict[str, float]:
    """Mean, deviation, skewness and excess kurtosis (all 0 but the mean where nothing varies); a Gaussian has 0, 0."""
    values = np.asarray(values, np.float64)
    mean, deviation = float(values.mean()), float(values.std())
    scaled = (values - mean) / (deviation or 1.0)
    kurtosis = float(np.mean(scaled**4)) - 3.0 if deviation else 0.0
    return {"mean": mean, "deviation": deviation, "skewness": float(np.mean(scaled**3)), "kurtosis": kurtosis}


def _figure(data: Data, panels: int = 1) -> tuple[Figure, Sequence[Axes]]:
    """A figure without pyplot: no global state, no window."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5.0 * panels + 1.4, 4.0), dpi=150, layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(str(data["title"]), fontsize=9, wrap=True)
    return figure, figure.subplots(1, panels, squeeze=False)[0]


def _finish(axes: Axes, horizontal: str, vertical: str) -> None:
    axes.set_xlabel(horizontal)
    axes.set_ylabel(vertical)
    axes.grid(color="#DDDDDD", linewidth=0.5)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(fontsize=8, frameon=False)


def _save(figure: Figure, path: Path) -> None:
    """Written under another name first: a figure is whole or not there."""
    unfinished = path.with_name(f".{path.name}.part")
    figure.savefig(unfinished, format="png", metadata={"Software": None})
    os.replace(unfinished, path)
