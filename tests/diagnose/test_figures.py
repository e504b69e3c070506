"""Figures are PNG files that show what they were given."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.image import imread
from scipy import stats

from recbench.diagnose import figures, study

STEPS = [0, 10, 20, 30]
SNAPSHOT = {
    "over_vocabulary": [0.9, 0.1, 0.05, 0.7],
    "over_valid": [0.5, 0.0, 0.0, 0.02],
    "branching": [1.0, 0.0, 0.0, 1.0],
    "depth": [0, 1, 5, 3],
    "logits": np.random.default_rng(0).normal(3, 2, 500).tolist(),
    "centred": np.random.default_rng(1).normal(0, 2, 500).tolist(),
}
DATA: dict[str, dict[str, Any]] = {
    "gradient_norms": {"step": STEPS, "validity_gradient": [9, 5, 2, 1], "ranking_gradient": [1, 0.9, 0.8, 0.8]},
    "ranking_loss": {
        "curves": {"lml": {"step": STEPS, "ranking": [7, 6, 5.5, 5]}, "msl": {"step": STEPS, "ranking": [7, 5, 4, 3]}}
    },
    "weights": SNAPSHOT,
    "temperatures": {
        "metric": "NDCG@10",
        "tau": [4.0, 1.0, 2.0],
        "values": [[0.02, 0.03], [0.01, 0.012], [0.04, 0.05]],
        "marks": {"ats": [0.041, 0.043]},
    },
    "valid_logits": SNAPSHOT,
    "accuracy_and_time": {
        "metric": "NDCG@10",
        "rows": [
            {"name": "LML", "seconds": [100.0, 120.0], "values": [0.02, 0.03]},
            {"name": "S-DPO", "seconds": [400.0, 410.0], "values": [0.02, 0.025]},
        ],
    },
}


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[Figure]:
    """The figures that were saved, to look into."""
    kept: list[Figure] = []
    save = Figure.savefig

    def keep(self: Figure, *arguments: Any, **options: Any) -> None:
        kept.append(self)
        save(self, *arguments, **options)

    monkeypatch.setattr(Figure, "savefig", keep)
    return kept


def draw(name: str, path: Path, **changes: Any) -> None:
    data = json.loads(json.dumps({"title": "bigrec + lml on ml-100k, tiny, seed 1", **DATA[name], **changes}))
    function: Callable[[Any, Path], None] = getattr(figures, name)
    function(data, path)


@pytest.mark.parametrize("name", DATA)
def test_a_figure_is_a_png_with_labelled_axes(name: str, tmp_path: Path, drawn: list[Figure]) -> None:
    path = tmp_path / f"{name}.png"
    draw(name, path)
    assert path.read_bytes().startswith(b"\x89PNG\r\n\x1a\n")
    pixels = imread(path)
    assert pixels.shape[0] == 600  # 4 inches at 150 dpi
    assert (pixels[..., :3] < 0.9).any(axis=2).mean() > 0.005, "the figure is blank"
    assert [p.name for p in tmp_path.iterdir()] == [path.name], "something unfinished was left"
    (figure,) = drawn
    assert figure.get_suptitle() == "bigrec + lml on ml-100k, tiny, seed 1"
    for axes in figure.axes:
        assert axes.get_xlabel()
        assert axes.get_ylabel()
        assert axes.get_legend() is not None


def test_curves_show_their_columns(tmp_path: Path, drawn: list[Figure]) -> None:
    draw("gradient_norms", tmp_path / "a.png")
    draw("ranking_loss", tmp_path / "b.png")
    first, second = (figure.axes[0] for figure in drawn)
    assert [list(line.get_ydata()) for line in first.lines] == [[9, 5, 2, 1], [1, 0.9, 0.8, 0.8]]
    assert [line.get_label() for line in second.lines] == ["trained with lml", "trained with msl"]
    assert list(second.lines[1].get_ydata()) == [7, 5, 4, 3]


def test_weights_are_sorted_and_counted(tmp_path: Path, drawn: list[Figure]) -> None:
    draw("weights", tmp_path / "a.png")
    lml, msl, choices = drawn[0].axes[0].lines
    assert list(lml.get_ydata()) == [0.9, 0.7, 0.1, 0.05]
    assert list(msl.get_ydata()) == [0.5, 0.02, 0.0, 0.0]
    assert lml.get_label() == "LML's model, P over the vocabulary (25% below 0.1)"
    assert msl.get_label() == "MSL's model, P over valid tokens (75% below 0.1)"
    assert list(choices.get_xdata()) == [2, 2]


def test_temperatures_are_ordered_and_averaged(tmp_path: Path, drawn: list[Figure]) -> None:
    draw("temperatures", tmp_path / "a.png")
    draw("temperatures", tmp_path / "b.png", values=[[0.02], [0.01], [0.04]], marks={})
    line, level = drawn[0].axes[0].lines
    assert list(line.get_xdata()) == [1.0, 2.0, 4.0]
    assert list(line.get_ydata()) == pytest.approx([0.011, 0.045, 0.025])
    assert list(level.get_ydata()) == pytest.approx([0.042, 0.042])
    assert len(drawn[0].axes[0].collections) == 1
    assert not drawn[1].axes[0].collections, "one seed has no spread"


def test_time_is_drawn_by_seed(tmp_path: Path, drawn: list[Figure]) -> None:
    draw("accuracy_and_time", tmp_path / "a.png")
    first, second = drawn[0].axes[0].lines
    assert (list(first.get_xdata()), list(first.get_ydata())) == ([100, 120], [0.02, 0.03])
    assert (first.get_label(), second.get_label()) == ("LML (110 s)", "S-DPO (405 s)")
    assert first.get_color() != second.get_color()
    assert drawn[0].axes[0].get_xlim()[0] == 0


def test_small_weights_among_the_first_three_tokens() -> None:
    """Section 4.2.1, next to what three tokens would have by chance."""
    claim = study._weight_claim(SNAPSHOT)
    shares = {name: [v for k, v in found.items() if "first three" in k] for name, found in claim.items()}
    assert shares["LML"] == [0.0, 0.5, None, 0.5]  # .05 at place 5; no small weight where there is a choice
    assert shares["MSL"] == [pytest.approx(1 / 3), 0.5, 0.0, 0.5]  # places 1, 5 and 3; of the choices place 3


def test_moments_are_those_of_scipy() -> None:
    values = np.random.default_rng(2).gamma(2.0, size=1000)
    found = figures.moments(values)
    assert found["mean"] == pytest.approx(values.mean())
    assert found["deviation"] == pytest.approx(values.std())
    assert found["skewness"] == pytest.approx(stats.skew(values))
    assert found["kurtosis"] == pytest.approx(stats.kurtosis(values))
    assert figures.moments([2.0, 2.0]) == {"mean": 2.0, "deviation": 0.0, "skewness": 0.0, "kurtosis": 0.0}


def test_gaussian_fit_of_both_panels(tmp_path: Path, drawn: list[Figure]) -> None:
    draw("valid_logits", tmp_path / "a.png")
    draw("valid_logits", tmp_path / "b.png", logits=[1.0, 1.0], centred=[0.0, 0.0])
    for axes, name in zip(drawn[0].axes, ("logits", "centred"), strict=True):
        (curve,) = axes.lines
        peak = max(curve.get_ydata())
        assert peak == pytest.approx(1 / (np.std(SNAPSHOT[name]) * np.sqrt(2 * np.pi)), rel=1e-2)
        assert axes.get_title().startswith("skewness")
    assert not drawn[1].axes[0].lines, "logits that do not vary have no Gaussian"
