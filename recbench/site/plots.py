"""Plots as SVG: drawn here once, coloured by the style sheet, with a sentence for those who cannot see them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from statistics import median
from typing import NamedTuple

from recbench.site.html import Html, el, join

WIDTH, HEIGHT = 560, 330
_SHORTEST = 1e-3  # seconds: a logarithm has no 0
_LEFT, _RIGHT, _TOP, _BOTTOM = 62, 14, 14, 46
COLOURS = 7
"""How many colours the style sheet has (Okabe and Ito's, ``s0`` and on); shapes tell apart what shares one."""
_SHAPES = ("M-5 0a5 5 0 1 0 10 0a5 5 0 1 0 -10 0", "M-5 -5h10v10h-10z", "M0 -6l6 11h-12z", "M0 -7l6 7l-6 7l-6 -7z")


class Series(NamedTuple):
    """A line: its name and its points; a point without a value interrupts it."""

    name: str
    points: Sequence[tuple[float, float | None]]


class Point(NamedTuple):
    """A point: where, how far its seeds reach, its group, a label beside it and a text for the pointer."""

    x: float
    y: float
    low: float
    high: float
    group: str
    label: str
    title: str


class _Axes:
    def __init__(self, xs: Sequence[float], ys: Sequence[float], log_x: bool = False) -> None:
        self.warp: Callable[[float], float] = math.log10 if log_x else float
        low, high = self.warp(min(xs)), self.warp(max(xs))
        room = (high - low) * 0.06 or 0.5
        self.x0, self.x1 = low - room * log_x, high + room * log_x
        room = (max(ys) - min(ys)) * 0.08 or abs(max(ys)) * 0.1 or 1.0
        self.y0, self.y1 = min(ys) - room, max(ys) + room
        if self.x1 <= self.x0:
            self.x0, self.x1 = self.x0 - 0.5, self.x1 + 0.5
        self.ticks_x = decades(min(xs), max(xs)) if log_x else ticks(self.x0, self.x1, least=1.0)
        self.ticks_y = ticks(self.y0, self.y1)

    def x(self, value: float) -> float:
        share = (self.warp(value) - self.x0) / (self.x1 - self.x0)
        return _LEFT + min(1.0, max(0.0, share)) * (WIDTH - _LEFT - _RIGHT)

    def y(self, value: float) -> float:
        share = (value - self.y0) / (self.y1 - self.y0)
        return HEIGHT - _BOTTOM - min(1.0, max(0.0, share)) * (HEIGHT - _TOP - _BOTTOM)

    def beyond(self, x: float, y: float) -> tuple[int, int]:
        """Which way a point lies outside: -1, 0 or 1 to the right, and the same downwards."""
        warped = self.warp(x)
        return (warped > self.x1) - (warped < self.x0), (y < self.y0) - (y > self.y1)

    def drawn(self, label_x: str, label_y: str) -> Html:
        bottom, middle = HEIGHT - _BOTTOM, (_TOP + HEIGHT - _BOTTOM) / 2
        parts = []
        for tick in self.ticks_y:
            y = round(self.y(tick), 1)
            parts.append(el("line", x1=_LEFT, x2=WIDTH - _RIGHT, y1=y, y2=y, class_="grid"))
            parts.append(el("text", short(tick), x=_LEFT - 8, y=y + 4, class_="tick end"))
        for tick in self.ticks_x:
            x = round(self.x(tick), 1)
            parts.append(el("line", x1=x, x2=x, y1=bottom, y2=bottom + 4, class_="axis"))
            parts.append(el("text", short(tick), x=x, y=bottom + 18, class_="tick middle"))
        parts.append(el("line", x1=_LEFT, x2=WIDTH - _RIGHT, y1=bottom, y2=bottom, class_="axis"))
        parts.append(el("text", label_x, x=(_LEFT + WIDTH - _RIGHT) / 2, y=HEIGHT - 6, class_="label middle"))
        turned = f"translate(13 {middle:g}) rotate(-90)"
        parts.append(el("text", label_y, transform=turned, class_="label middle"))
        return join(*parts)


def ticks(low: float, high: float, about: int = 5, least: float = 0.0) -> list[float]:
    """Round numbers between two ends, about so many, ``least`` apart or more."""
    step = 10.0 ** math.floor(math.log10((high - low) / about))
    step = max(least, step * next(factor for factor in (1, 2, 5, 10) if (high - low) / (step * factor) <= about))
    first = math.ceil(low / step - 1e-9)
    return [round(i * step, 12) for i in range(first, math.floor(high / step + 1e-9) + 1)]


def decades(low: float, high: float) -> list[float]:
    """1, 2, 5, 10, 20 ... between two positive ends; the powers of ten alone where that would be many."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    found = [factor * 10.0**p for p in powers for factor in (1, 2, 5) if low * 0.8 <= factor * 10.0**p <= high * 1.25]
    return found if len(found) < 8 else [t for t in found if math.log10(t) == round(math.log10(t))]


def short(value: float) -> str:
    """A number on an axis."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def line_plot(title: str, said: str, series: Sequence[Series], label_x: str, label_y: str, dots: bool = False) -> Html:
    """Lines over the same axis; nothing where no point has a value.

    Args:
        title, said: for screen readers: what it is, and what it shows.
        series: the lines.
        label_x, label_y: of the axes.
        dots: mark each point.
    """
    known = [(x, y) for one in series for x, y in one.points if y is not None]
    if not known:
        return Html("")
    axes = _Axes([x for x, _ in known], [y for _, y in known])
    parts = [axes.drawn(label_x, label_y)]
    for number, one in enumerate(series):
        places = [None if y is None else (round(axes.x(x), 1), round(axes.y(y), 1)) for x, y in one.points]
        way, pen = "", "M"
        for place in places:
            way, pen = (way, "M") if place is None else (f"{way}{pen}{place[0]:g} {place[1]:g}", "L")
        colour = f"s{number % COLOURS}"
        parts.append(el("path", d=way, class_=f"line {colour} d{number // COLOURS % 3}"))
        if dots:
            parts += [el("circle", cx=p[0], cy=p[1], r=3, class_=f"dot {colour}") for p in places if p]
    return join(_svg(title, said, *parts), _legend([one.name for one in series]))


def scatter(title: str, said: str, points: Sequence[Point], label_x: str, label_y: str) -> Html:
    """Points over a logarithmic axis, coloured by group, with the steps that no other point beats on both axes.

    Args:
        title, said: for screen readers.
        points: at least one; one that lies far from the others is drawn at the edge, with an arrow that points on.
        label_x, label_y: of the axes.
    """
    points = [p if p.x > 0 else p._replace(x=_SHORTEST) for p in points]
    among_x, among_y = near([math.log10(p.x) for p in points]), near([p.y for p in points])
    kept = [p for p in points if among_y[0] <= p.y <= among_y[1]]
    axes = _Axes(
        [p.x for p in points if among_x[0] <= math.log10(p.x) <= among_x[1]],
        [v for p in kept for v in (p.low, p.high)],
        log_x=True,
    )
    groups = list(dict.fromkeys(p.group for p in points))
    best = frontier([(p.x, p.y) for p in points])
    way = "".join(
        f"{'H' if i else 'M'}{axes.x(x):.1f}{'V' if i else ' '}{axes.y(y):.1f}" for i, (x, y) in enumerate(best)
    )
    parts = [axes.drawn(label_x, label_y), el("path", d=f"{way}H{WIDTH - _RIGHT}", class_="frontier")]
    placed: list[tuple[float, float]] = []
    for point in points:
        number = groups.index(point.group)
        x, y = axes.x(point.x), axes.y(point.y)
        label_at = _free(x, y, placed)
        ends = [f"{axes.y(end):.1f}" for end in (point.low, point.high)]
        parts.append(
            el(
                "g",
                el("title", point.title),
                el("line", x1=f"{x:.1f}", x2=f"{x:.1f}", y1=ends[0], y2=ends[1]),
                _beyond(axes, point, x, y),
                el("path", d=_SHAPES[number // COLOURS % len(_SHAPES)], transform=f"translate({x:.1f} {y:.1f})"),
                el("text", point.label, x=f"{label_at[0]:.1f}", y=f"{label_at[1]:.1f}", class_="tick"),
                class_=f"point s{number % COLOURS}",
                data_row=point.label,
            )
        )
    return join(_svg(title, said, *parts), _legend(groups))


def near(values: Sequence[float]) -> tuple[float, float]:
    """The ends of what lies near the others: within eight times the median distance from the median."""
    middle = median(values)
    reach = 8 * median([abs(value - middle) for value in values])
    return (middle - reach, middle + reach) if reach else (min(values), max(values))


def _beyond(axes: _Axes, point: Point, x: float, y: float) -> Html | None:
    """An arrow for each way in which a point lies outside the axes."""
    right, down = axes.beyond(point.x, point.y)
    if not (right or down):
        return None
    ways = ""
    if right:
        ways += f"M{x + right * 8:.1f} {y - 4:.1f}l{right * 4} 4l{-right * 4} 4"
    if down:
        ways += f"M{x - 4:.1f} {y + down * 8:.1f}l4 {down * 4}l4 {-down * 4}"
    return el("path", d=ways, class_="beyond")


def _free(x: float, y: float, placed: list[tuple[float, float]]) -> tuple[float, float]:
    """Where a label does not lie on another; right of its point where every place is taken."""
    for dx, dy in ((9, 4), (9, -7), (9, 15), (-18, 4), (-18, -7), (-18, 15), (-4, -12), (-4, 22)):
        at = (x + dx, y + dy)
        if at[0] < WIDTH - 14 and all(abs(at[0] - px) > 14 or abs(at[1] - py) > 11 for px, py in placed):
            break
    else:
        at = (x + 9, y + 4)
    placed.append(at)
    return at


def frontier(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """The points that no other reaches with less x and no less y, by x."""
    best: list[tuple[float, float]] = []
    for x, y in sorted(points, key=lambda point: (point[0], -point[1])):
        if not best or y > best[-1][1]:
            best.append((x, y))
    return best


def strips(title: str, said: str, rows: Sequence[tuple[float, float, float, bool]]) -> Html:
    """Small intervals one below the other: (low, mean, high, whether it is of the first group)."""
    low, high = min(row[0] for row in rows), max(row[2] for row in rows)
    height, width = 13 * len(rows) + 6, 220

    def at(value: float) -> float:
        return round(6 + (value - low) / ((high - low) or 1) * (width - 12), 1)

    parts = []
    for number, (start, mean, end, first) in enumerate(rows):
        y, kind = 9 + 13 * number, "first" if first else "later"
        parts.append(el("line", x1=at(start), x2=at(end), y1=y, y2=y, class_=kind))
        parts.append(el("circle", cx=at(mean), cy=y, r=3.5, class_=kind))
    return _svg(title, said, *parts, size=(width, height), class_="strips")


def _svg(title: str, said: str, *parts: Html, size: tuple[int, int] = (WIDTH, HEIGHT), class_: str = "plot") -> Html:
    words = f"{title}. {said}"
    return el("svg", *parts, viewBox=f"0 0 {size[0]} {size[1]}", role="img", aria_label=words, class_=class_)


def _legend(names: Sequence[str]) -> Html | None:
    if len(names) < 2:
        return None
    items = []
    for number, name in enumerate(names):
        shape = el("path", d=_SHAPES[number // COLOURS % len(_SHAPES)], transform="translate(7 7)")
        swatch = el("svg", shape, viewBox="0 0 14 14", class_=f"s{number % COLOURS}", aria_hidden="true")
        items.append(el("li", swatch, el("bdi", name)))
    return el("ul", *items, class_="legend")
