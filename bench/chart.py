"""Plots as SVG without a library: small, deterministic, readable in a diff."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape

WIDTH = 760
LEFT, RIGHT, TOP = 170, 90, 56
BAR_HEIGHT, BAR_GAP = 22, 10
PLOT_HEIGHT = 300
INK, FAINT = "#1f2328", "#d0d7de"
COLOURS = {
    "C floor": "#8c959f",
    "realtime-server": "#0072b2",
    "Centrifuge": "#e69f00",
    "ws": "#009e73",
    "Socket.IO": "#cc79a7",
    "websockets": "#d55e00",
}
"""Colours by the name before a comma, from Okabe and Ito's palette for colour-blind readers."""
OTHER_COLOURS = ("#56b4e9", "#f0e442", "#000000")
DASHES = ("", "7 3", "2 3", "9 3 2 3", "4 4", "1 4")


@dataclass(frozen=True, slots=True)
class Bar:
    """A value with its range."""

    name: str
    value: float
    lowest: float
    highest: float


@dataclass(frozen=True, slots=True)
class Line:
    """Points from left to right."""

    name: str
    points: Sequence[tuple[float, float]]


def bars(title: str, axis: str, drawn: Sequence[Bar]) -> str:
    """Draw horizontal bars from zero, with whiskers from the lowest to the highest value; `axis` has the unit."""
    height = TOP + len(drawn) * (BAR_HEIGHT + BAR_GAP) + 50
    top = max([bar.highest for bar in drawn] or [1.0])
    ticks = nice_ticks(top)
    scale = _linear(0.0, ticks[-1], LEFT, WIDTH - RIGHT)
    bottom = height - 44
    parts = [_grid_x(tick, scale(tick), TOP - 8, bottom) for tick in ticks]
    for index, bar in enumerate(drawn):
        parts.append(_bar(bar, TOP + index * (BAR_HEIGHT + BAR_GAP), scale, index))
    parts.append(_text((LEFT + WIDTH - RIGHT) / 2, height - 8, axis, anchor="middle"))
    return _document(title, height, parts)


