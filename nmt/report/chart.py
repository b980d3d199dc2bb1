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

Point = tuple[float, float]
Band = tuple[float, float, float]
"""x, and the lower and upper end of a confidence interval there."""

Tick = tuple[float, str]


@dataclass(frozen=True)
class Line:
    """One system's line, in pixels."""

    style: int
    """Selects the colour and the dashes: the same for a system in every chart."""
    name: str
    points: list[tuple[float, float, str]]
    """x, y and the text that is shown on hover."""
    with_dots: bool
    band: list[tuple[float, float]]
    """The outline of a band of confidence intervals; empty without one."""


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
    bands: Sequence[Sequence[Band]] = (),
    styles: Sequence[int] = (),
) -> Chart:
    """Lays out a line chart with a line for each system; a line without points is left out.

    Args:
        title: above the chart.
        x_label: below the x axis.
        names: of the systems.
        lines: (x, y) of each system, by ascending x; at least one point in total.
        from_zero: start the y axis at zero; otherwise it starts at the lowest y.
        bands: the confidence intervals of each system, by ascending x; none if it is empty.
        styles: of each system's line; 0, 1, 2, … if it is empty.
    """
    assert len(names) == len(lines)
    bands, styles = bands or [[] for _ in lines], styles or range(len(lines))
    xs = [x for line in lines for x, _ in line]
    ys = [y for line in lines for _, y in line] + [y for band in bands for _, *ends in band for y in ends]
    assert xs, f"{title}: there is no point to draw"
    x_values = choose_ticks(min(0, *xs), max(xs))
    y_values = choose_ticks(min(0, *ys) if from_zero else min(ys), max(ys))
    x_low, x_high = x_values[0], x_values[-1]
    y_low, y_high = y_values[0], y_values[-1]

    def pixel(x: float, y: float) -> tuple[float, float]:
        return (
            round(LEFT + (x - x_low) / (x_high - x_low) * (WIDTH - LEFT - RIGHT), 1),
            round(HEIGHT - BOTTOM - (y - y_low) / (y_high - y_low) * (HEIGHT - TOP - BOTTOM), 1),
        )

    def layout_line(system: int) -> Line:
        name, band = isolate(names[system]), bands[system]
        outline = [pixel(x, high) for x, _, high in band] + [pixel(x, low) for x, low, _ in reversed(band)]
        return Line(
            style=styles[system],
            name=names[system],
            points=[(*pixel(x, y), f"{name}: {y:.4g} at {_format_x(x)}") for x, y in lines[system]],
            with_dots=len(lines[system]) <= MAX_DOTS,
            band=outline,
        )

    return Chart(
        title=title,
        x_label=x_label,
        x_ticks=[(pixel(x, y_low)[0], _format_tick(x)) for x in x_values],
        y_ticks=[(pixel(x_low, y)[1], _format_tick(y)) for y in y_values],
        lines=[layout_line(system) for system, line in enumerate(lines) if line],
    )


def _format_x(x: float) -> str:
    """A position on the x axis, to four digits or more, without an exponent."""
    return f"{x:,.0f}" if abs(x) >= 1000 else f"{x:.4g}"


def _format_tick(value: float) -> str:
    """A number from `choose_ticks`, in full."""
    return f"{value:,.10g}"


def choose_ticks(low: float, high: float) -> list[float]:
    """Two to eight round numbers (steps of 1, 2 or 5 times a power of ten) that enclose `low` to `high`."""
    span = high - low or abs(high) or 1.0
    raw_step = span / 5  # about five steps, before it is rounded up to a round number
    power = 10.0 ** math.floor(math.log10(raw_step))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= raw_step * (1 - 1e-9))
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    if first == last:
        last += 1
    return [round(i * step, 10) for i in range(first, last + 1)]


def thin_out(points: Sequence[Point], *, max_points: int) -> list[Point]:
    """Reduces a line to at most `max_points` points, each the mean of the same number of consecutive points."""
    size = math.ceil(len(points) / max_points) if points else 1
    groups = [points[i : i + size] for i in range(0, len(points), size)]
    return [(sum(x for x, _ in group) / len(group), sum(y for _, y in group) / len(group)) for group in groups]
