"""A line chart as inline SVG: its geometry is here, its drawing in `_chart.html.j2`, its colours in `style.css`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from nmt.report.formatting import isolate

WIDTH, HEIGHT = 420, 270
"""Size of a chart in CSS pixels; the page scales it."""

LEFT, RIGHT, TOP, BOTTOM = 50, 24, 30, 44
"""Margins for the title and the axes, in CSS pixels."""

MAX_DOTS = 30
"""Maximum number of points of a line that are also drawn as dots."""

CATEGORY_PADDING = 0.35
"""Distance of the first and the last category from the edge of the chart; two categories are 1 apart."""

Point = tuple[float, float]
Tick = tuple[float, str]


@dataclass(frozen=True)
class Line:
    """One system's line, in pixels."""

    system: int
    """Index of the system in the report; it selects the colour and the dashes in every chart."""
    name: str
    points: list[tuple[float, float, str]]
    """x, y and the text that is shown on hover."""
    with_dots: bool


@dataclass(frozen=True)
class Chart:
    """A line chart laid out in pixels; y increases downwards."""

    title: str
    x_label: str
    x_ticks: list[Tick]
    y_ticks: list[Tick]
    lines: list[Line]
    width: int = WIDTH
    height: int = HEIGHT
    left: int = LEFT
    right: int = WIDTH - RIGHT
    top: int = TOP
    bottom: int = HEIGHT - BOTTOM


def layout_chart(
    *,
    title: str,
    x_label: str,
    names: Sequence[str],
    lines: Sequence[Sequence[Point]],
    from_zero: bool,
    x_names: Sequence[str] = (),
) -> Chart:
    """Lays out a line chart with a line for each system; a line without points is left out.

    Args:
        title: above the chart.
        x_label: below the x axis.
        names: of the systems.
        lines: (x, y) of each system, by ascending x; at least one point in total.
        from_zero: start the y axis at zero; otherwise it starts at the lowest y.
        x_names: names of the categories if the x axis has categories; x is then 0, 1, 2, …
    """
    assert len(names) == len(lines)
    xs = [x for line in lines for x, _ in line]
    ys = [y for line in lines for _, y in line]
    assert xs, f"{title}: there is no point to draw"
    x_values = [float(i) for i in range(len(x_names))] if x_names else choose_ticks(min(0, *xs), max(xs))
    y_values = choose_ticks(min(0, *ys) if from_zero else min(ys), max(ys))
    padding = CATEGORY_PADDING if x_names else 0.0
    x_low, x_high = min([*x_values, *xs]) - padding, max([*x_values, *xs]) + padding
    y_low, y_high = y_values[0], y_values[-1]

    def x_pixel(x: float) -> float:
        return round(LEFT + (x - x_low) / (x_high - x_low) * (WIDTH - LEFT - RIGHT), 1)

    def y_pixel(y: float) -> float:
        return round(HEIGHT - BOTTOM - (y - y_low) / (y_high - y_low) * (HEIGHT - TOP - BOTTOM), 1)

    def layout_line(system: int, line: Sequence[Point]) -> Line:
        name = isolate(names[system])
        points = [
            (x_pixel(x), y_pixel(y), f"{name}: {y:.4g} at {x_names[int(x)] if x_names else f'{x:,.4g}'}")
            for x, y in line
        ]
        return Line(system=system, name=names[system], points=points, with_dots=len(points) <= MAX_DOTS)

    return Chart(
        title=title,
        x_label=x_label,
        x_ticks=[(x_pixel(x), x_names[int(x)] if x_names else f"{x:,g}") for x in x_values],
        y_ticks=[(y_pixel(y), f"{y:,g}") for y in y_values],
        lines=[layout_line(system, line) for system, line in enumerate(lines) if line],
    )


def choose_ticks(low: float, high: float) -> list[float]:
    """Two to eight round numbers (steps of 1, 2 or 5 times a power of ten) that enclose `low` to `high`."""
    span = high - low or abs(high) or 1.0
    raw_step = span / 5  # about five steps, before it is rounded up to a round number
    power = 10.0 ** math.floor(math.log10(raw_step))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= raw_step)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    if first == last:
        last += 1
    return [round(i * step, 10) for i in range(first, last + 1)]


def thin_out(points: Sequence[Point], *, max_points: int) -> list[Point]:
    """Reduces a line to at most `max_points` points, each the mean of the same number of consecutive points."""
    size = math.ceil(len(points) / max_points) if points else 1
    groups = [points[i : i + size] for i in range(0, len(points), size)]
    return [(sum(x for x, _ in group) / len(group), sum(y for _, y in group) / len(group)) for group in groups]