def lines(
    title: str, x_axis: str, y_axis: str, drawn: Sequence[Line], *, logarithmic: bool = False, from_zero: bool = False
) -> str:
    """Draw lines with a legend; `logarithmic` applies to both axes. The axes have their units."""
    xs = [x for line in drawn for x, _ in line.points] or [1.0]
    ys = [y for line in drawn for _, y in line.points] or [1.0]
    legend = 20 * ((len(drawn) + 2) // 3)
    bottom, height = TOP + PLOT_HEIGHT, TOP + PLOT_HEIGHT + 64 + legend
    left, right = 70, WIDTH - 30
    if logarithmic:
        x_ticks, y_ticks = sorted(set(xs)), decade_ticks(min(ys), max(ys))
        x_scale, y_scale = _log(x_ticks[0], x_ticks[-1], left, right), _log(y_ticks[0], y_ticks[-1], bottom, TOP)
    else:
        x_ticks, y_ticks = nice_ticks(max(xs)), nice_ticks(max(ys), 0.0 if from_zero else min(ys))
        x_scale, y_scale = _linear(0.0, x_ticks[-1], left, right), _linear(y_ticks[0], y_ticks[-1], bottom, TOP)
    parts = [_grid_x(tick, x_scale(tick), TOP, bottom) for tick in x_ticks]
    parts += [_grid_y(tick, y_scale(tick), left, right) for tick in y_ticks]
    for index, line in enumerate(drawn):
        parts.append(_line(line, x_scale, y_scale, index))
        parts.append(_legend(line.name, 70 + index % 3 * 220, bottom + 60 + index // 3 * 20, index))
    parts.append(_text((left + right) / 2, bottom + 36, x_axis, anchor="middle"))
    parts.append(_text(left, TOP - 12, y_axis))
    return _document(title, height, parts)


def nice_ticks(highest: float, lowest: float = 0.0) -> list[float]:
    """Return four to nine round numbers that cover the range from `lowest` to `highest`."""
    span = max(highest - lowest, abs(highest) * 1e-3, 1e-9)
    magnitude = 10 ** math.floor(math.log10(span))
    step = next(factor * magnitude / 10 for factor in (2, 5, 10, 20) if span / (factor * magnitude / 10) <= 8)
    first, last = math.floor(lowest / step + 1e-9), math.ceil(highest / step - 1e-9)
    return [round(number * step, 12) for number in range(first, max(last, first + 1) + 1)]


def decade_ticks(lowest: float, highest: float) -> list[float]:
    """Return 1, 2 and 5 times the powers of ten that cover the range; both bounds are positive."""
    found = [
        factor * 10.0**power
        for power in range(math.floor(math.log10(lowest)) - 1, math.ceil(math.log10(highest)) + 1)
        for factor in (1, 2, 5)
    ]
    first = max(index for index, tick in enumerate(found) if tick <= lowest)
    last = min((index for index, tick in enumerate(found) if tick >= highest), default=len(found) - 1)
    return found[first : max(last, first + 1) + 1]


def _linear(low: float, high: float, start: float, end: float) -> Callable[[float], float]:
    return lambda value: start + (value - low) / ((high - low) or 1.0) * (end - start)


def _log(low: float, high: float, start: float, end: float) -> Callable[[float], float]:
    linear = _linear(math.log10(low), math.log10(high), start, end)
    return lambda value: linear(math.log10(value))


def colour(name: str, index: int) -> str:
    """Return the colour of a server by name, of other lines by index."""
    return COLOURS.get(name.partition(",")[0], OTHER_COLOURS[index % len(OTHER_COLOURS)])


def number(value: float) -> str:
    """Format a number briefly, with commas between thousands."""
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def _bar(bar: Bar, y: float, scale: Callable[[float], float], index: int) -> str:
    middle, x = y + BAR_HEIGHT / 2, scale(bar.value)
    low, high = scale(bar.lowest), scale(bar.highest)
    width, ink = max(x - LEFT, 1), colour(bar.name, index)
    whisker = f"M{low:.1f} {middle}H{high:.1f}M{low:.1f} {middle - 5}v10M{high:.1f} {middle - 5}v10"
    return "\n".join(
        [
            _text(LEFT - 8, middle + 4, bar.name, anchor="end"),
            f'<rect x="{LEFT}" y="{y}" width="{width:.1f}" height="{BAR_HEIGHT}" fill="{ink}"/>',
            f'<path d="{whisker}" stroke="{INK}" fill="none"/>',
            _text(max(x, high) + 8, middle + 4, number(bar.value), weight="600"),
        ]
    )


def _line(line: Line, x: Callable[[float], float], y: Callable[[float], float], index: int) -> str:
    points = [(x(at), y(value)) for at, value in line.points]
    path = " ".join(f"{px:.1f},{py:.1f}" for px, py in points)
    ink, dash = colour(line.name, index), DASHES[index % len(DASHES)]
    dots = "".join(f'<circle cx="{px:.1f}" cy="{py:.1f}" r="3" fill="{ink}"/>' for px, py in points)
    return f'<polyline points="{path}" fill="none" stroke="{ink}" stroke-width="2" stroke-dasharray="{dash}"/>{dots}'


def _legend(name: str, x: float, y: float, index: int) -> str:
    ink, dash = colour(name, index), DASHES[index % len(DASHES)]
    key = f'<path d="M{x} {y - 4}h28" stroke="{ink}" stroke-width="3" stroke-dasharray="{dash}"/>'
    return key + _text(x + 36, y, name)


def _grid_x(value: float, x: float, top: float, bottom: float) -> str:
    line = f'<path d="M{x:.1f} {top}V{bottom}" stroke="{FAINT}"/>'
    return line + _text(x, bottom + 16, number(value), anchor="middle")


def _grid_y(value: float, y: float, left: float, right: float) -> str:
    return f'<path d="M{left} {y:.1f}H{right}" stroke="{FAINT}"/>' + _text(left - 8, y + 4, number(value), anchor="end")


def _text(x: float, y: float, text: str, *, anchor: str = "start", weight: str = "400") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-weight="{weight}">{escape(text)}</text>'


def _document(title: str, height: float, parts: Sequence[str]) -> str:
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height:.0f}" '
        f'viewBox="0 0 {WIDTH} {height:.0f}" role="img" font-family="system-ui, sans-serif" font-size="13" '
        f'fill="{INK}">'
    )
    return "\n".join(
        [
            head,
            f"<title>{escape(title)}</title>",
            f'<rect width="{WIDTH}" height="{height:.0f}" fill="#ffffff"/>',
            f'<text x="16" y="24" font-size="15" font-weight="600">{escape(title)}</text>',
            *parts,
            "</svg>",
            "",
        ]
    )
